"""Coefficients of log C in `normix_mixtures._mode_mass`: the logarithm of Debye's expansion.

With v = t w the sum of DLMF 10.41.4 is Σ (-1/w)^k V_k(t²). The V_k follow from the recurrence of
DLMF 10.41.9 and the coefficients L_k of the logarithm from k L_k = k S_k - Σ_{j<k} j L_j S_{k-j}.
"""

from fractions import Fraction

TERMS = 6


def debye(terms: int) -> list[dict[int, Fraction]]:
    """U_k(p) / p^k by powers of p."""
    u, found = {0: Fraction(1)}, []
    for k in range(terms + 1):
        found.append({power - k: value for power, value in u.items() if value})
        new: dict[int, Fraction] = {}
        for i, c in u.items():
            low = c * (Fraction(i, 2) + Fraction(1, 8 * (i + 1)))
            high = -c * (Fraction(i, 2) + Fraction(5, 8 * (i + 3)))
            new[i + 1] = new.get(i + 1, Fraction(0)) + low
            new[i + 3] = new.get(i + 3, Fraction(0)) + high
        u = new
    return found


def product(one: dict[int, Fraction], two: dict[int, Fraction]) -> dict[int, Fraction]:
    found: dict[int, Fraction] = {}
    for i, x in one.items():
        for j, y in two.items():
            found[i + j] = found.get(i + j, Fraction(0)) + x * y
    return found


def logarithm(series: list[dict[int, Fraction]]) -> list[dict[int, Fraction]]:
    found: list[dict[int, Fraction]] = [{}]
    for k in range(1, len(series)):
        value = {power: k * c for power, c in series[k].items()}
        for j in range(1, k):
            for power, c in product(found[j], series[k - j]).items():
                value[power] = value.get(power, Fraction(0)) - j * c
        found.append({power: c / k for power, c in value.items() if c})
    return found


if __name__ == "__main__":
    signed = [{i: (-1) ** k * c for i, c in part.items()} for k, part in enumerate(debye(TERMS))]
    for part in logarithm(signed)[1:]:
        print(tuple(part.get(2 * i, Fraction(0)) for i in range(len(part))))
        print("   ", ", ".join(repr(float(part[2 * i])) for i in range(len(part))))
