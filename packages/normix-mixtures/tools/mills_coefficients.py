"""Print the coefficients of Mills' ratio that `_tail/_mills.py` holds, and their largest error.

    uv run python packages/normix-mixtures/tools/mills_coefficients.py

With t = (z - 4)/(z + 4), which maps z >= 0 to [-1, 1), the function (z + 4) R(z) is smooth in t and
bounded, R(z) = (1 - Φ(z)) / φ(z). Its Chebyshev series is cut where the terms fall below 1e-16 and
rewritten in powers of t, which is well conditioned because the coefficients fall.
"""

import mpmath as mp

CENTRE = 4
DEGREE = 22
NODES = 100


def mills(z: mp.mpf) -> mp.mpf:
    return mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2))


def scaled(t: mp.mpf) -> mp.mpf:
    z = CENTRE * (1 + t) / (1 - t)
    if z > 1e3:  # asymptotic series, DLMF 7.12.1
        return (z + CENTRE) / z * (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8)
    return (z + CENTRE) * mills(z)


def coefficients() -> list[mp.mpf]:
    angles = [mp.pi * (k + mp.mpf(1) / 2) / NODES for k in range(NODES)]
    values = [scaled(mp.cos(x)) for x in angles]
    series = [
        2 / mp.mpf(NODES) * mp.fsum(v * mp.cos(j * x) for v, x in zip(values, angles, strict=True))
        for j in range(DEGREE + 1)
    ]
    series[0] /= 2
    before, last = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    powers = [mp.mpf(0)] * (DEGREE + 1)
    for k, c in enumerate(series):
        polynomial = before if k == 0 else last
        for i, value in enumerate(polynomial):
            powers[i] += c * value
        if k > 0:
            doubled = [mp.mpf(0), *(2 * value for value in last)]
            padded = before + [mp.mpf(0)] * (len(doubled) - len(before))
            before, last = last, [x - y for x, y in zip(doubled, padded, strict=True)]
    return powers


def main() -> None:
    mp.mp.dps = 40
    found = [float(c) for c in coefficients()]
    for c in found:
        print(f"    {c!r},")
    worst = 0.0
    for z in [k / 50 for k in range(2000)]:
        r = 1 / (z + CENTRE)
        t, value = 1 - 2 * CENTRE * r, 0.0
        for c in reversed(found):
            value = value * t + c
        worst = max(worst, abs(float(value * r / mills(mp.mpf(z)) - 1)))
    print(f"largest relative error on [0, 40): {worst:.1e}")


if __name__ == "__main__":
    main()
