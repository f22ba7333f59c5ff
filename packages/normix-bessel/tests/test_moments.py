"""`log_kv_moments`: what its fields say, and the two backends against each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from normix_bessel import log_kv, log_kv_moments

BACKENDS = pytest.mark.parametrize("backend", ["jax", "cpu"])
OF = {backend: partial(log_kv_moments, backend=backend) for backend in ("jax", "cpu")}


@pytest.fixture(scope="module")
def held(reference):
    """Where no moment overflows and the CPU backend is defined."""
    return reference.z >= 1e-60


@BACKENDS
def test_the_logarithm_is_log_kv(reference, moments, backend):
    got = moments(backend)
    errors = reference.errors("log_kv", got.log_kv, reference.scale)
    assert errors.max() <= 5e-14
    np.testing.assert_array_equal(got.order, reference.v)
    np.testing.assert_array_equal(got.argument, reference.z)


@BACKENDS
def test_the_mass_about_the_saddle(reference, moments, held, backend):
    """log ∫ e^-φ = log 2K + w - v t0, which falls like -log(w)/2, to |v t0| eps whatever z is."""
    with mp.workdps(40):
        exact = []
        for v, z, log_k in zip(reference.v, reference.z, reference.exact("log_kv"), strict=True):
            v, z = mpf(v), mpf(z)
            exact.append(mp.log(2) + log_k + mp.hypot(v, z) - v * mp.asinh(v / z))
    got = moments(backend)
    size = 1 + np.abs(reference.v * got.saddle)
    bar = {"jax": 2e-14, "cpu": 5e-13}[backend]  # the latter is that of scipy's kve
    assert reference.errors_from(exact, got.log_mass, size)[held].max() <= bar


@BACKENDS
def test_its_slopes_are_those_of_log_kv(reference, moments, held, backend):
    got = moments(backend)
    # ∂v is the saddle plus a mean, which cancel at small orders
    size = np.maximum(np.abs(reference["dv"]), np.maximum(1.0, np.abs(got.saddle)))
    assert reference.errors("dv", got.dv, size)[held].max() <= 2e-14
    assert reference.errors("dz", got.dz)[held].max() <= 1e-13


@BACKENDS
def test_its_ratios_are_those_of_neighbouring_orders(reference, moments, held, backend):
    got = moments(backend)
    assert reference.errors("ratio_up", got.ratio_up)[held].max() <= 1e-13
    assert reference.errors("ratio_down", got.ratio_down)[held].max() <= 1e-13


@BACKENDS
@pytest.mark.parametrize("sign", [1, -1])
def test_its_ratios_are_differences_of_log_kv(padded, backend, sign):
    v = sign * np.array([0.0, 0.25, 1.0, 2.5, 9.75, 10.25, 40.0, 300.0])
    z = np.array([[1e-3], [0.09], [0.3], [4.0], [150.0], [3e3]])
    got = padded(OF[backend], v, z)
    below, middle, above = (padded(log_kv, v + shift, z) for shift in (-1, 0, 1))
    np.testing.assert_allclose(np.log(got.ratio_up), above - middle, atol=3e-12)
    np.testing.assert_allclose(np.log(got.ratio_down), below - middle, atol=3e-12)


def test_the_covariance_gives_the_hessian(reference, moments, derivatives, held):
    """z cosh t - w = v u + ½(w + v) f + ½(w - v) g."""
    v, z, got = reference.v, reference.z, moments("jax")
    np.testing.assert_allclose(got.cov[held, 0, 0], derivatives["dvv"][held], rtol=2e-12)
    w = np.hypot(v, z)
    weights = np.stack([v, (w + v) / 2, z * (z / (w + v)) / 2], axis=-1)
    ordinary = held & (w <= 1e4)
    vz = -np.einsum("ij,ij->i", weights, got.cov[:, 0])[ordinary] / z[ordinary]
    bound = reference.deviation("vz")[ordinary]
    np.testing.assert_array_less(np.abs(vz - derivatives["dvz"][ordinary]), 1e-11 * bound)
    zz = np.einsum("ij,ijk,ik->i", weights, got.cov, weights)[ordinary] / z[ordinary] ** 2
    np.testing.assert_allclose(zz, derivatives["dzz"][ordinary], rtol=1e-11)


@pytest.mark.cpu
def test_both_backends_have_the_same_moments(moments, held):
    got, expected = (
        jax.tree.map(lambda x: x[held], moments(backend)) for backend in ("jax", "cpu")
    )
    deviation = np.sqrt(np.einsum("...ii->...i", expected.cov))
    scale = deviation[:, :, None] * deviation[:, None, :]
    assert np.max(np.abs(got.cov - expected.cov) / scale) <= 5e-11
    assert np.max(np.abs(got.mean - expected.mean) / deviation) <= 5e-11


@BACKENDS
def test_the_covariance_is_positive(moments, held, backend):
    cov = moments(backend).cov[held]
    deviation = np.sqrt(np.einsum("...ii->...i", cov))
    correlation = cov / (deviation[:, :, None] * deviation[:, None, :])
    np.testing.assert_allclose(correlation, np.swapaxes(correlation, 1, 2), rtol=0, atol=1e-15)
    assert np.linalg.eigvalsh(correlation).min() >= -1e-11


@BACKENDS
def test_a_negative_order_reflects_the_law(padded, backend):
    v, z = np.array([0.3, 2.5, 14.0, 5.0]), np.array([0.02, 0.7, 3.0, 90.0])
    plus, minus = padded(OF[backend], v, z), padded(OF[backend], -v, z)
    np.testing.assert_array_equal(plus.log_kv, minus.log_kv)
    np.testing.assert_array_equal(plus.saddle, -minus.saddle)
    np.testing.assert_allclose(plus.ratio_up, minus.ratio_down, rtol=2e-15)
    flip = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_array_equal(plus.mean, minus.mean[:, [0, 2, 1]] * flip)
    mirrored = minus.cov[:, [0, 2, 1]][:, :, [0, 2, 1]] * np.outer(flip, flip)
    np.testing.assert_array_equal(plus.cov, mirrored)


@BACKENDS
def test_without_covariance_the_rest_is_the_same(reference, moments, held, backend):
    full = moments(backend)
    part = OF[backend](reference.v, reference.z, covariance=False)
    assert part.cov is None
    part = jax.tree.map(np.asarray, part)
    errors = np.abs(part.log_kv - full.log_kv) / reference.scale
    assert errors.max() <= 2e-15
    for name in ("saddle", "w", "dz", "ratio_up", "ratio_down"):
        got, expected = getattr(part, name)[held], getattr(full, name)[held]
        np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=name)
    np.testing.assert_allclose(part.dv[held], full.dv[held], rtol=1e-14, atol=1e-14)


@BACKENDS
def test_moments_outside_the_domain_are_nan(padded, backend):
    v = np.array([1.0, 1.0, 1.0, 1.0, np.inf, np.nan])
    z = np.array([0.0, -1.0, np.inf, np.nan, 1.0, 1.0])
    got = padded(OF[backend], v, z)
    assert np.all(np.isnan(got.mean))
    assert np.all(np.isnan(got.cov))
    np.testing.assert_array_equal(got.log_kv, padded(log_kv, v, z))


@pytest.mark.cpu
def test_one_extreme_argument_does_not_spoil_a_cpu_batch(padded):
    v = np.array([0.0, 1e-8, 0.5, 2.6, 0.0, 3.0, 1.0])
    z = np.array([1e-290, 1e-300, 1e-300, 1e-300, 1e20, 1e200, 1.0])
    got = log_kv_moments(v, z, backend="cpu")
    alone = log_kv_moments(1.0, 1.0, backend="cpu")
    np.testing.assert_allclose(got.mean[-1], alone.mean, rtol=1e-13)
    np.testing.assert_allclose(got.log_kv, padded(log_kv, v, z), rtol=1e-14)


@BACKENDS
def test_moments_have_the_broadcast_shape(backend):
    def evaluate():
        got = OF[backend](np.ones((3, 1)), np.full((1, 2), 2.0))
        names = ("log_kv", "order", "argument", "saddle", "w", "dv", "dz", "ratio_up", "ratio_down")
        return {name: getattr(got, name) for name in names}, got.mean, got.cov

    # shapes only: nothing is compiled
    fields, mean, cov = jax.eval_shape(evaluate) if backend == "jax" else evaluate()
    assert {field.shape for field in fields.values()} == {(3, 2)}
    assert (mean.shape, cov.shape) == ((3, 2, 3), (3, 2, 3, 3))


def test_moments_keep_float32(padded):
    v, z = np.float32([0.0, 0.4, 1.5, 12.0, 3.0]), np.float32([0.2, 1e-3, 0.7, 30.0, 1e-6])
    got = padded(log_kv_moments, v, z)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {np.dtype(np.float32)}
    assert got.ratio_down.dtype == np.float32
    expected = padded(log_kv_moments, v.astype(np.float64), z.astype(np.float64))
    np.testing.assert_allclose(got.mean, expected.mean, rtol=1e-5, atol=1e-6)
    deviation = np.sqrt(np.einsum("...ii->...i", expected.cov))
    scale = deviation[:, :, None] * deviation[:, None, :]
    assert np.max(np.abs(got.cov - expected.cov) / scale) <= 2e-5


def test_moments_are_differentiable(reference, derivatives):
    """∂v of E t is Var t, through `log_kv_moments` under jit."""
    v, z = reference.v, np.maximum(reference.z, 1e-30)
    same = (z == reference.z) & (v > 0)

    @jax.jit
    def slope(v, z):
        def mean(v):
            return log_kv_moments(v, z, covariance=False).dv

        return jax.jvp(mean, (v,), (jnp.ones_like(z),))[1]

    got = np.asarray(slope(v, z))[same]
    np.testing.assert_allclose(got, derivatives["dvv"][same], rtol=1e-9)


def test_means_of_wide_batches_are_those_of_the_rule():
    """A small batch that is far throughout takes the expansion; one other element prevents it."""
    rng = np.random.default_rng(1)
    angle, w = rng.uniform(-np.pi / 2, np.pi / 2, 400), 10 ** rng.uniform(1.81, 7, 400)
    v, z = w * np.sin(angle), np.maximum(w * np.cos(angle), 1e-3)
    wide = log_kv_moments(v, z, covariance=False).mean
    rule = log_kv_moments(np.append(v, 1.0), np.append(z, 1.0), covariance=False).mean[:-1]
    np.testing.assert_allclose(wide[:, 1:], rule[:, 1:], rtol=1e-14)
    # of the mean of u the rule knows what is above eps times its standard deviation
    assert np.max(np.abs(wide[:, 0] - rule[:, 0]) * np.sqrt(w)) <= 1e-15
