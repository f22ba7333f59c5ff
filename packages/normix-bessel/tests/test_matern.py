"""`matern` and `log_matern`: closed forms, integrals in 30 digits, slopes, edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf

from normix_bessel import log_matern, matern

DISTANCES = np.concatenate([[0.0], np.geomspace(1e-9, 40.0, 24)])
SMOOTHNESSES = [0.05, 0.3, 0.5, 0.99, 1.0, 1.7, 2.0, 3.7, 30.0, 300.0]


@functools.cache
def integrals(order: float) -> list[tuple[mpf, mpf]]:
    """log k and the Matérn slope in s over k, -K_{ν-1} / K_ν, at the distances after 0."""
    found = []
    with mp.workdps(45):
        v = mpf(order)
        for r in DISTANCES[1:]:
            z = mp.sqrt(2 * v) * mpf(r)
            saddle = mp.asinh(v / z)
            w = mp.hypot(v, z)

            def fall(u, z=z, w=w):
                return z * z / (w + v) * (mp.cosh(u) - 1) + v * (mp.exp(u) - 1 - u)

            def end(side, fall=fall, w=w):
                reach = 1 / (16 * mp.sqrt(w + 1))
                while fall(side * reach) - reach < 80:
                    reach *= mpf("1.1")
                return reach

            left, right = end(-1), end(1)
            count = int((left + right) / min(mpf("0.14"), mpf("0.45") / mp.sqrt(w))) + 2
            step = (left + right) / count
            total = below = mpf(0)
            for k in range(count + 1):
                u = k * step - left
                weight = mp.exp(-fall(u))
                total, below = total + weight, below + weight * mp.exp(-u)
            log_2k = mp.log(total * step) - w + v * saddle
            log_value = -v * mp.log(2) - mp.loggamma(v) + v * mp.log(z) + log_2k
            found.append((log_value, -below / total * mp.exp(-saddle)))
    return found


@pytest.fixture(scope="module")
def with_slopes():
    """r, ν -> log k and its slopes in r and ν, compiled once."""
    return jax.jit(jax.vmap(jax.value_and_grad(log_matern, (0, 1)), in_axes=(0, None)))


@pytest.mark.parametrize("nu", SMOOTHNESSES)
def test_it_is_the_integral(with_slopes, nu):
    value, (in_r, _) = with_slopes(DISTANCES, nu)
    for got, slope, (log_value, exact_slope) in zip(
        np.array(value)[1:], np.array(in_r)[1:], integrals(nu), strict=True
    ):
        assert abs(mpf(float(got)) - log_value) <= 5e-15 * max(1, abs(log_value))
        with mp.workdps(30):
            exact = exact_slope * mp.sqrt(2 * mpf(nu))
            assert abs(mpf(float(slope)) / exact - 1) <= 4e-14


@pytest.mark.parametrize("nu", SMOOTHNESSES)
def test_the_slope_in_the_smoothness_is_that_of_the_values(with_slopes, nu):
    """By central differences of Richardson's: their own error is 1e-10."""
    step = 2e-3 * nu

    def difference(h):
        above, below = (np.array(log_matern(DISTANCES, nu + x)) for x in (h, -h))
        return (above - below) / (2 * h)

    rough, fine, finest = (difference(step / 2**k) for k in range(3))
    once, again = (4 * fine - rough) / 3, (4 * finest - fine) / 3
    got = np.array(with_slopes(DISTANCES, nu)[1][1])
    assert got[0] == 0
    np.testing.assert_allclose(got, (16 * again - once) / 15, rtol=1e-8, atol=1e-9 / nu)


@pytest.mark.parametrize(
    ("nu", "polynomial"),
    [(0.5, lambda s: 1 + 0 * s), (1.5, lambda s: 1 + s), (2.5, lambda s: 1 + s + s * s / 3)],
)
def test_the_closed_forms(nu, polynomial):
    """As scikit-learn's Matern has them."""
    for scale in (1.0, 0.3):
        s = np.sqrt(2 * nu) * DISTANCES / scale
        np.testing.assert_allclose(
            matern(DISTANCES, nu, lengthscale=scale), polynomial(s) * np.exp(-s), rtol=1e-13
        )


def test_the_gaussian_limit():
    value, slopes = jax.jvp(
        lambda r, nu: log_matern(r, nu, lengthscale=2.0),
        (DISTANCES, jnp.inf),
        (1.0 + 0 * DISTANCES, 1.0),
    )
    np.testing.assert_allclose(value, -((DISTANCES / 2) ** 2) / 2, rtol=1e-15)
    np.testing.assert_allclose(slopes, -DISTANCES / 4, rtol=1e-15)
    # log k = -r²/2 + (r⁴/8 - r²/2 ...) / ν
    near = DISTANCES[DISTANCES < 3]
    np.testing.assert_allclose(log_matern(near, 1e14), -(near**2) / 2, rtol=1e-12, atol=5e-15)


@pytest.mark.parametrize("nu", [0.3, 0.5, 0.8, 1.7, 40.0, jnp.inf])
def test_at_distance_0_all_is_exact(nu):
    gradient = jax.grad(lambda r, nu, scale: matern(r, nu, lengthscale=scale), (0, 1, 2))
    in_r, in_nu, in_scale = gradient(0.0, nu, 4.0)
    assert matern(0.0, nu) == 1
    assert log_matern(0.0, nu) == 0
    assert in_nu == 0
    assert in_scale == 0
    assert in_r == (0 if nu > 0.5 else -0.25 if nu == 0.5 else -jnp.inf)
    # the infinite slope does not enter that in the other two
    of_nu = jax.jvp(lambda nu: matern(jnp.zeros(3), nu), (nu,), (1.0,))[1]
    np.testing.assert_array_equal(of_nu, np.zeros(3))


def test_the_slope_in_the_lengthscale():
    """r ∂k/∂r + ℓ ∂k/∂ℓ = 0."""
    r, nu, scale = jnp.asarray(DISTANCES[1:]), 1.3, 0.7
    in_scale = jax.jacfwd(lambda x: matern(r, nu, lengthscale=x))(scale)
    in_r = jax.vmap(jax.grad(lambda x: matern(x, nu, lengthscale=scale)))(r)
    np.testing.assert_allclose(scale * in_scale, -r * in_r, rtol=1e-14)


def test_second_slopes():
    """k'' from Bessel's equation, s K'' ...: k'' = 2ν (k + (2ν - 1) k' / (√(2ν) s)) in r."""
    nu = 1.3
    r = jnp.array([0.0, 1e-3, 0.4, 2.0])
    first = jax.vmap(jax.grad(matern), (0, None))(r, nu)
    hessian = jax.jit(jax.vmap(jax.hessian(matern, (0, 1)), (0, None)))(r, nu)
    expected = 2 * nu * matern(r, nu)[1:] + (2 * nu - 1) / r[1:] * first[1:]
    np.testing.assert_allclose(hessian[0][0][1:], expected, rtol=1e-9)
    np.testing.assert_allclose(hessian[0][0][0], -nu / (nu - 1), rtol=1e-14)
    np.testing.assert_allclose(hessian[0][1], hessian[1][0], rtol=1e-10, atol=1e-15)
    slope = jax.jit(jax.vmap(jax.grad(matern, 1), (0, None)))
    step = 1e-4
    difference = (slope(r, nu + step) - slope(r, nu - step)) / (2 * step)
    np.testing.assert_allclose(hessian[1][1], difference, rtol=1e-6, atol=1e-9)


def test_edges():
    got = np.array(matern(jnp.array([0.0, jnp.inf, -1.0, jnp.nan]), 1.2))
    np.testing.assert_array_equal(got, [1, 0, np.nan, np.nan])
    assert log_matern(jnp.inf, 1.2) == -jnp.inf
    for nu, scale in ((-1.0, 1.0), (0.0, 1.0), (jnp.nan, 1.0), (1.0, -1.0), (1.0, 0.0)):
        assert jnp.isnan(matern(1.0, nu, lengthscale=scale))


def test_what_is_no_scalar_is_named():
    with pytest.raises(ValueError, match=r"matern: nu must be a scalar, got shape \(2,\)"):
        matern(1.0, [1.0, 2.0])
    with pytest.raises(ValueError, match="lengthscale must be a scalar"):
        log_matern(1.0, 1.0, lengthscale=np.ones(3))
    with pytest.raises(ValueError, match="must be real"):
        matern(1j, 1.0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_lower_precision(dtype):
    r = jnp.asarray(DISTANCES[DISTANCES < 10], dtype)
    got = matern(r, jnp.asarray(1.75, dtype))
    assert got.dtype == dtype
    expected = matern(np.asarray(r, float), 1.75)
    bar = 1e-6 if dtype == jnp.float32 else 1e-2
    np.testing.assert_allclose(np.asarray(got, float), expected, rtol=bar * 10, atol=bar)


def test_one_smoothness_per_row():
    nu = jnp.array([0.4, 1.0, 2.5])
    rows = jax.vmap(matern, (None, 0))(jnp.asarray(DISTANCES), nu)
    for one, row in zip(nu, rows, strict=True):
        np.testing.assert_allclose(row, matern(DISTANCES, one), rtol=1e-13)
