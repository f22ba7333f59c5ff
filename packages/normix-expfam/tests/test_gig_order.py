"""`solve_gig_of_order`: (a, b) from E 1/Y and E Y with p known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_expfam import Status, gig_moments, solve_gig_of_order

moments = jax.jit(gig_moments)
solve = jax.jit(solve_gig_of_order)


@settings(max_examples=300)
@given(p=st.floats(-30, 30), log_omega=st.floats(-5, 8), log_scale=st.floats(-8, 8))
def test_the_means_come_back(p, log_omega, log_scale):
    omega, scale = 10.0**log_omega, 10.0**log_scale
    given_means = moments(p, omega / scale, omega * scale)
    got = solve(jnp.asarray(p), given_means.inverse_y, given_means.y)
    again = moments(got.p, got.a, got.b)
    assert float(got.p) == p
    assert int(got.status) in (
        Status.CONVERGED, Status.DEGENERATE,
        Status.GAMMA_LIMIT, Status.INVERSE_GAMMA_LIMIT,
    )  # fmt: skip
    np.testing.assert_allclose(again.y, given_means.y, rtol=1e-12)
    np.testing.assert_allclose(again.inverse_y, given_means.inverse_y, rtol=1e-12)
    assert int(got.steps) <= 20


@pytest.mark.parametrize("sign", [1, -1])
def test_means_beyond_the_limit_end_on_it(sign):
    """E Y · E 1/Y = 2 is more than p/(p - 1) = 1.5 allows: the gamma law of shape 3."""
    got = solve(jnp.asarray(3.0 * sign), jnp.asarray(2.0), jnp.asarray(1.0))
    if sign > 0:
        assert int(got.status) == Status.GAMMA_LIMIT
        assert (float(got.a), float(got.b)) == (6.0, 0.0)
    else:
        assert int(got.status) == Status.INVERSE_GAMMA_LIMIT
        assert (float(got.a), float(got.b)) == (0.0, 3.0)


def test_point_masses_and_impossible_means():
    point = solve(jnp.asarray(0.5), jnp.asarray(1.0), jnp.asarray(1 + 1e-14))
    assert int(point.status) == Status.DEGENERATE
    assert float(point.a) > 1e9
    for inverse_y, y in ((1.0, 0.5), (-1.0, 2.0), (np.nan, 1.0), (1.0, np.inf)):
        got = solve(jnp.asarray(0.5), jnp.asarray(inverse_y), jnp.asarray(y))
        assert int(got.status) == Status.INFEASIBLE
        assert np.isnan(got.a)


def test_single_precision():
    p, a, b = (jnp.asarray(x, jnp.float32) for x in (1.3, 0.7, 2.0))
    found = moments(p, a, b)
    got = solve(p, found.inverse_y, found.y)
    assert got.a.dtype == jnp.float32
    np.testing.assert_allclose([got.a, got.b], [0.7, 2.0], rtol=2e-5)
