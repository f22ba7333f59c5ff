from importlib.metadata import version

import jax.numpy as jnp

import normix_mixtures


def test_version_is_that_of_the_metadata():
    assert normix_mixtures.__version__ == version("normix-mixtures")


def test_a_law_is_shown_with_its_numbers():
    law = normix_mixtures.NormalInverseGaussian.from_classical(
        jnp.array([0.25]), jnp.array([-1.0]), jnp.array([[2.0]]), mu_ig=1.0, lam=1 / 3
    )
    shown = "".join(repr(law).split())
    assert "mu=[0.25],gamma=[-1],dispersion=DenseDispersion(L_Sigma=[[1.41421]])" in shown
    assert "subordinator=InverseGaussian(mu=1,lam=0.333333)" in shown
    assert "".join(repr(law.joint).split()) in shown
