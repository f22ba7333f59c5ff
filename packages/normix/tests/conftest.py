"""Check the jaxtyping shapes in these tests: runs before the packages are imported."""

import os

from normix_pytest import check_shapes

check_shapes("normix_expfam", "normix_mixtures", "normix_fit")

# Neither the command in these tests nor a process they start keeps programs in the user's folder.
os.environ["NORMIX_CACHE"] = "off"
