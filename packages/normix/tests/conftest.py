"""Check the jaxtyping shapes in these tests: runs before the packages are imported."""

from jaxtyping import install_import_hook

install_import_hook(["normix_expfam", "normix_mixtures", "normix_fit"], "beartype.beartype")
