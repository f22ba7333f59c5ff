"""In a process that has no float64: `uv run nox -s float32`. Against scipy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian, gig_moments, solve_gig

pytestmark = pytest.mark.float32

Q = np.array([0.01, 0.3, 0.8, 0.999])
LAWS = {
    "gamma": (Gamma(2.5, 0.7), stats.gamma(2.5, scale=1 / 0.7)),
    "inverse gamma": (InverseGamma(4.5, 0.7), stats.invgamma(4.5, scale=0.7)),
    "inverse Gaussian": (InverseGaussian(3.6, 1.7), stats.invgauss(3.6 / 1.7, scale=1.7)),
    "GIG": (GIG(-0.7, 1e-3, 20.0), stats.geninvgauss(-0.7, 0.02**0.5, scale=2e4**0.5)),
    "GIG, concentrated": (
        GIG(40.0, 3.0, 20.0),
        stats.geninvgauss(40, 60**0.5, scale=(20 / 3) ** 0.5),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_density_tails_and_quantiles(name):
    law, peer = LAWS[name]
    x = peer.ppf(Q)
    for method in ("log_prob", "cdf", "sf"):
        got = jax.jit(getattr(type(law), method))(law, jnp.asarray(x))
        assert got.dtype == jnp.float32
        expected = getattr(peer, "logpdf" if method == "log_prob" else method)(x)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5, err_msg=method)
    got = jax.jit(type(law).ppf)(law, jnp.asarray(Q))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, x, rtol=1e-4)


@pytest.mark.parametrize("name", LAWS)
def test_the_mean_statistics_give_the_law_back(name):
    """As η determines it: the statistics of what comes back are the same."""
    law = LAWS[name][0]
    eta = law.expectation_params()
    again = type(law).from_expectation(eta)
    assert {leaf.dtype for leaf in jax.tree.leaves(again)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(again.expectation_params(), eta, rtol=3e-4, atol=1e-4)


def test_solutions_at_a_limit_are_exactly_there():
    """Gamma(2.5, 0.7) with a larger E 1/Y than it has: the maximum is on b = 0."""
    log_y, y = Gamma(2.5, 0.7).expectation_params()
    found = solve_gig(jnp.stack([log_y, jnp.float32(0.9), y]))
    assert (found.b, found.p.dtype) == (0.0, jnp.float32)
    np.testing.assert_allclose(found.p, 2.5, rtol=1e-4)


@pytest.mark.parametrize(("p", "slope"), [(-0.5, -5.0e7), (0.5, -5.0e27), (-1.5, -5.0e-13)])
def test_slopes_in_a_where_the_product_of_a_and_b_underflows(p, slope):
    """∂ψ/∂a = -E Y/2, in closed form at half-integer order; ab = 1e-40."""
    law = jax.grad(lambda a: gig_moments(jnp.float32(p), a, jnp.float32(1e-12)).log_partition)
    np.testing.assert_allclose(law(jnp.float32(1e-28)), slope, rtol=3e-6)
