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
      "subordinator": {"p": ..., "a": ..., "b": ...}
    }

`family` is a key of `normix_fit.FAMILIES`; the subordinator's parameters have the names that
`from_classical` of the family gives them. JSON numbers are the shortest decimals that read back as
the same double.
"""

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from normix_fit import FAMILIES
from normix_mixtures import NormalMixture

from ._files import write_atomically
from ._parameters import subordinator_parameters

__all__ = ["load", "load_columns", "save"]

_FORMAT: Final = "normix-model"
_VERSION: Final = 1
_DTYPES: Final = ("float32", "float64")


def save(
    model: NormalMixture,
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
) -> None:
    """Write a model as JSON. A file of that name is replaced, in one step, once all is written.

    Args:
        model: one normal mixture of a family in `normix_fit.FAMILIES`, not a batch of them.
        path: where to; the folder must exist.
        columns: the d names of the coordinates, kept for `load_columns`.

    Raises:
        TypeError: the model is of no family that has a name.
        ValueError: a parameter is not finite, or `columns` has not d names.
        OSError: the file cannot be written; what was there is untouched.

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
    write_atomically(path, _to_json(model, columns).encode())


def load(path: str | os.PathLike[str]) -> NormalMixture:
    """Read a model that `save` wrote; the parameters have the dtype they were saved with.

    Where JAX runs without 64-bit floats, a float64 model comes back rounded to float32, with a
    warning.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: not a normix model, a version or family this release does not know, a missing
            key, a wrong shape or a number that is not finite.
    """
    source = os.fspath(path)
    document = _read(source)
    mu = _array(document, "mu", 1, source)
    gamma = _array(document, "gamma", 1, source)
    factor = _array(document, "L_Sigma", 2, source)
    d = mu.shape[0]
    for name, array, shape in (("gamma", gamma, (d,)), ("L_Sigma", factor, (d, d))):
        if array.shape != shape:
            raise ValueError(f"{source}: {name} must have shape {shape}, has {array.shape}")
    if d == 0 or np.any(np.triu(factor, 1)) or np.any(np.diagonal(factor) <= 0):
        raise ValueError(
            f"{source}: L_Sigma must be lower triangular with a positive diagonal, d >= 1"
        )
    family = document["family"]
    subordinator = _subordinator(document, family, source)
    dtype = _working_dtype(document["dtype"], source)
    constructor: Any = FAMILIES[family]
    model: NormalMixture = constructor.from_classical(
        mu=jnp.asarray(mu.astype(dtype)),
        gamma=jnp.asarray(gamma.astype(dtype)),
        L_Sigma=jnp.asarray(factor.astype(dtype)),
        **{name: jnp.asarray(np.asarray(x, dtype)) for name, x in subordinator.items()},
    )
    return model


def load_columns(path: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """The column names saved with a model, or None if there were none.

    Raises:
        OSError, ValueError: as `load`.
    """
    source = os.fspath(path)
    columns = _read(source).get("columns")
    if columns is None:
        return None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"{source}: columns must be a list of names or null")
    return tuple(columns)


def _to_json(model: NormalMixture, columns: Sequence[str] | None) -> str:
    family = next((name for name, cls in FAMILIES.items() if type(model) is cls), None)
    if family is None:
        known = ", ".join(cls.__name__ for cls in FAMILIES.values())
        raise TypeError(f"save: model must be one of {known}, got {type(model).__name__}")
    mu = np.asarray(model.mu)
    if mu.ndim != 1:
        raise ValueError(f"save: model must be a single law with mu (d,), got mu {mu.shape}")
    if columns is not None and len(columns) != mu.shape[0]:
        raise ValueError(f"save: columns must have {mu.shape[0]} names, got {len(columns)}")
    rows = [_dump(row, "L_Sigma") for row in np.asarray(model.L_Sigma)]
    subordinator = {
        name: np.asarray(getattr(model, name)) for name in subordinator_parameters(type(model))
    }
    entries = {
        "format": json.dumps(_FORMAT),
        "version": json.dumps(_VERSION),
        "family": json.dumps(family),
        "dtype": json.dumps(str(mu.dtype)),
        "columns": json.dumps(None if columns is None else list(columns), ensure_ascii=False),
        "mu": _dump(mu, "mu"),
        "gamma": _dump(np.asarray(model.gamma), "gamma"),
        "L_Sigma": "[\n    " + ",\n    ".join(rows) + "\n  ]",
        "subordinator": "{"
        + ", ".join(f'"{name}": {_dump(value, name)}' for name, value in subordinator.items())
        + "}",
    }
    return "{\n" + ",\n".join(f'  "{key}": {text}' for key, text in entries.items()) + "\n}\n"


def _dump(array: NDArray[Any], name: str) -> str:
    if not np.all(np.isfinite(array)):
        raise ValueError(f"save: {name} must be finite, got {array}")
    return json.dumps(array.astype(np.float64).tolist())


def _read(source: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(source).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: not a JSON text ({error})") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f'{source}: not a normix model (no "format": "{_FORMAT}")')
    if document.get("version") != _VERSION:
        raise ValueError(
            f"{source}: model format version must be {_VERSION}, got "
            f"{document.get('version')!r}; read it with the release that wrote it"
        )
    wanted = ("family", "dtype", "mu", "gamma", "L_Sigma", "subordinator")
    missing = [key for key in wanted if key not in document]
    if missing:
        raise ValueError(f"{source}: key missing: {', '.join(missing)}")
    for key, allowed in (("family", tuple(FAMILIES)), ("dtype", _DTYPES)):
        if document[key] not in allowed:
            raise ValueError(
                f"{source}: {key} must be one of {', '.join(allowed)}, got {document[key]!r}"
            )
    return document


def _array(document: Mapping[str, Any], key: str, ndim: int, source: str) -> NDArray[np.float64]:
    value = document[key]
    rows = value if ndim == 2 else [value]
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and all(map(_is_finite_number, row)) for row in rows
    ):
        raise ValueError(f"{source}: {key} must be a {ndim}-d list of finite numbers")
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"{source}: {key} must have rows of one length")
    return np.array(value, dtype=np.float64)


def _subordinator(document: Mapping[str, Any], family: str, source: str) -> dict[str, float]:
    value = document["subordinator"]
    names = subordinator_parameters(FAMILIES[family])
    if (
        not isinstance(value, dict)
        or set(value) != set(names)
        or not all(map(_is_finite_number, value.values()))
    ):
        raise ValueError(
            f"{source}: subordinator of {family} must be finite numbers {', '.join(names)}, "
            f"got {value!r}"
        )
    return value


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _working_dtype(saved: str, source: str) -> np.dtype[Any]:
    working = jax.dtypes.canonicalize_dtype(saved)
    if working != saved:
        warnings.warn(
            f"{source} holds {saved} parameters and JAX runs in {working}: they are rounded; "
            'call jax.config.update("jax_enable_x64", True) first to keep them',
            stacklevel=3,
        )
    return np.dtype(working)
