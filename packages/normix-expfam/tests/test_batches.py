"""Methods of a batch raise an error that says what to do, or are right."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_expfam import (
    GIG,
    Exponential,
    ExponentialFamily,
    Gamma,
    InverseGamma,
    InverseGaussian,
    MultivariateNormal,
    to_gig,
)

SCALE = np.array([1.0, 1.5, 2.0])
ONE = {
    Exponential: lambda s: Exponential(s),
    Gamma: lambda s: Gamma(s, 2.0),
    InverseGamma: lambda s: InverseGamma(5 * s, 2.0),
    InverseGaussian: lambda s: InverseGaussian(s, 2.0),
    GIG: lambda s: GIG(s, 1.0, 2.0),
    MultivariateNormal: lambda s: MultivariateNormal(s * jnp.ones(2), s * jnp.eye(2)),
}
every_family = pytest.mark.parametrize("family", ONE, ids=lambda family: family.__name__)


def batch_of(family):
    return eqx.filter_vmap(ONE[family])(SCALE)


def public_methods(family):
    for name in dir(family):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(family, name)
        if inspect.isfunction(member):
            yield name


def arguments(method, law):
    """Values for what a method requires."""
    values = {
        "x": 1.0 if law.event_ndim == 0 else jnp.ones(2),
        "q": 0.3,
        "order": 1.5,
        "key": jax.random.key(0),
        "other": law,
    }
    required = (
        p.name
        for p in inspect.signature(method).parameters.values()
        if p.default is p.empty and p.name != "self"
    )
    return [values[name] for name in required]


@every_family
def test_every_method_of_a_batch_raises(family):
    batch, names = batch_of(family), list(public_methods(family))
    assert {"log_prob", "natural_params", "kl_divergence", "mean", "sample"} <= set(names)
    for name in names:
        method = getattr(batch, name)
        pattern = rf"{family.__name__}\.{name}: \w+ must .* shape \(3,.*equinox\.filter_vmap"
        with pytest.raises(ValueError, match=pattern):
            method(*arguments(getattr(family, name), batch))


@every_family
def test_a_batch_beside_one_distribution_raises(family):
    one, batch = ONE[family](1.5), batch_of(family)
    for name in ("kl_divergence", "cross_entropy", "squared_hellinger"):
        with pytest.raises(ValueError, match=r"equinox\.filter_vmap"):
            getattr(one, name)(batch)
    if hasattr(one, "as_gig"):
        with pytest.raises(ValueError, match=r"equinox\.filter_vmap"):
            to_gig(batch)


@every_family
def test_a_batch_prints_and_its_members_are_right(family):
    batch = batch_of(family)
    assert family.__name__ in repr(batch)
    for method in ("mean", "entropy"):
        got = eqx.filter_vmap(lambda law, method=method: getattr(law, method)())(batch)
        expected = [getattr(ONE[family](s), method)() for s in SCALE]
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_bound_method_of_a_batch_can_be_mapped_over():
    batch = batch_of(Gamma)
    np.testing.assert_allclose(jax.vmap(lambda f: f())(batch.mean), SCALE / 2, rtol=1e-15)


def test_a_family_that_annotates_no_shapes_is_covered_where_theta_is_used():
    class Poisson(ExponentialFamily):
        rate: jax.Array

        def natural_params(self):
            return jnp.log(self.rate)[None]

        @classmethod
        def from_natural(cls, theta):
            return cls(jnp.exp(theta[0]))

        @staticmethod
        def _statistics_of(x):
            return x[None]

        @staticmethod
        def _log_base_of(x):
            return -jax.scipy.special.gammaln(x + 1)

        @staticmethod
        def _interior_point(x):
            return x

        @classmethod
        def _log_partition_from_theta(cls, theta):
            return jnp.exp(theta[0])

    batch = eqx.filter_vmap(Poisson)(SCALE)
    for call in (lambda: batch.log_prob(1.0), batch.log_partition, batch.fisher_information,
                 lambda: batch.kl_divergence(batch)):  # fmt: skip
        with pytest.raises(ValueError, match=r"Poisson.*equinox\.filter_vmap"):
            call()


def test_the_message_of_a_batch_of_fits_raises():
    x = jnp.array([[1.0, 2.0, 4.0], [1.0, 3.0, 4.0]])
    found = eqx.filter_vmap(lambda x: Exponential.mle(x, throw=False))(x)
    np.testing.assert_allclose(found.aic, 2 - 2 * np.asarray(found.log_likelihood))
    with pytest.raises(ValueError, match=r"MLEResult\.message: status .*equinox\.filter_vmap"):
        _ = found.message
