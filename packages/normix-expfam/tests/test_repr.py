"""How laws are shown: with their numbers, where these are few and known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from normix_expfam import GIG, Gamma, MultivariateNormal
from normix_expfam.internal import describe


def test_parameters_are_shown_with_six_digits():
    assert repr(Gamma(2.0, 1 / 3)) == "Gamma(alpha=2, beta=0.333333)"
    assert str(GIG(-0.5, 1e-30, jnp.inf, check=False)).endswith("(p=-0.5, a=1e-30, b=inf)")
    law = MultivariateNormal(np.array([0.5, np.pi]), np.array([[1.0, 0.0], [-2e5, 1.0]]))
    assert repr(law) == "MultivariateNormal(mu=[0.5, 3.14159], L_Sigma=[[1, 0], [-200000, 1]])"


def test_long_arrays_are_shown_by_their_shape():
    law = MultivariateNormal(jnp.zeros(4), jnp.eye(4))
    kind = "f64" if law.mu.dtype == jnp.float64 else "f32"
    assert repr(law) == f"MultivariateNormal(mu=[0, 0, 0, 0], L_Sigma={kind}[4,4])"


def test_what_has_no_numbers_is_shown_by_its_shape():
    seen = []

    @jax.jit
    def traced(rate):
        seen.append(repr(Gamma(rate, rate, check=False)))
        return rate

    used = jax.jit(traced, donate_argnums=0)
    x = jnp.array(2.0)
    law = Gamma(x, 1.0, check=False)
    kind = "f64" if x.dtype == jnp.float64 else "f32"
    used(law.alpha).block_until_ready()
    assert seen == [f"Gamma(alpha={kind}[], beta={kind}[])"]
    law.alpha.delete()
    assert repr(law) == f"Gamma(alpha={kind}[], beta=1)"
    assert repr(jax.tree.map(lambda _: True, law)) == "Gamma(alpha=True, beta=True)"


def test_a_fit_is_shown_with_its_numbers_and_the_name_of_its_status():
    found = Gamma.mle(np.array([1.0, 2.0, 4.0]))
    text = repr(found)
    assert f"model={found.model!r}" in text
    assert "status=<Status.CONVERGED: 0>" in text
    assert f"log_likelihood={float(found.log_likelihood):.6g}" in text
    assert "[]" not in text
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), found)
    assert "status=[0, 0]" in repr(batch)


def test_short_arrays_of_numpy_are_shown_too():
    assert describe(eqx.tree_at(lambda law: law.alpha, Gamma(1.0, 2.0), np.array([0.5, 2.0]))) == (
        "Gamma(alpha=[0.5, 2], beta=2)"
    )
