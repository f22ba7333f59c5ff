"""Write tests/reference.json: log K_v(z), its derivatives and K_{v-1}/K_v, by integration.

    uv run python packages/normix-bessel/tools/make_reference.py

takes a minute and writes 30 digits. mpmath.besselk is wrong in places at large order and
small argument, so it is not used. With t0 = asinh(v/z), w = hypot(v, z), u = t - t0,

    -z cosh t + v t = (-w + v t0) - φ(u),   φ(u) = ½ (w + v)(e^u - 1 - u) + ½ (w - v)(e^-u - 1 + u),

and z cosh t = w + c with c = v u + φ(u), the derivatives of log K are the cumulants of (t, -c/z)
under e^-φ. They are taken with the trapezoidal rule in `DIGITS` digits on a grid that ends where
e^-φ < 1e-69, and again on every other node: the two must agree to 32 digits, else the grid is
refined. Third derivatives, of which some vanish, agree to 32 digits of the product of standard
deviations that bounds their size.

`--check` compares the stored values with DLMF 10.27.4, K_v = π/2 (I_-v - I_v) / sin(πv), summed
from the power series DLMF 10.25.2 with enough digits to survive the cancellation; it shares
nothing with the integral.
"""

import argparse
import json
import math
from itertools import product
from pathlib import Path

import mpmath
from mpmath import mp, mpf

DIGITS = 75
TARGET = Path(__file__).resolve().parent.parent / "tests" / "reference.json"
DERIVATIVES = ("", "v", "z", "vv", "vz", "zz", "vvv", "vvz", "vzz", "zzz")

Numbers = tuple[mpf, ...]


def _points() -> list[tuple[float, float]]:
    """The bulk, the seams of both backends, and the extremes."""
    orders = [0.0, 1e-8, 1e-3, 0.3, 0.5, 1.0, 1.5, 2.3, 3.77, 7.0, 12.25, 30.5, 100.0, 333.3, 1e3]
    arguments = [1e-8, 3.1e-6, 1e-3, 0.04, 0.31, 1.0, 2.9, 12.0, 150.0, 2.5e3, 1e5]
    bulk = product(orders, arguments)

    def around(x: float) -> list[float]:
        return [math.nextafter(x, 0.0), x]

    corner_edge = product([0.0, 0.2, 2.3, 4.5, 6.2, 6.9], around(0.3))
    corner_top = product(around(7.0), [1e-8, 1e-3, 0.2999, 0.3, 3.0])
    halves = [(order, z) for k in (0.5, 1.5, 4.5, 6.5) for order in around(k) for z in (1e-8, 0.05)]
    worst = [(0.176, 0.3126), (0.11, 0.32), (0.22, 0.309), (0.33, 0.302), (3.1, 0.301)]
    # hypot(v, z) = 25, where the uniform expansion begins
    seam = [*((0.0, z) for z in around(25.0)), *((v, 1e-3) for v in around(25.0))]
    seam += [(15.0, 20.0), (20.0, 15.0), (25.0, 1e-200)]
    # hypot(v, z) = 64, where a batch changes to the shorter rule
    far = [(0.0, 64.0), (1e-4, 64.0), (38.4, 51.2), (51.2, 38.4), (64.0, 1e-3), (64.0, 1e-200)]
    near_integer = [(k + d, 0.02) for k in (1.0, 2.0, 8.0) for d in (-1e-9, 0.0, 1e-9)]
    # where scipy.special.kve overflows, or is nan
    overflow = [
        *[(234.5, z) for z in (1.0, 5.0, 9.0, 14.0, 20.0)],
        *[(1000.0, z) for z in (0.5, 400.0, 600.0, 650.0)],
        *[(39.9, 1e-8), (40.1, 1e-8), (6.99, 1e-40), (9.99, 1e-40), (11.4, 1e-30), (38.0, 1e-9)],
        *[(v, z) for v in (0.0, 2.5, 1e4) for z in (2.0**29, 2.0**30 + 64, 2.0**31)],
    ]
    tiny = product([0.0, 1e-8, 0.5, 0.9, 1.0, 2.7, 9.75], [1e-300, 1e-160, 1e-60, 1e-30, 1e-15])
    huge = product([1e4, 1e5, 1e6], [1e-300, 1e-30, 1e-3, 10.0, 4e3, 1e6, 1e8])
    wide = product([0.0, 0.7, 25.0, 950.0], [1e6, 1e8])
    groups = (
        *(bulk, corner_edge, corner_top, halves, near_integer, worst, seam, far),
        *(overflow, tiny, huge, wide),
    )
    return list(dict.fromkeys(point for group in groups for point in group))


def _grid(v: mpf, z: mpf, step: mpf) -> list[Numbers]:
    """(e^-φ, u, c, e^-u) at u = k step, ordered by k, from end to end; u = 0 has even index."""
    w = mp.hypot(v, z)
    half_sum, half_gap = (w + v) / 2, z * z / (w + v) / 2

    def walk(h: mpf) -> list[Numbers]:
        nodes, growth, shrink = [], mp.exp(h), mp.exp(-h)
        up, down, u = mpf(1), mpf(1), mpf(0)
        while True:
            u, up, down = u + h, up * growth, down * shrink
            phi = half_sum * (up - 1 - u) + half_gap * (down - 1 + u)
            nodes.append((mp.exp(-phi), u, v * u + phi, down))
            if phi > 160 + abs(u):
                return nodes if len(nodes) % 2 == 0 else nodes[:-1]

    return [*reversed(walk(-step)), (mpf(1), mpf(0), mpf(0), mpf(1)), *walk(step)]


def _log_derivatives(v: mpf, z: mpf, step: mpf, nodes: list[Numbers]) -> Numbers:
    total = mp.fsum(g for g, *_ in nodes)
    u0 = mp.fsum(g * u for g, u, *_ in nodes) / total
    c0 = mp.fsum(g * c for g, _, c, _ in nodes) / total
    centred = [(g / total, u - u0, c - c0) for g, u, c, _ in nodes]

    def cumulant(powers: str) -> mpf:
        i, j = powers.count("v"), powers.count("z")
        return mp.fsum(g * u**i * c**j for g, u, c in centred) * (-1 / z) ** j

    t0, w = mp.asinh(v / z), mp.hypot(v, z)
    value = v * t0 - w + mp.log(step * total / 2)
    ratio_down = mp.exp(-t0) * mp.fsum(g * down for g, *_, down in nodes) / total
    derivatives = (t0 + u0, -(w + c0) / z, *(cumulant(name) for name in DERIVATIVES[3:]))
    return (value, *derivatives, ratio_down)


def exact(v: float, z: float) -> Numbers:
    """log K, the derivatives in the order of `DERIVATIVES`, K_{v-1} / K_v; to 30 digits or more."""
    order, argument = mpf(v), mpf(z)
    step = min(mpf(1) / 10, 2 / (5 * mp.sqrt(mp.hypot(order, argument))))
    return _log_derivatives(order, argument, step, _grid(order, argument, step))


def _reference(v: float, z: float) -> list[str]:
    order, argument = mpf(v), mpf(z)
    step = min(mpf(1) / 20, 1 / (5 * mp.sqrt(mp.hypot(order, argument))))
    while True:
        nodes = _grid(order, argument, step)
        fine = _log_derivatives(order, argument, step, nodes)
        coarse = _log_derivatives(order, argument, 2 * step, nodes[::2])
        if v == 0:  # odd cumulants of t vanish by symmetry
            odd = [*(name.count("v") % 2 == 1 for name in DERIVATIVES), False]
            fine, coarse = (
                tuple(mpf(0) if o else x for o, x in zip(odd, xs, strict=True))
                for xs in (fine, coarse)
            )
        deviation_v, deviation_z = mp.sqrt(fine[3]), mp.sqrt(fine[5])
        scales = (
            *map(abs, fine[:6]),
            *(deviation_v ** d.count("v") * deviation_z ** d.count("z") for d in DERIVATIVES[6:]),
            fine[-1],
        )
        agree = zip(fine, coarse, scales, strict=True)
        if all(abs(a - b) <= mpf(10) ** -32 * scale for a, b, scale in agree):
            return [mp.nstr(x, 30, strip_zeros=True) for x in fine]
        step /= 2


def _by_power_series(v: float, z: float) -> mpf:
    """log K_v(z) for moderate z; v must not be an integer."""
    # I_-v - I_v cancels to about e^-2z, and near an integer order to its distance
    with mp.workdps(60 + int(z)):
        quarter, order = mpf(z) ** 2 / 4, mpf(v)

        def bessel_i(nu: mpf) -> mpf:
            term = (mpf(z) / 2) ** nu * mp.rgamma(nu + 1)
            total, k = term, 0
            while abs(term) > mp.eps * abs(total) or k < abs(nu):
                k += 1
                term = term * quarter / (k * (nu + k))
                total += term
            return total

        difference = bessel_i(-order) - bessel_i(order)
        return mp.log(mp.pi / 2 * difference / mp.sin(mp.pi * order))


def _check() -> None:
    rows = json.loads(TARGET.read_text())["rows"]
    suited = [r for r in rows if r[1] <= 200 and r[0] <= 1e4 and r[0] != int(r[0])]
    worst = mpf(0)
    for v, z, stored, *_ in suited:
        error = abs(_by_power_series(v, z) - mpf(stored)) / max(1, abs(mpf(stored)))
        worst = max(worst, error)
    print(f"{len(suited)} points, largest relative difference {mpmath.nstr(worst, 3)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the stored values instead")
    mp.dps = DIGITS
    if parser.parse_args().check:
        _check()
        return
    rows = [json.dumps([v, z, *_reference(v, z)]) for v, z in _points()]
    names = ["v", "z", *("log_kv" if not d else f"d{d}" for d in DERIVATIVES), "ratio_down"]
    body = ",\n".join(rows)
    TARGET.write_text(f'{{"columns": {json.dumps(names)},\n"rows": [\n{body}\n]}}\n')
    print(f"{len(rows)} points -> {TARGET.name}")


if __name__ == "__main__":
    main()
