"""The stored references and the compiled results that several tests look at."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from mpmath import mp, mpf

from normix_bessel import KvMoments, log_kv, log_kv_moments

_LARGEST = mpf(np.finfo(float).max)


class Reference:
    """tests/reference.json (written by tools/make_reference.py), with errors taken in 40 digits."""

    def __init__(self, path: Path) -> None:
        stored = json.loads(path.read_text())
        columns = dict(zip(stored["columns"], zip(*stored["rows"], strict=True), strict=True))
        self.v, self.z = (np.array(columns.pop(name)) for name in ("v", "z"))
        with mp.workdps(40):
            self._exact = {name: [mpf(x) for x in column] for name, column in columns.items()}
            # E e^t = E e^-t + 2 E sinh t = v/z + E cosh t: all terms positive
            self._exact["ratio_up"] = [
                mpf(v) / mpf(z) - dz
                for v, z, dz in zip(self.v, self.z, self._exact["dz"], strict=True)
            ]

    def __getitem__(self, name: str) -> np.ndarray:
        """A column in double precision, infinite where it exceeds the largest double."""
        return np.array([float(x) for x in self._exact[name]])

    def deviation(self, powers: str) -> np.ndarray:
        """Product of the standard deviations of t and cosh t: the size of a mixed cumulant."""
        with mp.workdps(40):
            sizes = [
                mp.sqrt(vv) ** powers.count("v") * mp.sqrt(zz) ** powers.count("z")
                for vv, zz in zip(self._exact["dvv"], self._exact["dzz"], strict=True)
            ]
        return np.array([float(x) for x in sizes])

    @property
    def scale(self) -> np.ndarray:
        """max(1, |log K|, hypot(v, z)): what the rounding of log K is proportional to."""
        return np.maximum(np.maximum(1.0, np.abs(self["log_kv"])), np.hypot(self.v, self.z))

    def exact(self, name: str) -> list[mpf]:
        return self._exact[name]

    def errors(self, name: str, got: Any, scale: np.ndarray | None = None) -> np.ndarray:
        """|got - exact| / scale, relative to |exact| by default: see `errors_from`."""
        return self.errors_from(
            self._exact[name], got, np.abs(self[name]) if scale is None else scale
        )

    def errors_from(self, exact: list[mpf], got: Any, scale: Sequence[Any]) -> np.ndarray:
        """|got - exact| / scale; 0 where no double holds it, infinite where got is not finite."""
        found = []
        for x, y, s in zip(np.asarray(got, np.float64), exact, scale, strict=True):
            if abs(y) > _LARGEST or (isinstance(s, float) and np.isinf(s)):
                found.append(0.0)
            elif not np.isfinite(x):
                found.append(np.inf)
            else:
                with mp.workdps(40):
                    error = abs(mpf(float(x)) - y)
                    found.append(float(error / mpf(s)) if error else 0.0)
        return np.array(found)


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference(Path(__file__).parent / "reference.json")


@pytest.fixture(scope="session")
def padded(reference) -> Callable[..., Any]:
    """f, v, z -> f(v, z) as numpy, on arrays filled up to one length: f is compiled once."""
    size = len(reference.v)

    def call(f: Callable[..., Any], v: Any, z: Any) -> Any:
        v, z = np.broadcast_arrays(v, z)
        fill = np.ones(size - v.size, v.dtype)
        found = f(np.concatenate([v.ravel(), fill]), np.concatenate([z.ravel(), fill]))
        return jax.tree.map(lambda x: np.asarray(x)[: v.size].reshape(v.shape + x.shape[1:]), found)

    return call


@pytest.fixture(scope="session")
def gradient_of() -> Callable[..., Any]:
    """v, z -> (log K, (∂v, ∂z)), compiled once per shape and dtype."""
    return jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))


@pytest.fixture(scope="session")
def hessian_of() -> Callable[..., Any]:
    """v, z -> ((∂²v, ∂v∂z), (∂z∂v, ∂²z)), compiled once per shape and dtype."""
    return jax.jit(jax.vmap(jax.hessian(log_kv, (0, 1))))


@pytest.fixture(scope="session")
def derivatives(reference, gradient_of, hessian_of) -> dict[str, np.ndarray]:
    """First and second derivatives by automatic differentiation at the reference points."""
    value, (dv, dz) = gradient_of(reference.v, reference.z)
    (vv, vz), (zv, zz) = hessian_of(reference.v, reference.z)
    found = {"log_kv": value, "dv": dv, "dz": dz, "dvv": vv, "dvz": vz, "dzv": zv, "dzz": zz}
    return {name: np.asarray(x) for name, x in found.items()}


@pytest.fixture(scope="session")
def moments(reference) -> Callable[[str], KvMoments]:
    """backend -> its `log_kv_moments` at the reference points, as numpy arrays."""

    @functools.cache
    def of(backend: str) -> KvMoments:
        found = log_kv_moments(reference.v, reference.z, backend=backend)
        return jax.tree.map(np.asarray, found)

    return of
