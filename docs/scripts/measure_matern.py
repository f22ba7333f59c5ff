"""Runs docs/matern.md, prints its figures and draws docs/matern.png.

uv run python docs/scripts/plot_matern.py

The functions and the data are those of the page: its Python blocks are executed here.
"""

import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import mpmath
import numpy as np
from scipy.optimize import brentq

DOCS = Path(__file__).parents[1]
ORDERS = (0.3, 1.2, 3.7, 30.0, 300.0)
ARGUMENTS = (1e-12, 1e-6, 1e-2, 1.0, 100.0)  # ends of the ranges of s
DROP = 1.92  # half the 95% quantile of χ² with one degree of freedom


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


def interval(page: dict[str, Any]) -> tuple[float, float]:
    """The smoothnesses whose profile lies DROP below the maximum."""
    best = float(page["fit"].x[0])

    def excess(log_nu: float) -> float:
        return page["profile"](np.exp(log_nu))[0] - page["log_likelihood"] + DROP

    low = brentq(excess, best - 1.5, best, xtol=1e-4)
    high = brentq(excess, best, best + 1.5, xtol=1e-4)
    return float(np.exp(low)), float(np.exp(high))


def draw(page: dict[str, Any], ends: tuple[float, float]) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")

    r = jnp.linspace(0, 3, 301)
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, 5))
    for nu, shade in zip((0.3, 0.5, 1.2, 2.5, 10.0), shades, strict=True):
        left.plot(r, page["matern"](r, nu, 1.0, 1.0), color=shade, label=f"ν = {nu:g}")
    left.set(xlabel="distance r / ℓ", ylabel="k(r) / σ²", xlim=(0, 3), ylim=(0, 1.02))
    left.legend(frameon=False)

    best, top = float(np.exp(page["fit"].x[0])), page["log_likelihood"]
    grid = np.geomspace(0.45, 3.0, 40)
    right.axvspan(*ends, color="0.9", label=f"95% interval, {ends[0]:.2f} to {ends[1]:.2f}")
    right.axhline(top - DROP, color="0.5", linewidth=1, linestyle="--", label=f"maximum − {DROP}")
    right.plot(grid, [page["profile"](nu)[0] for nu in grid], color=shades[1])
    right.plot(best, top, "o", color=shades[1], label=f"maximum, ν = {best:.2f}")
    true = float(jnp.exp(page["truth"][0]))
    right.axvline(true, color="C3", linewidth=1, linestyle=":", label=f"truth, ν = {true:g}")
    ticks = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    right.set(
        xlabel="smoothness ν", ylabel="profile log-likelihood", xlim=(0.4, 3.05), xticks=ticks
    )
    right.legend(frameon=False, loc="lower right", fontsize=10, handlelength=1.5)
    figure.savefig(DOCS / "matern.png", dpi=150)


def main() -> None:
    text = (DOCS / "matern.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile("\n".join(blocks), "docs/matern.md", "exec"), page)
    print_errors(page)
    ends = interval(page)
    line("95% interval of ν", *(f"{end:.3f}" for end in ends))
    draw(page, ends)


if __name__ == "__main__":
    main()
