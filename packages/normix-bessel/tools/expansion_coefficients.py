"""Print _uniform_tables.py: log of the sum of Debye's expansion, fitted from a limit of w on.

    uv run python packages/normix-bessel/tools/expansion_coefficients.py

takes half a minute. With ξ = limit / w and s = v²/w² the function is

    L(ξ, s) = log(K_v(z) e^(w - v asinh(v/z)) √(2w/π)) ~ ξ Σ ξ^i (polynomial of degree i + 1 in s)

for large w. The polynomials are fitted by least squares to integrals of 40 digits at products of
Chebyshev points. With a few powers of s more than the expansion has, from i = 1 on, half of the
terms in ξ that it would need leave 5e-18. At s = 1 an error of the fit oscillates fastest: a
derivative there multiplies it by the square of the degree.
"""

from typing import NamedTuple

from mpmath import mp, mpf

NODES = 17  # in each variable
DEPTH = 92  # e^-DEPTH is below the digits


class Fit(NamedTuple):
    limit: int
    powers: int  # of ξ
    extra: int  # powers of s beyond those of the expansion

    def degree(self, i: int) -> int:
        return i + 1 + (self.extra if i else 0)


FITS = (Fit(25, 11, 3), Fit(64, 8, 1))
HEADER = '''"""Tables of `_uniform`, made by tools/expansion_coefficients.py."""

from typing import NamedTuple


class Table(NamedTuple):
    """L(ξ, s) with ξ = limit / w, for w >= limit."""

    limit: float
    coefficients: tuple[tuple[float, ...], ...]  # of ξ, ξ², .., each ascending in s

'''


def log_sum(w: mpf, s: mpf) -> mpf:
    """L by the trapezoidal rule about the saddle, whose integrand is √(2π/w) e^L in all."""
    p = mp.sqrt(s)
    rise, fall = w * (1 + p) / 2, w * (1 - s) / (1 + p) / 2

    def phi(u: mpf) -> mpf:
        e = mp.exp(u)
        return rise * (e - 1 - u) + fall * (1 / e - 1 + u)

    def end(sign: int) -> mpf:
        low, high = mpf(0), mpf(64)
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if phi(sign * middle) < DEPTH else (low, middle)
        return high

    left, right, nodes = end(-1), end(1), 150
    h = (left + right) / nodes
    total = mp.fsum(mp.exp(-phi(i * h - left)) for i in range(nodes + 1))
    return mp.log(h * total * mp.sqrt(w / (2 * mp.pi)))


def table(fit: Fit) -> str:
    nodes = [(1 + mp.cos(mp.pi * (k + mpf(1) / 2) / NODES)) / 2 for k in range(NODES)]
    points = [(xi, s) for xi in nodes for s in nodes]
    exact = [log_sum(fit.limit / xi, s) for xi, s in points]
    terms = [(i, j) for i in range(fit.powers) for j in range(fit.degree(i) + 1)]
    rows = mp.matrix([[xi ** (i + 1) * s**j for i, j in terms] for xi, s in points])
    found, _ = mp.qr_solve(rows, mp.matrix(exact))
    values = dict(zip(terms, map(float, found), strict=True))
    errors = [
        abs(mp.fsum(mpf(c) * xi ** (i + 1) * s**j for (i, j), c in values.items()) - y)
        for (xi, s), y in zip(points, exact, strict=True)
    ]
    lines = [
        f"FROM_{fit.limit} = Table(  # largest error {float(max(errors)):.0e}",
        f"    {float(fit.limit)},",
        "    (",
    ]
    for i in range(fit.powers):
        row = [f"            {values[i, j]!r}," for j in range(fit.degree(i) + 1)]
        lines += ["        (", *row, "        ),"]
    return "\n".join([*lines, "    ),", ")"])


def main() -> None:
    mp.dps = 40
    print(HEADER)
    print("\n".join(map(table, FITS)))


if __name__ == "__main__":
    main()
