"""A fit under a transformation of JAX is refused in a sentence; what serves instead, works."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import BatchEMFitter, MiniBatchEMFitter, OnlineEMFitter, fit, fit_all
from normix_mixtures import NormalInverseGaussian

X = np.random.default_rng(0).laplace(size=(64, 2))
START = NormalInverseGaussian.from_moments(np.zeros(2), 2 * np.eye(2), spread=1.0)
WEIGHTS = np.ones(64)


def scaled(factor):
    return START.rescaled(jnp.zeros(2), factor * jnp.ones(2))


FITS = {
    "fit": ("fit", lambda s: fit(s * X, "nig").model.mu[0]),
    "fit, weights": ("fit", lambda s: fit(X, "nig", weights=s * WEIGHTS).model.mu[0]),
    "fit_all": ("fit_all", lambda s: fit_all(s * X)["nig"].model.mu[0]),
    "batch": ("BatchEMFitter.fit", lambda s: BatchEMFitter().fit(START, s * X).model.mu[0]),
    "batch, model": ("BatchEMFitter.fit", lambda s: BatchEMFitter().fit(scaled(s), X).model.mu[0]),
    "batch, weights": (
        "BatchEMFitter.fit",
        lambda s: BatchEMFitter().fit(START, X, s * WEIGHTS).model.mu[0],
    ),
    "minibatch": (
        "MiniBatchEMFitter.fit",
        lambda s: MiniBatchEMFitter(batch_size=32).fit(START, s * X).model.mu[0],
    ),
    "minibatch, chunks": (
        "MiniBatchEMFitter.fit",
        lambda s: MiniBatchEMFitter(batch_size=32).fit(START, [X, s * X]).model.mu[0],
    ),
    "minibatch, model": (
        "MiniBatchEMFitter.fit",
        lambda s: MiniBatchEMFitter(batch_size=32).fit(scaled(s), X).model.mu[0],
    ),
}
TRANSFORMED = {
    "jit": lambda f: jax.jit(f)(1.0),
    "vmap": lambda f: jax.vmap(f)(jnp.ones(2)),
    "grad": lambda f: jax.grad(f)(1.0),
    "jvp": lambda f: jax.jvp(f, (1.0,), (1.0,)),
    "scan": lambda f: jax.lax.map(f, jnp.ones(2)),
}


@pytest.mark.parametrize("transformation", TRANSFORMED)
@pytest.mark.parametrize("name", FITS)
def test_a_traced_fit_is_refused_and_told_what_serves(name, transformation):
    owner, function = FITS[name]
    message = f"^{owner} iterates on the host and cannot run under jit, vmap or grad: .*e_step"
    with pytest.raises(TypeError, match=message):
        TRANSFORMED[transformation](function)


def test_a_fit_to_constants_inside_jit_is_refused_too():
    with pytest.raises(TypeError, match=r"^fit iterates on the host"):
        jax.jit(lambda: fit(X, "nig").model.mu)()


def test_what_the_sentence_names_is_traceable():
    @eqx.filter_jit
    def step(model, rows):
        return model.m_step(rows, model.e_step(rows))

    by_hand = step(START, X)
    assert bool(by_hand.is_close(START.m_step(X, START.e_step(X))))
    slope = jax.grad(lambda s: jnp.sum(scaled(s).log_prob(X)))(1.0)
    assert np.isfinite(slope)


def test_online_updates_run_in_a_scan():
    fitter = OnlineEMFitter(burn_in=1)
    blocks, state = X.reshape(2, 32, 2), fitter.init(START)
    last = jax.jit(
        lambda state: jax.lax.scan(lambda s, rows: (fitter.update(s, rows), None), state, blocks)[0]
    )(state)
    for rows in blocks:
        state = fitter.update(state, rows)
    assert bool(last.model.is_close(state.model))
