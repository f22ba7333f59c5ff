"""Errors of the functions of docs/tutorials/matern.md against mpmath, as its tables state them.

uv run python docs/scripts/measure_matern.py

The functions are those of the page: the cells that define them are executed here.
"""

import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

DOCS = Path(__file__).parents[1]
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


def print_errors(page: dict[str, Any]) -> None:
    mpmath.mp.dps = 40
    value_and_order = jax.jit(
        jax.vmap(jax.value_and_grad(page["matern"], argnums=1), in_axes=(0, None, None, None))
    )
    line("s", *(f"ν = {nu:g}" for nu in ORDERS))
    line(*["---"] * (1 + len(ORDERS)))
    of_slope = 0.0
    for low, high in pairwise(ARGUMENTS):
        cells = []
        for nu in ORDERS:
            r = np.geomspace(low, high, 13) / np.sqrt(2 * nu)
            values, slopes = value_and_order(jnp.asarray(r), nu, 1.0, 1.0)
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
    line("r", "∂k/∂r, ν = 1.2", "relative error, automatic", "relative error, matern_slope")
    for r in (1e-2, 1e-4, 1e-6, 1e-8):
        true = exact_slope(r, mpmath.mpf(1.2))
        automatic = float(jax.grad(page["matern"])(r, 1.2, 1.0, 1.0))
        direct = float(page["matern_slope"](r, 1.2, 1.0, 1.0))
        errors = (f"{float(abs(value / true - 1)):.0e}" for value in (automatic, direct))
        line(r, f"{float(true):.2e}", *errors)


def main() -> None:
    text = (DOCS / "tutorials" / "matern.md").read_text(encoding="utf-8")
    before_the_data = text[: text.index("## Fitting the smoothness")]
    cells = re.findall(
        r"^```\{code-cell\} python\n(.*?)^```", before_the_data, flags=re.MULTILINE | re.DOTALL
    )
    page: dict[str, Any] = {}
    exec(compile("\n".join(cells), "matern.md", "exec"), page)
    print_errors(page)


if __name__ == "__main__":
    main()
