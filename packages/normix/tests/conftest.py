"""Check the jaxtyping shapes in these tests: runs before the packages are imported."""

from normix_pytest import check_shapes

check_shapes("normix_expfam", "normix_mixtures", "normix_fit")
