"""Transformations of JAX around whole models: jit of methods, closed-over data, shard_map, nans."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from normix_expfam import GIG, Exponential, Gamma, InverseGamma, MultivariateNormal, gig_moments

X = np.array([1.0, 2.0, 3.5])


def test_jit_takes_a_bound_method():
    law = Gamma(2.0, 3.0)
    expected = law.log_prob(X)
    np.testing.assert_allclose(jax.jit(law.log_prob)(X), expected, rtol=1e-14)
    np.testing.assert_allclose(eqx.filter_jit(law.log_prob)(X), expected, rtol=1e-14)
    assert law.log_prob == law.log_prob
    assert law.log_prob != Gamma(2.0, 3.0).log_prob
    assert len({law.log_prob, law.log_prob, law.prob}) == 2


def test_filter_jit_of_a_bound_method_traces_the_parameters():
    count = 0

    @eqx.filter_jit
    def call(function, x):
        nonlocal count
        count += 1
        return function(x)

    values = [call(Gamma(alpha, 3.0).log_prob, 1.0) for alpha in (2.0, 4.0)]
    np.testing.assert_allclose(values, [Gamma(a, 3.0).log_prob(1.0) for a in (2.0, 4.0)])
    assert count == 1


@pytest.mark.parametrize("data", [X, jnp.array(X)], ids=["numpy", "jax"])
@pytest.mark.parametrize("throw", [True, False])
def test_fits_to_data_closed_over_are_made_within_jit(data, throw):
    expected = Gamma.fit_mle(X)
    got = jax.jit(lambda: Gamma.fit_mle(data, throw=throw).alpha)()
    np.testing.assert_allclose(got, expected.alpha, rtol=1e-14)
    shift = jax.jit(lambda s: s + Gamma.mle(data, throw=throw).log_likelihood)(1.0)
    np.testing.assert_allclose(shift, 1 + Gamma.mle(X).log_likelihood, rtol=1e-14)


def test_concrete_mistakes_within_jit_raise_at_once():
    bad = jnp.array([1.0, -2.0])
    with pytest.raises(ValueError, match=r"Gamma\.fit_mle: x must lie in the support"):
        jax.jit(lambda: Gamma.fit_mle(bad).alpha)()
    with pytest.raises(ValueError, match=r"Gamma\.ppf: q must be in \[0, 1\]"):
        jax.jit(lambda: Gamma(1.0, 1.0).ppf(bad))()


@pytest.mark.cpu
def test_the_cpu_backend_on_traced_values_says_what_serves():
    with pytest.raises(TypeError, match=r"Gamma\.fit_mle: backend 'cpu' .*backend='jax'"):
        jax.jit(lambda x: Gamma.fit_mle(x, backend="cpu").alpha)(X)
    data = jnp.array(X)
    fitted = jax.jit(lambda: Gamma.fit_mle(data, backend="cpu").alpha)()
    np.testing.assert_allclose(fitted, Gamma.fit_mle(X).alpha, rtol=1e-9)


@pytest.mark.parametrize("value", [np.longdouble(1.5), np.array([1, 2], object)])
def test_what_is_no_array_of_numbers_is_named(value):
    for call, name in ((Gamma(1.0, 1.0).log_prob, "x"), (Gamma(1.0, 1.0).ppf, "q")):
        with pytest.raises(TypeError, match=rf"Gamma.*: {name} must be numbers of at most 64 bits"):
            call(value)


def sharded(function, *arguments):
    mesh = Mesh(np.array(jax.devices()[:1]), ("i",))
    spec = PartitionSpec("i")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))(*arguments)


WITHIN_SHARDS = {
    "constructor": lambda s: Gamma(s[0], 1.0).mean()[None],
    "fit_mle": lambda s: Gamma.fit_mle(s[0] * X).alpha[None],
    "GIG.fit_mle": lambda s: GIG.fit_mle(s[0] * X).b[None],
    "covariance": lambda s: MultivariateNormal.from_covariance(s[0] * jnp.ones(2), jnp.eye(2)).mu,
    "Gamma.sample": lambda s: Gamma(s[0], 1.0).sample(jax.random.key(0), (3,)),
    "InverseGamma.sample": lambda s: InverseGamma(s[0], 1.0).sample(jax.random.key(0), (3,)),
    "GIG.sample": lambda s: GIG(s[0], 1.0, 1.0).sample(jax.random.key(0), (3,)),
    "ppf": lambda s: GIG(1.0, 1.0, 1.0).ppf(s / 5),
    "ppf of varying parameters": lambda s: GIG(s[0], 1.0, 1.0).ppf(jnp.array([0.2])),
}


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="jax.shard_map is newer")
@pytest.mark.parametrize("name", WITHIN_SHARDS)
def test_functions_work_within_shard_map(name):
    function, s = WITHIN_SHARDS[name], jnp.array([1.5])
    np.testing.assert_allclose(sharded(function, s), function(s), rtol=1e-9)


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="jax.shard_map is newer")
def test_keys_of_shards_serve_samplers():
    keys = jax.random.split(jax.random.key(0), 1)
    got = sharded(lambda keys: GIG(1.0, 1.0, 1.0).sample(keys[0], (3,)), keys)
    np.testing.assert_allclose(got, GIG(1.0, 1.0, 1.0).sample(keys[0], (3,)), rtol=1e-12)


def test_what_is_not_asked_for_is_not_nan():
    x = np.array([-1.0, 0.5, np.inf])
    with jax.debug_nans(True):
        assert GIG(0.5, 1.0, 1.0).fisher_information().shape == (3, 3)
        assert np.all(np.isfinite(GIG(2.0, 1.0, 0.0).var()))
        moments = gig_moments(np.array([1.0, 2.0, -3.0]), np.array([1.0, 2.0, 0.0]), 2.0)
        assert np.all(np.isfinite(moments.log_y))
        np.testing.assert_allclose(Exponential(2.0).cdf(x), [0.0, 1 - np.exp(-1.0), 1.0])
        assert np.all(np.isfinite(Exponential(2.0).raw_moment(np.array([0.5, 1.5]))))
