"""Draw docs/bessel_error.png: errors of log K_v(z) and its derivatives over the (v, z) plane.

    uv run python docs/scripts/plot_bessel_error.py

takes about half a minute. The exact values are trapezoidal sums of 400 to 4000 nodes in
NumPy's long double (19 digits on x86; elsewhere the picture shows the rounding of what there
is). Errors are relative: log K to max(1, |log K|, √(v² + z²)), ∂v to max(|∂v|, 10^-3).
"""

from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy import special

from normix_bessel import log_kv

TARGET = Path(__file__).parents[1] / "bessel_error.png"
EXTENDED = np.longdouble
DEPTH = EXTENDED(60)  # e^-60 is below the rounding of a long double

Exact = dict[str, np.ndarray]


def excess(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """e^u - 1 - u and e^-u - 1 + u, by series where they would cancel."""
    near = np.abs(u) < 0.3
    square = np.where(near, u * u, 0)
    even, odd = np.ones_like(u), np.ones_like(u)
    for k in range(24, 2, -2):
        even = 1 + even * square / (k * (k - 1))
        odd = 1 + odd * square / (k * (k + 1))
    even, odd = even * square / 2, odd * square * u / 6
    f, g = np.expm1(u) - u, np.expm1(-u) + u
    return np.where(near, even + odd, f), np.where(near, even - odd, g)


def exact(v: np.ndarray, z: np.ndarray, nodes: int) -> Exact:
    """log K, ∂v, ∂z, ∂²v as sums over nodes about the saddle (docs/bessel.md)."""
    v, z = v.astype(EXTENDED), z.astype(EXTENDED)
    w, t0 = np.hypot(v, z), np.arcsinh(v / z)
    gap = z * (z / (w + v))

    def phi(u: np.ndarray) -> np.ndarray:
        f, g = excess(u)
        return (w + v) / 2 * f + gap / 2 * g

    ends = []
    for sign in (-1, 1):
        low, high = np.zeros_like(w), np.full_like(w, 1600)
        for _ in range(60):
            middle = (low + high) / 2
            with np.errstate(over="ignore"):
                above = phi(sign * middle) > DEPTH
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        ends.append(high)
    step = (ends[0] + ends[1]) / (nodes - 1)
    total, u1, u2, p1 = (np.zeros_like(w) for _ in range(4))
    for k in range(nodes):
        u = k * step - ends[0]
        p = phi(u)
        weight = np.exp(-p)
        total, u1, u2, p1 = total + weight, u1 + weight * u, u2 + weight * u * u, p1 + weight * p
    u1, u2, p1 = u1 / total, u2 / total, p1 / total
    return {
        "value": v * t0 - w + np.log(step * total / 2),
        "dv": t0 + u1,
        "dz": -(w + v * u1 + p1) / z,
        "dvv": u2 - u1**2,
    }


def scipy_value(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.log(special.kve(v, z)) - z


def central_difference(v: np.ndarray, z: np.ndarray) -> np.ndarray:
    """∂v with the step 6e-6 max(1, v), near the cube root of rounding."""
    step = 6e-6 * np.maximum(1, v)
    with np.errstate(invalid="ignore"):
        return (scipy_value(v + step, z) - scipy_value(v - step, z)) / (2 * step)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    v, z = np.meshgrid(np.geomspace(1e-2, 1e6, 90), np.geomspace(1e-12, 1e8, 110))
    shape, v, z = v.shape, v.ravel(), z.ravel()
    plateau = (z < 1e-2) & (v < 10)
    true = {name: np.empty(v.shape, EXTENDED) for name in ("value", "dv", "dz", "dvv")}
    for part, nodes in ((plateau, 4000), (~plateau, 400)):
        for name, x in exact(v[part], z[part], nodes).items():
            true[name][part] = x

    value, (dv, dz) = jax.vmap(jax.value_and_grad(log_kv, (0, 1)))(v, z)
    dvv = jax.vmap(jax.grad(jax.grad(log_kv)))(v, z)
    value_size = np.maximum(np.maximum(1, np.abs(true["value"])), np.hypot(v, z))
    dv_size = np.maximum(np.abs(true["dv"]), 1e-3)
    panels = {
        "log K": (value, true["value"], value_size),
        "∂ log K / ∂v": (dv, true["dv"], dv_size),
        "∂ log K / ∂z": (dz, true["dz"], np.abs(true["dz"])),
        "∂² log K / ∂v²": (dvv, true["dvv"], true["dvv"]),
        "scipy: log(kve) - z": (scipy_value(v, z), true["value"], value_size),
        "scipy: central difference in v": (central_difference(v, z), true["dv"], dv_size),
    }

    figure, axes = plt.subplots(
        2, 3, figsize=(12, 7), sharex=True, sharey=True, layout="constrained"
    )
    colours = plt.get_cmap("viridis").copy()
    colours.set_bad("0.75")
    for axis, (title, (got, expected, size)) in zip(axes.flat, panels.items(), strict=True):
        finite = np.isfinite(np.asarray(got))
        held = np.where(finite, got, np.nan).astype(EXTENDED)
        error = np.abs(held - expected) / size
        worst = float(np.nanmax(error))
        print(f"{title}: largest error {worst:.1e}, not finite at {1 - finite.mean():.1%}")
        digits = np.log10(np.maximum(error, 1e-17)).astype(float).reshape(shape)
        mesh = axis.pcolormesh(
            z.reshape(shape), v.reshape(shape), digits, cmap=colours, vmin=-17, vmax=-5
        )
        axis.set(xscale="log", yscale="log", title=f"{title}\nlargest {worst:.0e}")
    for axis in axes[1]:
        axis.set_xlabel("argument z")
    for axis in axes[:, 0]:
        axis.set_ylabel("order v")
    bar = figure.colorbar(mesh, ax=axes, label="log10 of the error (grey: not finite)", shrink=0.8)
    bar.ax.tick_params(labelsize=9)
    figure.savefig(TARGET, dpi=110)


if __name__ == "__main__":
    main()
