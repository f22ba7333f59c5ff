"""Instances of every family, with tags, for the tests of all packages: a new family adds a line.

Built only where they are used: a package is tested beside nothing but what it declares.
"""

from typing import Any, NamedTuple

import numpy as np

# ---------------------------------------------------------------------------------------------
# Exponential families, by the names that normix_expfam exports


class Instance(NamedTuple):
    """A member of an exponential family.

    Tags are what it lacks: `limit` (on the boundary of the family), `no moments` (four of them),
    `no covariance` (of the statistics), `no inverse` (of η), and `not on the line`.
    """

    family: str
    parameters: tuple[Any, ...]
    tags: frozenset[str] = frozenset()

    def build(self) -> Any:
        import normix_expfam

        return getattr(normix_expfam, self.family)(*self.parameters)

    def __str__(self) -> str:
        shown = (f"{p:g}" if np.ndim(p) == 0 else "..." for p in self.parameters)
        return f"{self.family}({', '.join(shown)})"


def _member(family: str, *parameters: Any, tags: str = "") -> Instance:
    return Instance(family, parameters, frozenset(tags.split(", ")) - {""})


_FACTOR = np.array([[1.5, 0.0, 0.0], [-0.7, 0.8, 0.0], [0.2, 0.1, 3.0]])

EXPONENTIAL = [
    _member("Gamma", 2.5, 0.7),
    _member("Gamma", 0.3, 2e4),
    _member("Gamma", 4e3, 5.0),
    _member("InverseGamma", 4.5, 0.7),
    _member("InverseGamma", 3.5, 0.7, tags="no moments"),
    _member("InverseGamma", 60.0, 1e-5),
    _member("InverseGaussian", 3.607, 1.659),
    _member("InverseGaussian", 1e-3, 5.0),
    _member("Exponential", 0.3),
    _member("Exponential", 2e5),
    _member("MultivariateNormal", np.array([0.5]), np.array([[2.0]]), tags="not on the line"),
    _member("MultivariateNormal", np.array([0.5, -3.0, 100.0]), _FACTOR, tags="not on the line"),
    _member("GIG", 1.5, 2.0, 3.0),
    _member("GIG", 0.0, 0.2, 0.4),
    _member("GIG", -0.5, 1e-6, 1e6),
    _member("GIG", -2.7, 1e6, 1e-6),
    _member("GIG", 50.0, 1e-6, 1e-6),
    _member("GIG", -50.0, 1e6, 1e6),
    _member("GIG", 3.0, 1e6, 1e6),
    _member("GIG", 50.0, 3.0, 20.0),
    _member("GIG", -50.0, 3.0, 20.0),
    _member("GIG", 3.5, 2.0, 0.0, tags="limit"),
    _member("GIG", -3.5, 0.0, 2.0, tags="limit, no moments"),
    _member("GIG", 1.5, 2.0, 0.0, tags="limit, no covariance"),
    _member("GIG", -0.7, 0.0, 2.0, tags="limit, no moments, no covariance, no inverse"),
]

# ---------------------------------------------------------------------------------------------
# Mixtures: a family and its subordinator, with two moments of Y and of 1/Y


class Mixture(NamedTuple):
    """A family of mixtures, by the name that normix_mixtures exports, and a subordinator."""

    family: str
    subordinator: dict[str, float]

    def build(self, d: int, dtype: Any = np.float64) -> Any:
        """The model with the normal part of `NORMAL_PARTS` in d dimensions."""
        import jax.numpy as jnp

        import normix_mixtures

        mu, gamma, sigma = (jnp.asarray(part, dtype) for part in NORMAL_PARTS[d])
        parameters = {key: jnp.asarray(value, dtype) for key, value in self.subordinator.items()}
        family = getattr(normix_mixtures, self.family)
        return family.from_classical(mu, gamma, sigma, **parameters)


MIXTURES = {
    "vg": Mixture("VarianceGamma", {"alpha": 3.5, "beta": 1.2}),
    "ninvg": Mixture("NormalInverseGamma", {"alpha": 3.2, "beta": 2.0}),
    "nig": Mixture("NormalInverseGaussian", {"mu_ig": 1.3, "lam": 1.8}),
    "gh": Mixture("GeneralizedHyperbolic", {"p": 0.7, "a": 1.4, "b": 0.9}),
}

NORMAL_PARTS = {
    1: ([0.1], [0.4], [[1.3]]),
    2: ([0.1, -0.2], [0.4, -0.1], [[1.0, 0.3], [0.3, 2.0]]),
    3: ([0.1, -0.2, 2.0], [0.4, -0.1, 0.0], [[1.0, 0.3, 0.1], [0.3, 2.0, -0.4], [0.1, -0.4, 0.5]]),
}

# ---------------------------------------------------------------------------------------------
# Scalar mixtures


class Line(NamedTuple):
    """(mu, gamma, sigma, p, a, b) of a `UnivariateNormalMixture`.

    Tags: `usual` ones go through every law; of the others the tails are known to 25 digits.
    `concentrated`: in float32 a moment cancels. `quadrature`: the density gives four moments.
    """

    parameters: tuple[float, ...]
    tags: frozenset[str] = frozenset()

    def build(self, dtype: Any = np.float64) -> Any:
        from normix_mixtures import UnivariateNormalMixture

        return UnivariateNormalMixture(*(dtype(value) for value in self.parameters))


def _line(*parameters: float, tags: str = "") -> Line:
    return Line(parameters, frozenset(tags.split(", ")) - {""})


LINE = {
    "near_normal": _line(0.3, 0.1, 1.2, 0.5, 1e4, 1e4, tags="usual, quadrature, concentrated"),
    "moderate": _line(0.1, 0.4, 1.3, 0.7, 1.4, 0.9, tags="usual, quadrature"),
    "nig": _line(0.0, -0.8, 1.0, -0.5, 1.2, 0.5),
    "nig_narrow": _line(-0.2, -0.8, 0.6, -0.5, 1.2, 0.5, tags="usual, quadrature"),
    "vg": _line(-0.5, 0.4, 0.7, 2.1, 4.2, 0.0),
    "vg_right": _line(0.5, 0.3, 1.0, 2.1, 4.2, 0.0, tags="usual, quadrature"),
    "vg_peaked": _line(0.25, -0.6, 1.0, 0.3, 0.6, 0.0, tags="usual"),
    "t": _line(0.5, 0.0, 1.0, -2.0, 0.0, 2.0),
    "t_5": _line(0.5, 0.0, 1.5, -2.6, 0.0, 2.0, tags="usual"),
    "t_skew": _line(0.0, 0.7, 1.0, -2.5, 0.0, 3.0),
    "t_skew_9": _line(0.0, 0.5, 1.0, -4.7, 0.0, 5.0, tags="usual, quadrature"),
    "p_30": _line(0.0, 0.2, 1.0, 30.0, 60.0, 0.01),
    "p_-30": _line(0.0, -0.2, 1.0, -30.0, 0.01, 60.0, tags="usual, quadrature"),
    "strong_skew": _line(0.0, 1.7, 0.1, 1.0, 2.0, 1.0),
    "one_sided": _line(0.0, 300.0, 1.0, 1.5, 1.0, 0.5),
    "one_sided_left": _line(0.0, -50.0, 0.1, -1.2, 0.3, 0.5),
    "almost_vg": _line(0.0, 0.3, 1.0, 0.0, 1e-3, 1e-6),
}


def line(*tags: str) -> dict[str, Line]:
    """The scalar mixtures that have all these tags."""
    return {name: law for name, law in LINE.items() if law.tags >= set(tags)}
