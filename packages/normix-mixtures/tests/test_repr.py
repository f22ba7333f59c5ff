"""How models and statistics are shown: with their numbers, where these are few."""

import jax.numpy as jnp

from normix_mixtures import DenseDispersion, MixtureStatistics, UnivariateNormalMixture


def test_the_univariate_law_is_shown_with_its_numbers():
    law = UnivariateNormalMixture(0.0, -0.25, 1.0, p=0.5, a=2.0, b=1 / 3)
    assert repr(law) == (
        "UnivariateNormalMixture(mu=0, gamma=-0.25, sigma=1, p=0.5, a=2, b=0.333333)"
    )


def test_dispersions_and_statistics_are_shown_with_their_numbers():
    assert repr(DenseDispersion(jnp.eye(2))) == "DenseDispersion(L_Sigma=[[1, 0], [0, 1]])"
    one, two = jnp.array(1.5), jnp.array([1.0, 2.0])
    text = repr(MixtureStatistics(two, one, one, one, one, two, two, jnp.eye(2)))
    assert "n=1.5" in text
    assert "origin=[1, 2]" in text
