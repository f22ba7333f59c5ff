"""Errors of `matern` against mpmath, as the tables of docs/tutorials/matern.md state them.

uv run python docs/scripts/measure_matern.py
"""

import sys
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from normix_bessel import matern

jax.config.update("jax_enable_x64", True)

ORDERS = (0.3, 1.2, 3.7, 30.0, 300.0)
ARGUMENTS = (1e-12, 1e-6, 1e-2, 1.0, 100.0)  # ends of the ranges of s


def line(*cells: object) -> None:
    sys.stdout.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")


def exact(r: float, nu: Any) -> Any:
    """The covariance with ℓ = σ = 1."""
    s = mpmath.sqrt(2 * nu) * r
    return 2 ** (1 - nu) / mpmath.gamma(nu) * s**nu * mpmath.besselk(nu, s)


def exact_slope(r: float, nu: Any) -> Any:
    """Its derivative in r, from DLMF 10.29.4."""
    s = mpmath.sqrt(2 * nu) * r
    factor = 2 ** (1 - nu) / mpmath.gamma(nu) * mpmath.sqrt(2 * nu)
    return -factor * s**nu * mpmath.besselk(nu - 1, s)


def main() -> None:
    mpmath.mp.dps = 40
    value_and_order = jax.jit(jax.vmap(jax.value_and_grad(matern, argnums=1), in_axes=(0, None)))
    line("s", *(f"ν = {nu:g}" for nu in ORDERS))
    line(*["---"] * (1 + len(ORDERS)))
    of_slope = 0.0
    for low, high in pairwise(ARGUMENTS):
        cells = []
        for nu in ORDERS:
            r = np.geomspace(low, high, 13) / np.sqrt(2 * nu)
            values, slopes = value_and_order(jnp.asarray(r), nu)
            order = mpmath.mpf(nu)
            of_value = 0.0
            for at, value, slope in zip(r.tolist(), values.tolist(), slopes.tolist(), strict=True):
                true = exact(at, order)
                true_slope = mpmath.diff(lambda v, at=at: exact(at, v), order)
                of_value = max(of_value, float(abs(value / true - 1)))
                of_slope = max(of_slope, float(abs(slope - true_slope)))
            cells.append(f"{of_value:.0e}")
        line(f"{low:g} to {high:g}", *cells)
    line("largest error of ∂k/∂ν", f"{of_slope:.0e}")
    line("r", "∂k/∂r, ν = 1.2", "relative error")
    for r in (1e-2, 1e-4, 1e-6, 1e-8):
        true = exact_slope(r, mpmath.mpf(1.2))
        error = abs(float(jax.grad(matern)(r, 1.2)) / true - 1)
        line(r, f"{float(true):.2e}", f"{float(error):.0e}")


if __name__ == "__main__":
    main()
