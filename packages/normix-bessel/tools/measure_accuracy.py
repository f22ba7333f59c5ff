"""Largest errors of log K_v(z) and its derivatives at the stored references, by region.

    uv run python packages/normix-bessel/tools/measure_accuracy.py

prints the Markdown table of docs/bessel.md. The references are tests/reference.json, 30 digits
each; the errors are

- value: |error| / max(1, |log K|, hypot(v, z)),
- ∂v: |error| / max(|∂v|, 1e-3), which vanishes at v = 0,
- ∂z and the pure second derivatives: relative,
- ∂v∂z: |error| / max(|∂v∂z|, 1e-3 √(∂²v ∂²z)), which vanishes at v = 0 as well.

Rows "jax" differentiate `log_kv`; rows "cpu" take value and slopes from `log_kv_moments` and the
second derivatives from its covariance. Rows "float32" compare with float64 at the inputs as
float32 holds them. Results that the precision cannot hold are left out.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from mpmath import mp, mpf

from normix_bessel import log_kv, log_kv_moments

REFERENCE = Path(__file__).parents[1] / "tests" / "reference.json"
NAMES = ("log_kv", "dv", "dz", "dvv", "dvz", "dzz")
HEADINGS = ("value", "∂v", "∂z", "∂²v", "∂v∂z", "∂²z")
CPU_ARGUMENT = 1e-150  # below it the covariance of the moments may overflow
FLOAT32_ARGUMENT = 1e-35

hessian = jax.jit(jax.vmap(jax.hessian(log_kv, (0, 1))))
gradient = jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))


def read() -> tuple[np.ndarray, np.ndarray, dict[str, list[mpf]]]:
    """v, z and the exact columns."""
    stored = json.loads(REFERENCE.read_text(encoding="utf-8"))
    columns = dict(zip(stored["columns"], zip(*stored["rows"], strict=True), strict=True))
    v, z = (np.array(columns[name], np.float64) for name in ("v", "z"))
    return v, z, {name: [mpf(x) for x in columns[name]] for name in NAMES}


def regions(v: np.ndarray, z: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """A partition of the points."""
    small = (v < 10) & (z < 0.1)
    large = np.hypot(v, z) > 1e3
    yield "v < 10, z < 0.1 (series)", small
    yield "v < 10, 0.1 ≤ z ≤ 1e3", (v < 10) & ~small & ~large
    yield "10 ≤ v ≤ 1e3, z ≤ 1e3", (v >= 10) & ~large
    yield "hypot(v, z) > 1e3", large


def by_jax(v: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """Value and derivatives by automatic differentiation, in the dtype of the inputs."""
    value, (dv, dz) = gradient(v, z)
    (dvv, dvz), (_, dzz) = hessian(v, z)
    found = (value, dv, dz, dvv, dvz, dzz)
    return {name: np.asarray(x, np.float64) for name, x in zip(NAMES, found, strict=True)}


def by_cpu(v: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """The same from the moments of the CPU backend: z cosh t - w = v u + ½(w+v) f + ½(w-v) g."""
    m = log_kv_moments(v, z, backend="cpu")
    weights = np.stack([v, (m.w + v) / 2, z * (z / (m.w + v)) / 2], axis=-1)
    with np.errstate(all="ignore"):
        dvz = -np.einsum("ij,ij->i", weights, m.cov[:, 0]) / z
        dzz = np.einsum("ij,ijk,ik->i", weights, m.cov, weights) / z / z
    found = (log_kv(v, z, backend="cpu"), m.dv, m.dz, m.cov[:, 0, 0], dvz, dzz)
    return dict(zip(NAMES, found, strict=True))


def scales(v: np.ndarray, z: np.ndarray, exact: dict[str, list[mpf]]) -> dict[str, list[mpf]]:
    """What each error is divided by."""
    sizes = {name: [abs(x) for x in column] for name, column in exact.items()}
    w = np.hypot(v, z)
    deviation = [mp.sqrt(a * b) for a, b in zip(sizes["dvv"], sizes["dzz"], strict=True)]
    floors = {
        "log_kv": [max(mpf(1), mpf(float(x))) for x in w],
        "dv": [mpf("1e-3")] * len(v),
        "dvz": [x / 1000 for x in deviation],
    }
    for name, floor in floors.items():
        sizes[name] = [max(x, y) for x, y in zip(sizes[name], floor, strict=True)]
    return sizes


def largest(
    got: dict[str, np.ndarray],
    exact: dict[str, list[mpf]],
    scale: dict[str, list[mpf]],
    keep: np.ndarray,
    holds: float,
) -> list[str]:
    """One row: the largest scaled error per quantity; inf if a result is not finite."""
    row = []
    for name in NAMES:
        errors = [
            float(abs(mpf(float(got[name][i])) - exact[name][i]) / scale[name][i])
            if np.isfinite(got[name][i])
            else np.inf
            for i in np.flatnonzero(keep)
            if abs(exact[name][i]) < holds
        ]
        row.append(f"{max(errors):.1e}" if errors else "-")
    return row


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    with mp.workdps(40):
        v, z, exact = read()
        scale = scales(v, z, exact)
        safe = np.where(z >= FLOAT32_ARGUMENT, z, 1.0)
        v32, z32 = v.astype(np.float32), safe.astype(np.float32)
        wide = by_jax(v32.astype(np.float64), z32.astype(np.float64))
        exact32 = {name: [mpf(float(x)) for x in column] for name, column in wide.items()}
        scale32 = scales(v32.astype(np.float64), z32.astype(np.float64), exact32)
        largest64, largest32 = float(np.finfo(np.float64).max), float(np.finfo(np.float32).max)
        every, held = np.ones(len(v), bool), z >= CPU_ARGUMENT
        cases = (
            ("jax", by_jax(v, z), exact, scale, every, largest64),
            ("cpu", by_cpu(v, z), exact, scale, held, largest64),
            ("jax, float32", by_jax(v32, z32), exact32, scale32, z >= FLOAT32_ARGUMENT, largest32),
        )
        print("| region | backend | points |", " | ".join(HEADINGS), "|")
        print("|---|---|---|" + "---|" * len(HEADINGS))
        for region, inside in regions(v, z):
            for backend, got, true, sizes, usable, holds in cases:
                keep = inside & usable
                row = largest(got, true, sizes, keep, holds)
                print("|", " | ".join([region, backend, str(keep.sum()), *row]), "|")


if __name__ == "__main__":
    main()
