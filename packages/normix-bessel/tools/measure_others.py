r"""Print how others do over the (v, z) plane: the classical design, and public implementations.

    uv run --with tfp-nightly --with logbesselk \
        python packages/normix-bessel/tools/measure_others.py [--speed]

takes about three minutes and prints two tables of largest errors, against the exact values of
make_reference.py at 48 points per region: those of measure_accuracy.py, and orders near zero at
small arguments. Errors are relative, log K to max(1, |log K|, hypot(v, z)), ∂v to
max(|∂v|, 1e-3), ∂z and ∂²v to themselves. An implementation that is not installed is left out.

Table 1, the classical design: log K in four regimes (DLMF chapter 10) and central differences in
the order. Each regime is shown alone, everywhere. "Best" takes at each point whichever regime has
the smallest error there, which no rule of dispatch can beat. The differences are of the regime
that is best there and one step up the order (at half-integers alone Hankel's series is exact for
any z, but not its slope), the same at all their points, so no seam lies between. Choices are in
favour of the design: both divergent series end at their smallest term, the range of the
quadrature is fitted to the integrand, and steps, 6e-6 for the first difference and 1e-4 for the
second, grow with the order. The last column is the share of points where the second difference
is not positive, as ∂²v is.

Table 2, implementations: in each cell the share of points where the result is not finite, if
any, and the largest error where it is. Derivatives are automatic. `log_abs_deriv_bessel_k` is
the second function of logbesselk, slower and differentiable in the order.

`--speed` prints times instead, as ratios to log(scipy.special.kve) - z, for orders uniform in
[-50, 50] and arguments log-uniform in [1e-3, 1e3]: medians of nine rounds in which all take
turns, at 10 000 points. They depend on the number of cores, as scipy uses one. It takes a minute.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from make_reference import exact
from measure_accuracy import REGIONS, Region, limits, points
from mpmath import mp, mpf
from numpy.polynomial.polynomial import polyval

from normix_bessel import log_kv
from normix_bessel._debye import polynomials

Array = np.ndarray
Function = Callable[[Array, Array], Array]

# where neither leading term of z -> 0, that of v > 0 or that of v = 0, holds
SMALL_ORDERS = Region((0, 0.1), (1e-300, 1e-8))
PLACES = (SMALL_ORDERS, *REGIONS)
COUNT = 48
ROUNDS = 9
SPEED_SIZE = 10_000
EPS = np.finfo(np.float64).eps


class Exact(NamedTuple):
    v: Array
    z: Array
    value: list[mpf]
    dv: list[mpf]
    dz: list[mpf]
    dvv: list[mpf]


class Implementation(NamedTuple):
    name: str
    value: Function
    traced: Callable[[jax.Array, jax.Array], jax.Array] | None = None  # of scalars, for jax.grad


# The classical design


def _to_smallest_term(terms: Array) -> Array:
    """Σ_k of a divergent series, terms along the first axis, up to its smallest term."""
    size = np.where(np.isfinite(terms), np.abs(terms), np.inf)
    kept = np.arange(len(terms))[:, None] <= np.argmin(size, axis=0)
    return np.sum(np.where(kept, terms, 0.0), axis=0)


def hankel(v: Array, z: Array) -> Array:
    """DLMF 10.40.2, K_v(z) ~ √(π/2z) e^-z Σ a_k(v) / z^k, at most 60 terms."""
    terms = [np.ones_like(z)]
    for k in range(1, 60):
        terms.append(terms[-1] * ((4 * v * v - (2 * k - 1) ** 2) / (8 * k) / z))
    return 0.5 * np.log(np.pi / 2 / z) - z + np.log(_to_smallest_term(np.array(terms)))


def debye(v: Array, z: Array) -> Array:
    """DLMF 10.41.4, at most 15 terms; U_k(p) / v^k is written with w = hypot(v, z), p = v / w."""
    v = np.abs(v)
    w = np.hypot(v, z)
    terms = np.array(
        [polyval((v / w) ** 2, u_k) / (-w) ** k for k, u_k in enumerate(polynomials(15))]
    )
    return (
        0.5 * np.log(np.pi / 2 / w) - w + v * np.arcsinh(v / z) + np.log(_to_smallest_term(terms))
    )


def leading_term(v: Array, z: Array) -> Array:
    """DLMF 10.30.2, K_v(z) ~ ½ Γ(v) (z/2)^-v, and 10.30.3 at v = 0, K_0(z) ~ -log(z/2) - γ."""
    v = np.abs(v)
    of_order = scipy.special.gammaln(v) - np.log(2) + v * (np.log(2) - np.log(z))
    return np.where(v == 0, np.log(np.log(2) - np.log(z) - np.euler_gamma), of_order)


def gauss_legendre(v: Array, z: Array) -> Array:
    """64 points on DLMF 10.32.9, ∫ e^(-z cosh t) cosh(vt) dt from 0 to where e^-40 is left."""
    v = np.abs(v)
    t0, w = np.arcsinh(v / z), np.hypot(v, z)

    def depth(u: Array) -> Array:
        """By how much the logarithm of the integrand has fallen at t0 + u."""
        half_sum, half_gap = (w + v) / 2, z * z / (w + v) / 2
        return half_sum * (np.expm1(u) - u) + half_gap * (np.expm1(-u) + u)

    low, high = np.zeros_like(z), np.full_like(z, 750.0)
    for _ in range(60):
        middle = (low + high) / 2
        far = depth(middle) > 40
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    end = t0 + high
    nodes, weights = np.polynomial.legendre.leggauss(64)
    t = end * (nodes[:, None] + 1) / 2
    exponent = v * t + np.log1p(np.exp(-2 * v * t)) - np.log(2) - z * np.cosh(t)
    return scipy.special.logsumexp(exponent, b=weights[:, None] * end / 2, axis=0)


REGIMES: dict[str, Function] = {
    "Hankel": hankel,
    "Debye": debye,
    "small z": leading_term,
    "Gauss–Legendre": gauss_legendre,
}


def classical_row(region: Region, at: Exact) -> list[str]:
    def by_regime(order: Array) -> list[Array]:
        return [regime(order, at.z) for regime in REGIMES.values()]

    def value_errors(near: Exact) -> list[Array]:
        scale = value_scale(near)
        return [relative_errors(y, near.value, scale) for y in by_regime(near.v)]

    h1, h2 = (EPS**power * np.maximum(1, at.v) for power in (1 / 3, 1 / 4))
    errors = value_errors(at)
    best = np.argmin(np.maximum(errors, value_errors(exact_values(region, h2))), axis=0)

    def chosen(order: Array) -> Array:
        return np.array(by_regime(order))[best, np.arange(COUNT)]

    first = (chosen(at.v + h1) - chosen(at.v - h1)) / (2 * h1)
    second = (chosen(at.v + h2) - 2 * chosen(at.v) + chosen(at.v - h2)) / h2**2
    errors.append(np.min(errors, axis=0))
    errors.append(relative_errors(first, at.dv, slope_scale(at)))
    errors.append(relative_errors(second, at.dvv, at.dvv))
    found = [np.max(e) for e in errors]
    cells = ["nan" if np.isinf(x) else f"{x:.0e}" for x in found]
    return [*cells, f"{np.median(errors[-1]):.0e}", f"{np.mean(second <= 0):.0%}"]


# Implementations


def implementations() -> list[Implementation]:
    """Those that are installed, scipy first and this package last; names those that are not."""
    found = [Implementation("scipy `kve`", lambda v, z: np.log(scipy.special.kve(v, z)) - z)]

    def add(name: str, function: Callable[[jax.Array, jax.Array], jax.Array]) -> None:
        found.append(Implementation(name, jax.jit(jax.vmap(function)), function))

    versions = [f"{name} {version(name)}" for name in ("jax", "scipy", "normix-bessel")]
    try:
        tfp = importlib.import_module("tensorflow_probability.substrates.jax")
        versions.append(f"tensorflow-probability {tfp.__version__}")
        add("tfp `log_bessel_kve`", lambda v, z: tfp.math.log_bessel_kve(v, z) - z)
    except (ImportError, AttributeError) as error:
        print(f"tensorflow-probability is left out, try --with tfp-nightly ({error})")
    try:
        peer = importlib.import_module("logbesselk.jax")
        versions.append(f"logbesselk {version('logbesselk')}")
        add("logbesselk `log_bessel_k`", peer.log_bessel_k)
        add(
            "logbesselk `log_abs_deriv_bessel_k`",
            lambda v, z: peer.log_abs_deriv_bessel_k(v, z, 0, 0),
        )
    except (ImportError, AttributeError) as error:
        print(f"logbesselk is left out, try --with logbesselk ({error})")
    add("normix-bessel", log_kv)
    print(", ".join(versions), end="\n\n")
    return found


def implementation_row(implementation: Implementation, at: Exact) -> list[str]:
    """log K, and ∂v and ∂z where it is traced."""
    value = np.asarray(implementation.value(at.v, at.z))
    cells = [_share_and_error(relative_errors(value, at.value, value_scale(at)))]
    if implementation.traced is None:
        return cells
    exact_slopes = ((at.dv, slope_scale(at)), (at.dz, [abs(y) for y in at.dz]))
    for argument, (expected, scale) in enumerate(exact_slopes):
        try:
            slope = np.asarray(
                jax.jit(jax.vmap(jax.grad(implementation.traced, argument)))(at.v, at.z)
            )
        except (TypeError, ValueError, NotImplementedError):
            cells.append("raises")
            continue
        silent = np.all(slope == 0)
        error = _share_and_error(relative_errors(slope, expected, scale))
        cells.append("0, silently" if silent else error)
    return cells


def _share_and_error(errors: Array) -> str:
    lost = np.isinf(errors)
    share = f"{np.mean(lost):.0%} lost" if np.any(lost) else ""
    error = "" if np.all(lost) else f"{np.max(errors[~lost]):.0e}"
    return ", ".join(filter(None, (share, error)))


# Both tables


def exact_values(region: Region, shift: Array | float = 0.0) -> Exact:
    """At the points of the region, with `shift` added to their orders."""
    v, z = points(region, COUNT)
    v = v + shift
    columns = zip(*(exact(a, b) for a, b in zip(v.tolist(), z.tolist(), strict=True)), strict=True)
    value, dv, dz, dvv = map(list, list(columns)[:4])
    return Exact(v, z, value, dv, dz, dvv)


def value_scale(at: Exact) -> list[mpf]:
    return [max(1, abs(y), mp.hypot(a, b)) for y, a, b in zip(at.value, at.v, at.z, strict=True)]


def slope_scale(at: Exact) -> list[mpf]:
    return [max(abs(y), mpf("1e-3")) for y in at.dv]


def relative_errors(got: Array, expected: list[mpf], scale: list[mpf]) -> Array:
    """inf where the result is not finite."""
    return np.array(
        [
            float(abs(mpf(float(g)) - y) / s) if np.isfinite(g) else np.inf
            for g, y, s in zip(got, expected, scale, strict=True)
        ]
    )


def print_row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def print_tables() -> None:
    others = implementations()
    exacts = [exact_values(region) for region in PLACES]
    titles = ["v", "z", *REGIMES, "best: log K", "∂v", "∂²v", "∂²v, median", "∂²v <= 0"]
    print_row(titles)
    print_row(["---"] * len(titles))
    for region, at in zip(PLACES, exacts, strict=True):
        print_row([limits(region), *classical_row(region, at)])
    titles = ["v", "z"]
    for other in others:
        titles += [f"{other.name}: log K"] + ["∂v", "∂z"] * (other.traced is not None)
    print()
    print_row(titles)
    print_row(["---"] * len(titles))
    for region, at in zip(PLACES, exacts, strict=True):
        print_row([limits(region), *(c for other in others for c in implementation_row(other, at))])


# Times


def print_speed() -> None:
    rng = np.random.default_rng(0)
    v = rng.uniform(-50, 50, SPEED_SIZE)
    z = np.exp(rng.uniform(*np.log((1e-3, 1e3)), SPEED_SIZE))
    others = implementations()
    reference = others[0].value(v, z)
    finite = np.isfinite(reference)
    calls: list[tuple[str, Callable[[], object]]] = [
        (others[0].name, lambda: others[0].value(v, z))
    ]
    for other in others[1:]:
        assert other.traced is not None
        value = np.asarray(other.value(v, z))
        agrees = np.abs(value - reference) <= 1e-6 * np.maximum(1, np.abs(reference))
        print(f"{other.name}: {np.mean(~agrees[finite]):.1%} differ from scipy by more than 1e-6")
        with_slopes = jax.jit(jax.vmap(jax.value_and_grad(other.traced, (0, 1))))
        arguments = jnp.asarray(v), jnp.asarray(z)
        for name, function in ((other.name, other.value), (f"{other.name} + ∂", with_slopes)):
            calls.append((name, lambda f=function, a=arguments: jax.block_until_ready(f(*a))))
    print(f"\nscipy is finite at {np.mean(finite):.1%} of {SPEED_SIZE} points\n")
    print_row(["", "time / scipy"])
    print_row(["---"] * 2)
    ratios = _ratios([call for _, call in calls])
    for (name, _), ratio in zip(calls, ratios, strict=True):
        print_row([name, f"{ratio:.2g}"])


def _ratios(calls: list[Callable[[], object]]) -> Array:
    for call in calls:
        call()
    times = np.empty((ROUNDS, len(calls)))
    for i in range(ROUNDS):
        for j, call in enumerate(calls):
            start = time.perf_counter()
            call()
            times[i, j] = time.perf_counter() - start
    return np.median(times / times[:, :1], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", action="store_true", help="print times instead")
    jax.config.update("jax_enable_x64", True)
    mp.dps = 45
    np.seterr(all="ignore")
    print_speed() if parser.parse_args().speed else print_tables()


if __name__ == "__main__":
    main()
