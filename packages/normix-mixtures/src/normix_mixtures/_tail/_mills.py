"""Mills' ratio R(z) = (1 - Φ(z)) / φ(z) of the standard normal distribution, for z >= 0.

(z + 4) R(z) as a polynomial in t = (z - 4)/(z + 4): one formula on the half-line, without an
exponential and without a case, 3e-16 relative. The coefficients are those of a Chebyshev series;
`tools/mills_coefficients.py` prints them.
"""

import jax
import jax.numpy as jnp

_CENTRE = 4.0
_COEFFICIENTS = (
    1.8932190633084853,
    -1.523770910819985,
    0.9704095548676177,
    -0.46754096299818737,
    0.1513917623110474,
    -0.018900450865484503,
    -0.008722295248200037,
    0.0040878557264789955,
    0.0003342443649391365,
    -0.0005792696065073663,
    -4.781834677436329e-06,
    8.809696060211897e-05,
    1.7912419621396938e-06,
    -1.4846493010422612e-05,
    -1.5665301434775512e-06,
    2.5742673078165543e-06,
    6.635890483495519e-07,
    -4.0665439602468896e-07,
    -1.9748120792727453e-07,
    4.9053735092410555e-08,
    4.027496644667925e-08,
    -3.2015537235375603e-09,
    -4.2328371286680244e-09,
)


def mills(z: jax.Array) -> jax.Array:
    """R(z) for z >= 0, any shape."""
    r = 1 / (z + _CENTRE)
    t = 1 - 2 * _CENTRE * r
    value = jnp.full_like(z, _COEFFICIENTS[-1])
    for c in _COEFFICIENTS[-2::-1]:
        value = value * t + c
    return value * r
