"""Check the jaxtyping shapes in these tests: runs before the packages are imported."""

import sys
from types import ModuleType
from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import install_import_hook

# The hook decorates methods one by one, where beartype cannot tell what Self stands for; and it
# takes the checker by the name of a module.
checker = ModuleType("normix_typechecker")
checker.check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: Any})))
sys.modules[checker.__name__] = checker

install_import_hook(["normix_expfam", "normix_mixtures", "normix_fit"], "normix_typechecker.check")
