"""Methods of a batch of models raise an error that says what to do, or are right."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from normix_mixtures import (
    DenseDispersion,
    GeneralizedHyperbolic,
    MixtureStatistics,
    NormalInverseGamma,
    NormalInverseGaussian,
    UnivariateNormalMixture,
    VarianceGamma,
    to_generalized_hyperbolic,
)

SCALE = np.array([1.0, 1.5, 2.0])
SIGMA = np.array([[1.0, 0.4], [0.4, 2.0]])
SHAPES = {
    VarianceGamma: lambda s: {"alpha": 2 * s, "beta": 1.0},
    NormalInverseGamma: lambda s: {"alpha": 3 * s, "beta": 1.0},
    NormalInverseGaussian: lambda s: {"mu_ig": s, "lam": 1.0},
    GeneralizedHyperbolic: lambda s: {"p": s, "a": 1.0, "b": 1.0},
}


def model(family, s):
    return family.from_classical(s * jnp.ones(2), jnp.ones(2), SIGMA, **SHAPES[family](s))


ONE = {family.__name__: (lambda s, family=family: model(family, s)) for family in SHAPES}
ONE |= {f"{name} joint": (lambda s, of=of: of(s).joint) for name, of in list(ONE.items())}
ONE["univariate"] = lambda s: UnivariateNormalMixture(0.0, 0.1, s, 1.0, 1.0, 1.0)
ONE["dispersion"] = lambda s: DenseDispersion(s * jnp.eye(2))
ONE["statistics"] = lambda s: MixtureStatistics.from_mean_statistics(
    s * jnp.ones(11), jnp.asarray(5.0), jnp.zeros(2)
)
# properties that are elementwise, so that those of a batch are a batch
PLAIN = {
    "mu", "gamma", "subordinator", "alpha", "beta", "mu_ig", "lam", "df", "p", "a", "b", "parts",
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", ONE)


@every_kind
def test_every_method_of_a_batch_raises(kind):
    batch = eqx.filter_vmap(ONE[kind])(SCALE)
    called = 0
    for name in dir(type(batch)):
        member = inspect.getattr_static(type(batch), name)
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        called += 1
        if isinstance(member, property):
            if name in PLAIN and kind != "univariate":
                continue
            with pytest.raises(ValueError, match=r"shape \(3,.*equinox\.filter_vmap"):
                getattr(batch, name)
            continue
        required = [
            p
            for p in inspect.signature(member).parameters.values()
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        pattern = (
            rf"{type(batch).__name__}\.{name}: [\w.]+ must .* shape \(3,.*equinox\.filter_vmap"
        )
        with pytest.raises(ValueError, match=pattern):
            getattr(batch, name)(*(None for _ in required[1:]))
    assert called >= 3
    assert type(batch).__name__ in repr(batch)


def test_sums_and_conversions_of_batches_raise():
    statistics = eqx.filter_vmap(ONE["statistics"])(SCALE)
    models = eqx.filter_vmap(ONE["VarianceGamma"])(SCALE)
    for call in (lambda: statistics + statistics, lambda: to_generalized_hyperbolic(models),
                 lambda: ONE["VarianceGamma"](1.0).is_close(models)):  # fmt: skip
        with pytest.raises(ValueError, match=r"equinox\.filter_vmap"):
            call()


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="jax.shard_map is newer")
@pytest.mark.parametrize(
    "function",
    [
        lambda s: model(VarianceGamma, s[0]).sample(jax.random.key(0), (3,)),
        lambda s: ONE["univariate"](s[0]).ppf(jnp.array([0.2])),
        lambda s: ONE["univariate"](1.0).cdf(s),
    ],
    ids=["sample", "ppf", "cdf"],
)
def test_models_work_within_shard_map(function):
    mesh, spec = Mesh(np.array(jax.devices()[:1]), ("i",)), PartitionSpec("i")
    mapped = jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec)
    s = jnp.array([0.5])
    np.testing.assert_allclose(jax.jit(mapped)(s), function(s), rtol=1e-9)
