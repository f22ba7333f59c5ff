"""A number does not depend on the batch that it is computed in, beyond rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from normix_bessel import _regimes, _saddle, _small_argument, _uniform, log_kv, log_kv_moments
from normix_bessel._uniform_tables import FROM_25, FROM_64

SIZE = 70_000  # more than one chunk on the CPU


@pytest.fixture(scope="module")
def large():
    """A large batch with the corner, its surroundings and values outside the domain."""
    rng = np.random.default_rng(1)
    v, z = rng.uniform(-9, 9, SIZE), np.exp(rng.uniform(np.log(1e-3), np.log(300.0), SIZE))
    z[:5] = 0.0, -1.0, np.inf, np.nan, 1e-300
    v[5:8] = np.nan, np.inf, -np.inf
    corner = (np.abs(v) < _small_argument.ORDER_LIMIT) & (z < _small_argument.ARGUMENT_LIMIT)
    # several rounds of the gathered corner
    assert corner.sum() > 2 * SIZE // 16
    assert SIZE > _regimes._CPU_CHUNK
    return v, z


def close(got, expected, rtol, atol=0.0):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def test_values_in_a_large_batch(large, reference):
    v, z = large
    size = len(reference.v)
    got = np.asarray(log_kv(v, z))
    for start in (0, SIZE // 2, SIZE - size):
        rows = slice(start, start + size)
        close(got[rows], log_kv(v[rows], z[rows]), 4e-15, 4e-15)


def test_gradients_in_a_large_batch(large, reference, gradient_of):
    v, z = large
    size = len(reference.v)
    got = gradient_of(v, z)
    for start in (0, SIZE - size):
        rows = slice(start, start + size)
        part = jax.tree.map(lambda x, rows=rows: x[rows], got)
        close(part, gradient_of(v[rows], z[rows]), 4e-14, 4e-15)


def test_moments_in_a_large_batch(large, reference):
    v, z = large
    size = len(reference.v)
    rows = slice(8, 8 + size)
    part = jax.tree.map(lambda x: x[rows], log_kv_moments(v, z))
    close(part, log_kv_moments(v[rows], z[rows]), 1e-10, 1e-14)


@pytest.fixture(scope="module")
def repeated(reference):
    """The reference points in a batch that is ordered by regime, each several times."""
    return np.random.default_rng(4).permutation(np.arange(5000) % len(reference.v))


def test_a_large_batch_is_as_right_as_a_small_one(reference, gradient_of, repeated):
    v, z = reference.v[repeated], reference.z[repeated]
    assert v.size > _regimes._SMALL_BATCH
    got = [np.asarray(log_kv(v, z)), *gradient_of(v, z)[1]]
    first = np.unique(repeated, return_index=True)[1]
    value, dv, dz = (np.asarray(x)[first] for x in got)
    assert reference.errors("log_kv", value, reference.scale).max() <= 2e-15
    close(got[0], value[repeated], 4e-15, 4e-15)
    size = np.where(reference.v > 0, np.abs(reference["dv"]), 1.0)
    assert reference.errors("dv", dv, size).max() <= 1e-13
    assert reference.errors("dz", dz).max() <= 2e-14


def test_moments_in_a_large_batch_are_as_right(reference, moments, repeated):
    got = log_kv_moments(reference.v[repeated], reference.z[repeated])
    first, held = np.unique(repeated, return_index=True)[1], reference.z >= 1e-60
    for name in ("ratio_up", "ratio_down"):
        ratio = np.asarray(getattr(got, name))[first]
        assert reference.errors(name, ratio)[held].max() <= 1e-13
    small, large = moments("jax").cov[held], np.asarray(got.cov)[first][held]
    deviation = np.sqrt(np.einsum("...ii->...i", small))
    scale = deviation[:, :, None] * deviation[:, None, :]
    assert np.max(np.abs(large - small) / scale) <= 1e-11


@pytest.mark.parametrize("size", [4097, 5000, 8192])
def test_the_order_by_regime_is_stable(size):
    """Members of no part first, whatever the number of blocks that are counted in."""
    label = np.random.default_rng(size).integers(0, 4, size)
    members = [jnp.asarray(label == k) for k in (1, 2, 3)]
    ends = [jnp.int32(np.sum(label < k)) for k in (1, 2, 3)]
    position = _regimes._positions(members, ends, jnp.arange(size, dtype=jnp.int32))
    expected = np.empty(size, int)
    expected[np.argsort(label, kind="stable")] = np.arange(size)
    np.testing.assert_array_equal(position, expected)


@pytest.mark.parametrize(
    ("v", "z"),
    [((30.0, 50.0), (1e-3, 1e3)), ((0.0, 5.0), (1e-12, 0.2)), ((0.0, 20.0), (0.4, 10.0))],
    ids=["far", "corner", "rule"],
)
def test_a_large_batch_of_one_regime(padded, v, z):
    v, z = np.linspace(*v, 5000), np.geomspace(*z, 5000)
    close(log_kv(v, z)[::100], padded(log_kv, v[::100], z[::100]), 4e-15)


def test_vmap_gathers_what_it_batches(large):
    """Under vmap the function sees one element, yet the corner is gathered from the batch."""
    v, z = (x[:5000] for x in large)

    def whiles(f):
        found = str(jax.make_jaxpr(f)(v, z))
        return found.count("while[")

    assert whiles(jax.vmap(log_kv)) == whiles(log_kv) > whiles(lambda v, z: log_kv(v[:9], z[:9]))


def beyond(limit, size):
    """Points with hypot(v, z) from a limit on."""
    rng = np.random.default_rng(2)
    w = limit * (1 + 1e-12) * np.exp(rng.uniform(0, 1, size) ** 3 * 20)
    angle = rng.uniform(0, np.pi / 2, size)
    angle[:20] = np.pi / 2 * np.repeat([0.0, 1.0 - 1e-12], 10)
    w[::7] = limit * (1 + 1e-12)
    v, z = w * np.sin(angle), w * np.cos(angle)
    assert np.all(np.hypot(v, z) >= limit)
    return v, z


@pytest.fixture(scope="module")
def far(reference):
    """What the expansion serves."""
    return beyond(FROM_25.limit, len(reference.v))


@pytest.fixture(scope="module")
def wide(reference):
    """What the shorter rule serves, if it is all of a batch."""
    return beyond(_saddle._WIDE, len(reference.v))


@pytest.mark.parametrize("table", [FROM_25, FROM_64], ids=["from 25", "from 64"])
def test_the_expansion_agrees_with_the_rule(far, wide, table):
    """As the seam between regimes does: to the error of either."""
    v, z = far if table is FROM_25 else wide
    rule, expansion = (
        jax.jit(_saddle.gradient)(v, z),
        jax.jit(_uniform.gradient, static_argnums=2)(v, z, table),
    )
    (value,) = jax.jit(_uniform.value, static_argnums=2)(v, z, table)
    scale = np.maximum(1.0, np.maximum(np.abs(rule[0]), v))
    np.testing.assert_array_less(np.abs(rule[0] - expansion[0]), 4e-15 * scale)
    np.testing.assert_allclose(value, expansion[0], rtol=1e-14)
    close(expansion[1:], rule[1:], 1e-14, 1e-16)


def test_moments_by_the_expansion_agree_with_the_rule(far):
    """Relative to standard deviations; those of g feel the ends of the fit, next to z = 0."""
    rule, expansion = (jax.jit(f)(*far) for f in (_saddle.covariance, _uniform.covariance))
    deviation = dict(zip("ufg", np.sqrt([rule[4], rule[7], rule[9]]), strict=True))
    for i, a in enumerate("ufg", start=1):
        assert np.max(np.abs(expansion[i] - rule[i]) / deviation[a]) <= 2e-14, a
    bars = {"gg": 1e-11, "fg": 1e-12}
    for i, (a, b) in enumerate(("uu", "uf", "ug", "ff", "fg", "gg"), start=4):
        error = np.abs(expansion[i] - rule[i]) / (deviation[a] * deviation[b])
        assert np.max(error) <= bars.get(a + b, 1e-13), a + b
    close(jax.jit(_uniform.mean)(*far), expansion[:4], 1e-15)


def test_moments_by_the_expansion_as_z_vanishes():
    """z e^t / 2 has the gamma law of order v then: moments of its logarithm and its inverse."""
    order = [25.5, 40.0, 321.0]
    v = np.array(order)
    got = jax.jit(_uniform.covariance)(v, np.full_like(v, 1e-30))
    _, u, f, g, uu, uf, ug, ff, fg, gg = map(np.asarray, got)
    with mp.workdps(40):
        exact = [
            # E e^u = 1, E e^-u = v/(v-1), and the covariances of u with both
            (mp.digamma(x) - mp.log(x), mp.polygamma(1, x), 1 / x, -x / (x - 1) ** 2)
            for x in map(mp.mpf, order)
        ]
        variances = [
            (1 / x, x**2 / ((x - 1) ** 2 * (x - 2)), -1 / (x - 1)) for x in map(mp.mpf, order)
        ]
    first, second, up, down = np.array(exact, float).T
    var_up, var_down, both = np.array(variances, float).T
    inverse = 1 / (v - 1)  # E e^-u - 1
    close((u, f, g), (first, -first, inverse + first), 3e-14)
    close((uu, uf, ug), (second, up - second, down + second), 1e-12)
    close(ff, var_up - 2 * up + second, 1e-12)
    close(gg, var_down + 2 * down + second, 1e-11)
    close(fg, both + up - down - second, 1e-11)


@pytest.mark.parametrize("name", ["hessian", "mean", "covariance"])
def test_the_short_rule_agrees_with_the_long_one(wide, name):
    rule = getattr(_saddle, name)
    short = jax.jit(lambda v, z: rule(v, z, adaptive=True))(*wide)
    long = jax.jit(rule)(*wide)
    close(short[0], long[0], 1e-14)
    if name == "covariance":
        deviation = dict(zip("ufg", np.sqrt([long[4], long[7], long[9]]), strict=True))
        for i, (a, b) in enumerate(("uu", "uf", "ug", "ff", "fg", "gg"), start=4):
            error = np.abs(short[i] - long[i]) / (deviation[a] * deviation[b])
            assert np.max(error) <= 2e-14, a + b
    elif name == "mean":
        close(short[2:], long[2:], 1e-14)
    else:
        close((short[3], short[5]), (long[3], long[5]), 1e-14)


def test_float32_in_a_far_batch(wide):
    """The expansion and the shorter rule of that precision."""
    v, z = (np.float32(x[wide[0] + wide[1] < 1e6]) for x in wide)
    assert np.hypot(v, z).min() >= _saddle._WIDE * (1 - 1e-6)
    assert v.size > 100
    got, expected = (
        jax.tree.map(np.float64, log_kv_moments(v.astype(dtype), z.astype(dtype)))
        for dtype in (np.float32, np.float64)
    )
    value = np.asarray(log_kv(v, z), np.float64)
    scale = np.maximum(np.hypot(v, z), np.abs(expected.log_kv))
    assert np.max(np.abs(value - expected.log_kv) / scale) <= 1e-6
    deviation = np.sqrt(np.einsum("...ii->...i", expected.cov))
    product = deviation[:, :, None] * deviation[:, None, :]
    assert np.max(np.abs(got.cov - expected.cov) / product) <= 2e-5
    np.testing.assert_allclose(got.mean[:, 1:], expected.mean[:, 1:], rtol=1e-5)


def test_one_near_element_changes_no_far_one(far, padded):
    v, z = far
    alone = padded(log_kv, v, z)
    beside = padded(log_kv, np.append(v[1:], 1.0), np.append(z[1:], 1.0))
    scale = np.maximum(np.hypot(v, z), np.abs(alone))[1:]
    np.testing.assert_array_less(np.abs(beside[:-1] - alone[1:]), 2e-15 * scale)


def test_finite_everywhere(reference, gradient_of, hessian_of):
    """Orders to 1e6, arguments from 1e-300 to 1e8: values and slopes finite, ∂²v > 0."""
    rng = np.random.default_rng(3)
    size = len(reference.v)
    for _ in range(20):
        v = np.exp(rng.uniform(np.log(1e-8), np.log(1e6), size))
        v[rng.uniform(size=size) < 0.1] = 0.0
        z = np.exp(rng.uniform(np.log(1e-300), np.log(1e8), size))
        value, (dv, dz) = gradient_of(v, z)
        assert np.all(np.isfinite(value) & np.isfinite(dv))
        assert np.all(dz < 0)
        assert np.all(np.isfinite(dz) | (v / z > 1e307))
        (dvv, dvz), _ = hessian_of(v, z)
        assert np.all(np.isfinite(dvv) & (dvv > 0))
        assert np.all(dvz <= 0)


def test_the_derivatives_at_the_edges(gradient_of, padded):
    """Infinite where log K is, in the direction of its limit; -1 and 0 as z -> inf."""
    v = np.array([0.0, 2.0, -2.0, 1.0, np.inf, -np.inf])
    z = np.array([0.0, 0.0, 0.0, np.inf, 1.0, 1.0])
    _, (dv, dz) = padded(gradient_of, v, z)
    np.testing.assert_array_equal(dv, [0.0, np.inf, -np.inf, 0.0, np.inf, -np.inf])
    np.testing.assert_array_equal(dz, [-np.inf, -np.inf, -np.inf, -1.0, -np.inf, -np.inf])


def test_float32_at_the_ends_of_its_range():
    v, z = jnp.float32([0.0, 0.5, 30.0, 1e6]), jnp.float32([1.2e-38, 1.3e-38, 2e-38, 1e30])
    got = log_kv(v, z)
    expected = log_kv(np.float64(v), np.float64(z))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
