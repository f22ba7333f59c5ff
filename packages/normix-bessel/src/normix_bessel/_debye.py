"""The polynomials of Debye's uniform expansion, which the CPU backend takes.

    K_v(z) ~ √(π / 2w) e^(-w + v asinh(v/z)) Σ (-1)^k U_k(v/w) / v^k,   w = hypot(v, z)

(DLMF 10.41.4). With U_k(p) = p^k V_k(p²) the sum is Σ (-1/w)^k V_k(v²/w²): no power of v is
divided by, and v = 0 is no exception.
"""

from fractions import Fraction
from functools import cache
from itertools import zip_longest


@cache
def polynomials(terms: int) -> tuple[tuple[float, ...], ...]:
    """V_0 .. V_{terms-1}, coefficients ascending in p², rounded once (DLMF 10.41.9).

    U_{k+1} = ½ p² (1 - p²) U_k' + (1/8) ∫_0^p (1 - 5 s²) U_k(s) ds: the power p^i of U_k goes to
    p^(i+1) with i/2 + 1/(8 (i+1)), and to p^(i+3) with -(i/2 + 5/(8 (i+3))).
    """
    u, found = [Fraction(1)], []
    for k in range(terms):
        found.append(tuple(float(c) for c in u[k::2]))
        low = [c * (Fraction(i, 2) + Fraction(1, 8 * (i + 1))) for i, c in enumerate(u)]
        high = [c * (Fraction(i, 2) + Fraction(5, 8 * (i + 3))) for i, c in enumerate(u)]
        shifted = zip_longest([Fraction(0), *low], [Fraction(0)] * 3 + high, fillvalue=Fraction(0))
        u = [a - b for a, b in shifted]
    return tuple(found)
