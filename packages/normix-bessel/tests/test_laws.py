"""Identities and inequalities of K_v, at points that hypothesis chooses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from normix_bessel import log_kv
from normix_bessel._small_argument import ARGUMENT_LIMIT, ORDER_LIMIT
from normix_bessel._small_order import order_limit

# multiples of 2^-20, so that v ± 1 is exact
orders = st.integers(0, 2**30).map(lambda k: k * 2.0**-20)
small_orders = st.integers(0, 12 * 2**20).map(lambda k: k * 2.0**-20)
any_order = st.one_of(small_orders, orders)
arguments = st.floats(-60.0, 12.0).map(lambda x: float(np.exp(x)))


def value(v, z):
    return float(log_kv(v, z))  # one compiled function of two float64 scalars


def rounding(*points):
    """What errors of a few ulps can add up to at these points."""
    return 1e-14 * max(max(1.0, abs(value(v, z)), np.hypot(v, z)) for v, z in points)


@given(any_order, arguments)
def test_recurrence(v, z):
    """K_{v+1} = K_{v-1} + (2 v / z) K_v, DLMF 10.29.1."""
    below = value(v - 1, z)
    middle = np.log(2 * v) - np.log(z) + value(v, z) if v > 0 else -np.inf
    expected = np.logaddexp(below, middle)
    assert abs(value(v + 1, z) - expected) <= rounding((v + 1, z), (v - 1, z))


@given(any_order, arguments)
def test_turan(v, z):
    """K_v² < K_{v-1} K_{v+1}, and at v > 1 at most v / (v - 1) times less (Baricz 2010)."""
    gain = value(v - 1, z) + value(v + 1, z) - 2 * value(v, z)
    slack = 4 * rounding((v + 1, z), (v - 1, z))
    assert gain >= -slack
    if v > 1:
        assert gain <= np.log(v / (v - 1)) + slack


@given(any_order, any_order, arguments)
def test_increasing_in_the_order(v1, v2, z):
    low, high = sorted((v1, v2))
    assert value(high, z) - value(low, z) >= -rounding((low, z), (high, z))


@given(any_order, arguments, arguments)
def test_decreasing_in_the_argument(v, z1, z2):
    low, high = sorted((z1, z2))
    assert value(v, low) - value(v, high) >= (high - low) - rounding((v, low), (v, high))


@given(any_order, arguments)
def test_even_in_the_order(v, z):
    assert value(v, z) == value(-v, z)


@given(arguments)
def test_half_integers_in_closed_form(z):
    """DLMF 10.39.2 and 10.49.12."""
    half = 0.5 * (np.log(np.pi / 2) - np.log(z)) - z
    assert abs(value(0.5, z) - half) <= rounding((0.5, z))
    assert abs(value(1.5, z) - (half + np.log1p(1 / z))) <= rounding((1.5, z))
    fifth = half + np.log1p(3 / z * (1 + 1 / z))
    assert abs(value(2.5, z) - fifth) <= rounding((2.5, z))


@given(st.floats(0.0, 40.0), st.floats(-2.0, 5.0).map(lambda x: float(np.exp(x))))
def test_wronskian(v, z):
    """I_v K_{v+1} + I_{v+1} K_v = 1 / z, DLMF 10.28.2, with I from scipy."""
    first = np.log(special.ive(v, z)) + (value(v + 1, z) + z)
    second = np.log(special.ive(v + 1, z)) + (value(v, z) + z)
    assert abs(np.logaddexp(first, second) + np.log(z)) <= 1e-11


JUST_BELOW = [
    # (below, at) on both sides of every seam between series and saddle, and inside the series
    *[
        ((v, np.nextafter(ARGUMENT_LIMIT, 0)), (v, ARGUMENT_LIMIT))
        for v in np.linspace(0, ORDER_LIMIT - 0.01, 120)
    ],
    *[
        ((np.nextafter(ORDER_LIMIT, 0), z), (ORDER_LIMIT, z))
        for z in np.geomspace(1e-30, ARGUMENT_LIMIT - 1e-4, 80)
    ],
    *[
        ((np.nextafter(k + 0.5, 0), z), (k + 0.5, z))
        for k in range(int(ORDER_LIMIT))
        for z in np.geomspace(1e-30, ARGUMENT_LIMIT - 1e-4, 10)
    ],
    *[
        ((np.nextafter(limit, 0), z), (limit, z))
        for z in np.geomspace(0.3, 1e8, 30)
        for limit in [float(order_limit(z))]
    ],
    ((0.0, 1e-3), (5e-324, 1e-3)),
    ((0.0, 3.0), (5e-324, 3.0)),
]


@pytest.fixture(scope="module")
def sides(reference):
    sides = np.array(JUST_BELOW).transpose(1, 2, 0)  # side, (v, z), pair
    fill = np.ones((2, 2, len(reference.v) - sides.shape[2]))  # to a length compiled already
    return np.concatenate([sides, fill], axis=2)


def test_values_and_gradients_are_continuous_over_the_seams(sides, gradient_of):
    below, at = (gradient_of(*side) for side in sides)
    np.testing.assert_allclose(below[0], at[0], rtol=8e-15, atol=8e-15)
    np.testing.assert_allclose(below[1][0], at[1][0], rtol=2e-14, atol=2e-14)
    np.testing.assert_allclose(below[1][1], at[1][1], rtol=2e-14)


def test_curvatures_are_continuous_over_the_seams(sides, hessian_of):
    below, at = (np.array(hessian_of(*side)) for side in sides)
    for i in (0, 1):
        np.testing.assert_allclose(below[i, i], at[i, i], rtol=2e-12)
    bound = np.sqrt(at[0, 0]) * np.sqrt(at[1, 1])
    np.testing.assert_array_less(np.abs(below[0, 1] - at[0, 1]), 1e-12 * bound)
