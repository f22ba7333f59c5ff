"""Models on disk: one small JSON text per model, every number to its last bit.

::

    {
      "format": "normix-model",
      "version": 1,
      "family": "gh",
      "dtype": "float64",
      "columns": ["USD", "JPY"],
      "mu": [...],
      "gamma": [...],
      "L_Sigma": [[...], [...]],
      "subordinator": {"p": ..., "a": ..., "b": ...},
      "sha256": "..."
    }

`family` is a key of `normix_mixtures.FAMILIES`; the subordinator's parameters have the names that
`from_classical` of the family gives them. JSON numbers are the shortest decimals that read back as
the same double. The checksum is that of the other entries with sorted keys, without spaces, every
number as the shortest decimal of a double: another layout of the text does not change it.
"""

import hashlib
import json
import math
import os
import re
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from normix_mixtures import FAMILIES, NormalMixture

from ._files import write_atomically

__all__ = ["load", "load_columns", "save"]

_FORMAT: Final = "normix-model"
_VERSION: Final = 1
_DTYPES: Final = ("float32", "float64")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_KEYS: Final = frozenset(
    {"format", "version", "family", "dtype", "columns", "mu", "gamma", "L_Sigma"}
    | {"subordinator", "sha256"}
)


def save(
    model: NormalMixture,
    path: str | os.PathLike[str],
    *,
    columns: Iterable[str] | None = None,
) -> None:
    """Write a model as JSON. A file of that name is replaced, in one step, once all is written.

    The new file keeps the mode and, where permitted, the owner of the old one. If `path` is a
    symbolic link, the file that it points at is replaced.

    Args:
        model: one normal mixture of a family in `normix_mixtures.FAMILIES`, not a batch of them.
        path: where to; the folder must exist.
        columns: the d names of the coordinates, all different, kept for `load_columns`.

    Raises:
        TypeError: the model is of no family that has a name.
        ValueError: a parameter is not finite or neither float32 nor float64, or `columns` are not
            d different names.
        OSError: the file cannot be written, or `path` is a folder, a device or a pipe; what was
            there is untouched.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from normix.io import load, load_columns, save
        >>> from normix_mixtures import VarianceGamma
        >>> law = VarianceGamma.from_classical([0.1], sigma=[[1.0]], alpha=2.0, beta=2.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.json"
        ...     save(law, path, columns=["USD"])
        ...     same, columns = load(path), load_columns(path)
        >>> type(same).__name__, float(same.mu[0]), float(same.alpha), columns
        ('VarianceGamma', 0.1, 2.0, ('USD',))
    """
    write_atomically(path, to_json(model, columns).encode())


def load(path: str | os.PathLike[str]) -> NormalMixture:
    """Read a model that `save` wrote; the parameters have the dtype they were saved with.

    Where JAX runs without 64-bit floats, a float64 model comes back rounded to float32, with a
    warning.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: not a normix model, a version or family this release does not know, a key that
            is missing or repeated, a wrong shape, a number that is not finite, or contents that do
            not have the checksum they were saved with.
    """
    source = os.fspath(path)
    saved = _read(source)
    dtype = _working_dtype(saved.dtype, source)
    # What overflows in float32 is refused by the constructor.
    with np.errstate(over="ignore"):
        parameters = {
            name: jnp.asarray(np.asarray(value, dtype))
            for name, value in {
                "mu": saved.mu,
                "gamma": saved.gamma,
                "L_Sigma": saved.L_Sigma,
                **saved.subordinator,
            }.items()
        }
    try:
        return FAMILIES[saved.family].from_classical(**parameters)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def load_columns(path: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """The column names saved with a model, or None if there were none.

    Raises:
        OSError, ValueError: as `load`.
    """
    return _read(os.fspath(path)).columns


@dataclass(frozen=True, eq=False)
class _Saved:
    """What a file holds, after every check that needs no model."""

    family: str
    dtype: str
    columns: tuple[str, ...] | None
    mu: NDArray[np.float64]
    gamma: NDArray[np.float64]
    L_Sigma: NDArray[np.float64]
    subordinator: Mapping[str, float]


def to_json(model: NormalMixture, columns: Iterable[str] | None) -> str:
    """The text that `save` writes."""
    family = next((name for name, cls in FAMILIES.items() if type(model) is cls), None)
    if family is None:
        known = ", ".join(cls.__name__ for cls in FAMILIES.values())
        raise TypeError(f"save: model must be one of {known}, got {type(model).__name__}")
    subordinator = model.subordinator_parameters()
    parts = {"mu": model.mu, "gamma": model.gamma, "L_Sigma": model.L_Sigma, **subordinator}
    parameters = {name: np.asarray(value) for name, value in parts.items()}
    mu = parameters["mu"]
    if mu.ndim != 1:
        raise ValueError(f"save: model must be a single law with mu (d,), got mu {mu.shape}")
    dtypes = sorted({str(value.dtype) for value in parameters.values()})
    if not set(dtypes) <= set(_DTYPES):
        raise ValueError(
            f"save: parameters must be {' or '.join(_DTYPES)}, got {', '.join(dtypes)}; make the "
            "model again from parameters of one of these types"
        )
    rows = [_dump(row, "L_Sigma") for row in parameters["L_Sigma"]]
    try:
        names = None if columns is None else _column_names(columns, mu.shape[0])
    except ValueError as error:
        raise ValueError(f"save: {error}") from None
    entries = {
        "format": json.dumps(_FORMAT),
        "version": json.dumps(_VERSION),
        "family": json.dumps(family),
        "dtype": json.dumps(dtypes[-1]),
        "columns": json.dumps(names, ensure_ascii=False),
        "mu": _dump(mu, "mu"),
        "gamma": _dump(parameters["gamma"], "gamma"),
        "L_Sigma": "[\n    " + ",\n    ".join(rows) + "\n  ]",
        "subordinator": "{"
        + ", ".join(f'"{name}": {_dump(parameters[name], name)}' for name in subordinator)
        + "}",
    }
    entries["sha256"] = json.dumps(_checksum(_parse(_braced(entries))))
    return _braced(entries) + "\n"


def _braced(entries: Mapping[str, str]) -> str:
    return "{\n" + ",\n".join(f'  "{key}": {text}' for key, text in entries.items()) + "\n}"


def _dump(array: NDArray[Any], name: str) -> str:
    if not np.all(np.isfinite(array)):
        raise ValueError(f"save: {name} must be finite, got {array}")
    return json.dumps(array.astype(np.float64).tolist())


def _column_names(columns: Any, d: int) -> tuple[str, ...]:
    """d different texts that UTF-8 can hold."""
    listed = isinstance(columns, Iterable) and not isinstance(columns, str)
    names: tuple[Any, ...] = tuple(columns) if listed else ()
    if not listed or len(names) != d:
        raise ValueError(
            f"columns must have {d} names, got {len(names) if listed else reprlib.repr(columns)}"
        )
    wrong = [name for name in names if not isinstance(name, str) or _SURROGATE.search(name)]
    if wrong:
        raise ValueError(
            f"columns must be names, texts that UTF-8 can hold, got {reprlib.repr(wrong[0])}; "
            "turn each into a str"
        )
    repeated = _repeated(names)
    if repeated is not None:
        raise ValueError(f"columns must be different names, got {repeated!r} twice")
    return names


def _repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _parse(text: str) -> Any:
    """JSON with every number a float, so that no integer is too long, and no key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated = _repeated(key for key, _ in pairs)
        if repeated is not None:
            raise ValueError(f"key {reprlib.repr(repeated)} stands twice")
        return dict(pairs)

    return json.loads(text, parse_int=float, object_pairs_hook=unique)


def _checksum(document: Mapping[str, Any]) -> str:
    contents = {key: value for key, value in document.items() if key != "sha256"}
    canonical = json.dumps(contents, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(source: str) -> _Saved:
    """The contents of a file, or a ValueError that names it."""
    text = Path(source).read_bytes()
    try:
        return _checked(_parse(text.decode("utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: not a JSON text ({error})") from None
    except RecursionError:
        raise ValueError(f"{source}: not a normix model (nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _checked(document: Any) -> _Saved:
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f'not a normix model (no "format": "{_FORMAT}")')
    version = document.get("version")
    if isinstance(version, bool) or version != _VERSION:
        raise ValueError(
            f"model format version must be {_VERSION}, got {reprlib.repr(version)}; read it with "
            "the release that wrote it"
        )
    for what, keys in (("missing", _KEYS - set(document)), ("unknown", set(document) - _KEYS)):
        if keys:
            raise ValueError(f"key {what}: {', '.join(map(reprlib.repr, sorted(keys)))}")
    for key, allowed in (("family", tuple(FAMILIES)), ("dtype", _DTYPES)):
        if document[key] not in allowed:
            raise ValueError(
                f"{key} must be one of {', '.join(allowed)}, got {reprlib.repr(document[key])}"
            )
    mu = _array(document, "mu", 1)
    gamma = _array(document, "gamma", 1)
    factor = _array(document, "L_Sigma", 2)
    d = mu.shape[0]
    for name, array, shape in (("gamma", gamma, (d,)), ("L_Sigma", factor, (d, d))):
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, has {array.shape}")
    if d == 0 or np.any(np.triu(factor, 1)) or np.any(np.diagonal(factor) <= 0):
        raise ValueError("L_Sigma must be lower triangular with a positive diagonal, d >= 1")
    columns = document["columns"]
    saved = _Saved(
        family=document["family"],
        dtype=document["dtype"],
        columns=None if columns is None else _column_names(columns, d),
        mu=mu,
        gamma=gamma,
        L_Sigma=factor,
        subordinator=_subordinator(document),
    )
    if document["sha256"] != _checksum(document):
        raise ValueError(
            "the contents do not have the checksum they were saved with; the file was damaged or "
            "edited, so make the model again and save it"
        )
    return saved


def _array(document: Mapping[str, Any], key: str, ndim: int) -> NDArray[np.float64]:
    value = document[key]
    rows = value if ndim == 2 else [value]
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and all(map(_is_finite_number, row)) for row in rows
    ):
        raise ValueError(f"{key} must be a {ndim}-d list of finite numbers")
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"{key} must have rows of one length")
    return np.array(value, dtype=np.float64)


def _subordinator(document: Mapping[str, Any]) -> Mapping[str, float]:
    value, family = document["subordinator"], document["family"]
    names = FAMILIES[family].subordinator_names()
    if (
        not isinstance(value, dict)
        or set(value) != set(names)
        or not all(map(_is_finite_number, value.values()))
    ):
        raise ValueError(
            f"subordinator of {family} must be finite numbers {', '.join(names)}, "
            f"got {reprlib.repr(value)}"
        )
    return value


def _is_finite_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _working_dtype(saved: str, source: str) -> np.dtype[Any]:
    working = jax.dtypes.canonicalize_dtype(saved)
    if working != saved:
        warnings.warn(
            f"{source} holds {saved} parameters and JAX runs in {working}: they are rounded; "
            'call jax.config.update("jax_enable_x64", True) first to keep them',
            stacklevel=3,
        )
    return np.dtype(working)
