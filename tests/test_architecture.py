"""The laws of the workspace that can be read from its source and metadata.

Each law is a function that returns the violations it finds. It is applied to the packages, and to a
small synthetic offender, since a law that cannot fail proves nothing.
"""

import ast
import functools
import graphlib
import importlib
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {path.parent.name: path.parent for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}
# From the lowest to the highest; each may import those before it.
LAYERS = ("normix_bessel", "normix_expfam", "normix_mixtures", "normix_fit", "normix")

every_package = pytest.mark.parametrize("package", FOLDERS)


# ---------------------------------------------------------------------------------------------
# Reading source and metadata


class Import(NamedTuple):
    target: str  # absolute; for `from a import b` it is "a.b"
    line: int
    deferred: bool  # inside a function, or for the type checker only
    for_types: bool  # for the type checker only


@dataclass(frozen=True)
class Source:
    """One module of a package, parsed but not imported."""

    name: str
    tree: ast.Module
    is_package: bool = False

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def leaf(self) -> str:
        return "__init__" if self.is_package else self.name.rpartition(".")[2]

    def absolute(self, node: ast.ImportFrom) -> str:
        """The absolute name of the module that `from ... import` names."""
        if not node.level:
            return node.module or ""
        up = node.level - self.is_package
        parts = self.name.split(".")
        return ".".join([*parts[: len(parts) - up], *filter(None, [node.module])])

    @functools.cached_property
    def imports(self) -> list[Import]:
        collector = _ImportCollector(self)
        collector.visit(self.tree)
        return collector.found


class _ImportCollector(ast.NodeVisitor):
    def __init__(self, source: Source) -> None:
        self.source, self.found = source, list[Import]()
        self.deferred = self.for_types = False

    def _add(self, target: str, line: int) -> None:
        self.found.append(Import(target, line, self.deferred, self.for_types))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.source.absolute(node)
        for alias in node.names:
            self._add(f"{base}.{alias.name}", node.lineno)

    def _visit_deferred(self, node: ast.AST) -> None:
        outer, self.deferred = self.deferred, True
        self.generic_visit(node)
        self.deferred = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_deferred(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_deferred(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_deferred(node)

    def visit_If(self, node: ast.If) -> None:
        if not ast.unparse(node.test).endswith("TYPE_CHECKING"):
            self.generic_visit(node)
            return
        outer = self.deferred, self.for_types
        self.deferred = self.for_types = True
        for part in node.body:
            self.visit(part)
        self.deferred, self.for_types = outer
        for part in node.orelse:
            self.visit(part)


def source(name: str, text: str, *, is_package: bool = False) -> Source:
    return Source(name, ast.parse(text), is_package)


@functools.cache
def sources(package: str) -> tuple[Source, ...]:
    src = FOLDERS[package] / "src"
    return tuple(_read(path, src) for path in sorted(src.rglob("*.py")))


def _read(path: Path, src: Path) -> Source:
    parts = path.relative_to(src).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Source(name, ast.parse(path.read_text(encoding="utf-8")), is_package)


@functools.cache
def project(package: str) -> dict[str, Any]:
    return tomllib.loads((FOLDERS[package] / "pyproject.toml").read_text("utf-8"))["project"]


def import_name(distribution: str) -> str:
    return distribution.replace("-", "_")


def requirements(package: str) -> list[Requirement]:
    optional = project(package).get("optional-dependencies", {}).values()
    groups = [project(package)["dependencies"], *optional]
    return [Requirement(line) for group in groups for line in group]


def at(module: Source, line: int, what: str) -> str:
    return f"{module.name}:{line}: {what}"


# ---------------------------------------------------------------------------------------------
# What may be imported


def upward_imports(module: Source) -> list[str]:
    allowed = LAYERS[: LAYERS.index(module.package) + 1]
    return [
        at(module, found.line, f"imports {found.target}")
        for found in module.imports
        if (top := found.target.partition(".")[0]) in LAYERS and top not in allowed
    ]


def test_every_package_has_a_place_in_the_order_of_imports():
    assert {import_name(package) for package in FOLDERS} == set(LAYERS)


@every_package
def test_imports_run_downward_only(package):
    assert [v for module in sources(package) for v in upward_imports(module)] == []


def test_an_upward_import_is_found():
    assert (
        upward_imports(source("normix_expfam._a", "import normix_expfam._b, normix_bessel")) == []
    )
    assert upward_imports(source("normix_expfam._a", "from normix_mixtures import x"))
    assert upward_imports(source("normix_fit._a", "def f():\n    import normix"))


def third_party(modules: Iterable[Source]) -> dict[str, str]:
    """Import name -> a place, for all that is neither the standard library nor the package."""
    return {
        top: at(module, found.line, found.target)
        for module in modules
        for found in module.imports
        if (top := found.target.partition(".")[0]) != module.package
        and top not in sys.stdlib_module_names
    }


def undeclared(modules: Iterable[Source], declared: set[str]) -> list[str]:
    return [place for top, place in third_party(modules).items() if top not in declared]


def unused(modules: Iterable[Source], declared: set[str]) -> set[str]:
    return declared - third_party(modules).keys()


@every_package
def test_imports_and_declared_dependencies_agree(package):
    declared = {import_name(requirement.name) for requirement in requirements(package)}
    assert undeclared(sources(package), declared) == []
    assert unused(sources(package), declared) == set()


def test_an_undeclared_and_an_unused_dependency_are_found():
    module = source("normix_fit._a", "import os\nfrom . import _b\ndef f():\n    import rich.table")
    assert undeclared([module], {"jax"}) == ["normix_fit._a:4: rich.table"]
    assert unused([module], {"jax", "rich"}) == {"jax"}


def test_normix_bessel_depends_on_jax_numpy_and_scipy_only():
    assert {r.name for r in requirements("normix-bessel")} == {"jax", "numpy", "scipy"}


def sibling_imports(module: Source) -> list[str]:
    """A family imports the private modules of its package, neither a family nor the front door."""
    own = module.package
    private = (f"{own}._", f"{own}.testing")
    return [
        at(module, found.line, f"imports {found.target}")
        for found in module.imports
        if f"{found.target}.".startswith(f"{own}.") and not found.target.startswith(private)
    ]


@pytest.mark.parametrize("package", ["normix-expfam", "normix-mixtures"])
def test_families_do_not_import_each_other(package):
    families = f"{import_name(package)}.families."
    found = [module for module in sources(package) if module.name.startswith(families)]
    assert found, "no families found: has the folder moved?"
    assert [v for module in found for v in sibling_imports(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "from .gamma import Gamma",
        "from . import gamma",
        "from .. import Gamma",
        "import normix_expfam.families.gamma",
        "from normix_expfam import Gamma",
        "def f():\n    from normix_expfam.families import gamma",
    ],
)
def test_a_sibling_import_is_found(text):
    assert sibling_imports(source("normix_expfam.families.gig", text))
    fine = "from .._family import Family\nfrom .. import _family\nimport normix_bessel"
    assert sibling_imports(source("normix_expfam.families.gig", fine)) == []


def edges(modules: Iterable[Source]) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it imports, also inside functions.

    `from . import x` imports the module x if there is one, and otherwise the `__init__` of the
    folder. The `__init__` files that Python runs on the way to a module do not count.
    """
    modules = tuple(modules)
    names = {module.name for module in modules}
    return {
        module.name: {
            _module_of(found.target, names) for found in module.imports if not found.for_types
        }
        - {""}
        for module in modules
    }


def _module_of(target: str, names: set[str]) -> str:
    """The longest beginning of a dotted name that is a module; empty if there is none."""
    while target and target not in names:
        target = target.rpartition(".")[0]
    return target


def circles(modules: Iterable[Source]) -> list[str]:
    """A circle of imports as "a -> b -> a", if there is one."""
    try:
        graphlib.TopologicalSorter(edges(modules)).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


@every_package
def test_imports_inside_a_package_make_no_circle(package):
    assert circles(sources(package)) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("from . import _b", "from . import _a"),
        ("from . import _b", "def f():\n    from . import _a"),
        ("from ._b import x", "class A:\n    def f(self):\n        from ._a import y"),
        ("import normix_fit._b", "from normix_fit._a import y"),
        ("from normix_fit import _b as b", "from .wing._c import z"),
        ("from ._b import x", "from .wing import _c"),
        ("", "from . import public"),
        ("", "import normix_fit"),
        ("", "def f():\n    from normix_fit import public"),
        ("from ._b import x", "from .wing import public"),
        ("", "from . import _b"),
        ("if TYPE_CHECKING:\n    x = 1\nelse:\n    from . import _b", "from . import _a"),
    ],
)
def test_a_circle_is_found(a, b):
    found = circles(_small_package(a, b))
    assert len(found) == 1
    assert "normix_fit._b" in found[0]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("from . import _b\nfrom ._b import x", "import os, jax\nfrom normix_expfam import _a"),
        ("if TYPE_CHECKING:\n    from . import _b", "from . import _a"),
        ("if typing.TYPE_CHECKING:\n    from ._b import x", "def f():\n    from ._a import y"),
    ],
)
def test_what_is_no_circle_is_let_pass(a, b):
    assert circles(_small_package(a, b)) == []


def _small_package(a: str, b: str) -> list[Source]:
    """Two modules, the front door that imports one of them, and a folder whose module does too."""
    return [
        source("normix_fit", "from ._b import x as public", is_package=True),
        source("normix_fit._a", a),
        source("normix_fit._b", b),
        source("normix_fit.wing", "from ._c import z as public", is_package=True),
        source("normix_fit.wing._c", "from .. import _a\nfrom .._a import y"),
    ]


def public_modules(modules: Iterable[Source]) -> list[str]:
    """Modules a user could take for public, apart from `testing`, `internal` and the families."""
    return [
        module.name
        for module in modules
        for part in module.name.split(".")[1:2]
        if not part.startswith("_") and part not in {"testing", "internal", "families"}
    ]


@pytest.mark.parametrize("package", [p for p in FOLDERS if p != "normix"])
def test_modules_are_private(package):
    assert public_modules(sources(package)) == []


def test_a_public_module_is_found():
    fine = [source(f"normix_fit{name}", "") for name in ("", "._a", ".testing", ".families.b")]
    assert public_modules(fine) == []
    assert public_modules([source("normix_fit.batch", "")]) == ["normix_fit.batch"]


def missing_names(module: Any) -> list[str]:
    return [name for name in module.__all__ if not hasattr(module, name)]


@every_package
def test_each_public_name_exists(package):
    module = importlib.import_module(import_name(package))
    assert len(set(module.__all__)) == len(module.__all__) > 0
    assert missing_names(module) == []


def test_a_missing_public_name_is_found():
    class Module:
        __all__ = ("__name__", "absent")

    assert missing_names(Module) == ["absent"]


# ---------------------------------------------------------------------------------------------
# What may be written: no callbacks, no finite differences, no early scipy


def callbacks(module: Source) -> list[str]:
    forbidden = ("pure_callback", "io_callback", "debug.callback", "debug.print")
    return [
        at(module, node.lineno, text)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name) and (text := ast.unparse(node))
        if text.endswith(forbidden)
    ] + [
        at(module, found.line, found.target)
        for found in module.imports
        if found.target.endswith(forbidden)
    ]


def early_scipy(module: Source) -> list[str]:
    """Imports of scipy that `import normix_x` would carry out, outside the CPU backends."""
    if module.leaf.startswith("_cpu"):
        return []
    return [
        at(module, found.line, f"imports {found.target}")
        for found in module.imports
        if found.target.partition(".")[0] == "scipy" and not found.deferred
    ]


def difference_quotients(tree: ast.AST) -> Iterator[ast.BinOp]:
    """Expressions like (f(x + h) - f(x)) / h and (f(x + h) - f(x - h)) / (2 * h)."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(
                left=ast.BinOp(left=ast.Call() as f1, op=ast.Sub(), right=ast.Call() as f0),
                op=ast.Div(),
                right=divisor,
            ) if ast.dump(f1.func) == ast.dump(f0.func):
                if _steps(f1, f0) & {ast.dump(part) for part in ast.walk(divisor)}:
                    yield node


def _steps(f1: ast.Call, f0: ast.Call) -> set[str]:
    """What is added to or taken from an argument of one call that the other has without it."""
    return {
        ast.dump(shifted.right)
        for pair in zip(f1.args, f0.args, strict=False)
        for shifted, other in (pair, pair[::-1])
        if isinstance(shifted, ast.BinOp) and isinstance(shifted.op, ast.Add | ast.Sub)
        if ast.dump(shifted.left) in {ast.dump(other), ast.dump(getattr(other, "left", other))}
    }


NUMERICAL = {"approx_fprime", "approx_derivative", "check_grad", "differentiate"}
OPTIMIZERS = {"minimize", "least_squares", "root", "fmin_l_bfgs_b"}


def finite_differences(module: Source) -> list[str]:
    """Difference quotients, scipy's helpers for them, and optimizers left to fall back on them."""
    found = list[ast.AST](difference_quotients(module.tree))
    if any(i.target.partition(".")[0] == "scipy" for i in module.imports):
        nodes = list(ast.walk(module.tree))
        found += [node for node in nodes if NUMERICAL & _words(node)]
        found += [n for n in nodes if isinstance(n, ast.Call) and not _has_exact_gradient(n)]
    return [at(module, node.lineno, ast.unparse(node)) for node in found]


def _words(node: ast.AST) -> set[str]:
    match node:
        case ast.ImportFrom(module=name, names=names):
            return {*(name or "").split("."), *(alias.name for alias in names)}
        case ast.Import(names=names):
            return {part for alias in names for part in alias.name.split(".")}
        case ast.Attribute(attr=word) | ast.Name(id=word):
            return {word}
    return set()


def _has_exact_gradient(call: ast.Call) -> bool:
    if not OPTIMIZERS & _words(call.func):
        return True
    given = [k.value for k in call.keywords if k.arg in {"jac", "fprime"}]
    return any(not isinstance(v, ast.Constant) or v.value is True for v in given)


@every_package
def test_no_callback_leaves_the_device(package):
    assert [v for module in sources(package) for v in callbacks(module)] == []


@every_package
def test_scipy_is_imported_by_the_cpu_backends_only(package):
    assert [v for module in sources(package) for v in early_scipy(module)] == []


@every_package
def test_no_derivative_is_a_finite_difference(package):
    assert [v for module in sources(package) for v in finite_differences(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "jax.pure_callback(f, x)",
        "from jax.experimental import io_callback",
        "import jax\njax.debug.callback(f)",
        "from jax import debug\ndebug.print('x')",
    ],
)
def test_a_callback_is_found(text):
    assert callbacks(source("normix_fit._a", text))
    assert callbacks(source("normix_fit._a", "def f(x, callback):\n    callback(x)")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import scipy.special",
        "from scipy import optimize",
        "try:\n    import scipy\nexcept ImportError:\n    pass",
        "class A:\n    from scipy.special import kve",
    ],
)
def test_an_early_import_of_scipy_is_found(text):
    assert early_scipy(source("normix_expfam._a", text))
    assert early_scipy(source("normix_expfam._cpu", text)) == []
    deferred = "import jax.scipy\ndef f():\n    import scipy\nif TYPE_CHECKING:\n    import scipy"
    assert early_scipy(source("normix_expfam._a", deferred)) == []


@pytest.mark.parametrize(
    "text",
    [
        "(f(x + h) - f(x)) / h",
        "(f(v, x + h) - f(v, x - h)) / (2.0 * h)",
        "(f(x) - f(x - 1e-6)) / 1e-6",
        "from scipy.optimize import approx_fprime",
        "from scipy.optimize import minimize\nminimize(f, x)",
        "from scipy.optimize import minimize\nminimize(f, x, jac='3-point')",
        "from scipy import optimize\noptimize.least_squares(f, x)",
        "import scipy.differentiate",
    ],
)
def test_a_finite_difference_is_found(text):
    assert finite_differences(source("normix_expfam._a", text))


@pytest.mark.parametrize(
    "text",
    [
        "(log(a) - log(b)) / (a - b)",
        "(f(x + 1.0) - f(x)) / y",
        "from scipy.optimize import minimize\nminimize(f, x, jac=True)",
        "from scipy.optimize import minimize\nminimize(f, x, jac=gradient)",
        "def f():\n    return minimize(g, x)",
    ],
)
def test_what_is_no_finite_difference_is_let_pass(text):
    assert finite_differences(source("normix_expfam._a", text)) == []


# ---------------------------------------------------------------------------------------------
# What a package consists of


def missing_files(folder: Path, version: str) -> list[str]:
    name = import_name(folder.name)
    wanted = ["README.md", "CHANGELOG.md", "LICENSE", f"src/{name}/py.typed", "tests/test_*.py"]
    missing = [pattern for pattern in wanted if not any(folder.glob(pattern))]
    changelog = folder / "CHANGELOG.md"
    if changelog.exists() and f"\n## {version}" not in changelog.read_text("utf-8"):
        missing.append(f"CHANGELOG.md: ## {version}")
    return missing


def unmet_bounds(needed: Iterable[Requirement], versions: dict[str, str]) -> list[str]:
    """Bounds on a sibling that its present version does not meet: uv does not look at them."""
    return [
        f"{requirement}, but it is {versions[requirement.name]}"
        for requirement in needed
        if requirement.name in versions
        if not requirement.specifier.contains(versions[requirement.name], prereleases=True)
    ]


def unbounded(needed: Iterable[Requirement], siblings: Iterable[str]) -> list[str]:
    """Bounds on a sibling that are not a range: a floor and a ceiling."""
    return [
        str(requirement)
        for requirement in needed
        if requirement.name in siblings
        if {clause.operator for clause in requirement.specifier} != {">=", "<"}
    ]


@every_package
def test_a_package_is_complete(package):
    assert missing_files(FOLDERS[package], project(package)["version"]) == []


def test_a_missing_file_is_found(tmp_path):
    assert len(missing_files(tmp_path, "0.1.0")) == 5
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.0.9\n")
    assert "CHANGELOG.md: ## 0.1.0" in missing_files(tmp_path, "0.1.0")


@every_package
def test_bounds_on_siblings_admit_their_present_versions(package):
    versions = {name: project(name)["version"] for name in FOLDERS}
    assert unmet_bounds(requirements(package), versions) == []
    assert unbounded(requirements(package), versions) == []


def test_an_unmet_or_open_bound_is_found():
    present = {"normix-bessel": "0.2.0"}
    assert unmet_bounds([Requirement("normix-bessel>=0.1,<0.2")], present)
    assert unmet_bounds([Requirement("normix-bessel>=0.1,<0.3")], present) == []
    assert unbounded([Requirement("normix-bessel>=0.1")], present)


# ---------------------------------------------------------------------------------------------
# What fitters do not know


_OF_MIXTURES = ("L_Sigma", "ravel()", "3 + 2", "3 + d")


def layout_known(module: Source, text: str) -> list[str]:
    """Lines that read the inside of a dispersion, or the places of components in η."""
    return [
        at(module, number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if any(word in line for word in _OF_MIXTURES)
    ]


def test_fitters_know_no_layout():
    found = []
    for path in sorted((FOLDERS["normix-fit"] / "src").rglob("*.py")):
        module = source(path.stem, "")
        found += layout_known(module, path.read_text(encoding="utf-8"))
    assert found == []


def test_a_fitter_that_knows_the_layout_is_found():
    module = source("normix_fit._a", "")
    assert layout_known(module, "x = eta[3 + 2 * d :]")
    assert layout_known(module, "scale = model.L_Sigma")
    assert layout_known(module, "square.ravel()")
    assert layout_known(module, "found = model.expect(X)") == []
