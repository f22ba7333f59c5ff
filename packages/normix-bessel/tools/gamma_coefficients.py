"""Print the Taylor coefficients of 1/Γ(1+u) that `_small_argument.py` holds.

    uv run python packages/normix-bessel/tools/gamma_coefficients.py

With 1/Γ(1+u) = Σ c_k u^k the two even combinations of Temme (1975) are

    Γ1(u) = [1/Γ(1-u) - 1/Γ(1+u)] / (2u) = -Σ c_{2k+1} u^{2k},
    Γ2(u) = [1/Γ(1-u) + 1/Γ(1+u)] / 2    =  Σ c_{2k}   u^{2k},

needed for |u| <= 1/2 only: the coefficients fall faster than 1/k!, so eleven of each
leave a remainder below 1e-19.
"""

import mpmath

TERMS = 11


def main() -> None:
    mpmath.mp.dps = 40
    coefficients = mpmath.taylor(lambda u: mpmath.rgamma(1 + u), 0, 2 * TERMS)
    for name, values in (
        ("_GAMMA1", [-c for c in coefficients[1 : 2 * TERMS : 2]]),
        ("_GAMMA2", coefficients[0 : 2 * TERMS : 2]),
    ):
        print(f"{name} = (")
        for value in values:
            print(f"    {float(value)!r},")
        print(")")


if __name__ == "__main__":
    main()
