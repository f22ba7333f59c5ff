"""`_fixed_order`: the table against integrals in 30 digits and against the direct evaluation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from normix_bessel import _fixed_order, log_kv_moments
from normix_bessel._fixed_order import (
    LOG_DOWN,
    LOG_UP,
    MASS,
    SHIFT,
    frame,
    log_kve,
    look_up,
    tabulate,
)

ORDERS = [0.0, 1e-8, 0.3, 0.5, 1.0, 2.3, -7.5, 30.0, 234.5, 1e4]
ARGUMENTS = np.array([1e-300, 1e-30, 3e-12, 2e-6, 0.013, 0.4, 1.0, 7.7, 150.0, 9e3, 1e6])
EVERY_ARGUMENT = np.geomspace(1e-303, 1e300, 4001)  # z/V is normal up to V = 1e4
BAR = 4e-15  # of max(1, the value)


def exact(order: float, argument: float) -> list[mpf]:
    """The four functions in 30 digits: the rule about the saddle, its plateau cut by hand."""
    with mp.workdps(50):
        v, z = mpf(abs(order)), mpf(argument)
        reference = max(v, mpf(1))
        centre = mp.asinh(reference / z)
        far = mp.hypot(reference, z)
        saddle, w = mp.asinh(v / z), mp.hypot(v, z)

        def fall(u):
            return (z * z / (w + v)) * (mp.cosh(u) - 1) + v * (mp.exp(u) - 1 - u)

        def end(side):
            reach = 1 / (16 * mp.sqrt(w + 1))
            while fall(side * reach) - 2 * reach < 90:
                reach *= mpf("1.1")
            return reach

        left, right = end(-1), end(1)
        step = min(mpf("0.13"), mpf("0.4") / mp.sqrt(w))
        count = int((left + right) / step) + 2
        step = (left + right) / count
        sums = [mpf(0)] * 4
        for k in range(count + 1):
            u = k * step - left
            weight, grown = mp.exp(-fall(u)), mp.exp(u)
            terms = (weight, weight * grown, weight / grown, weight * u)
            sums = [s + t for s, t in zip(sums, terms, strict=True)]
        log_mass = mp.log(sums[0] * step)
        bend = saddle - centre
        mass = log_mass + v * bend + far - w + mp.log(far) / 2
        up, down = mp.log(sums[1] / sums[0]) + bend, mp.log(sums[2] / sums[0]) - bend
        shift = sums[3] / sums[0] + bend
        return [mass, down, up, -shift] if order < 0 else [mass, up, down, shift]


@functools.cache
def references() -> dict[float, list[list[mpf]]]:
    return {v: [exact(v, z) for z in ARGUMENTS] for v in ORDERS}


@pytest.fixture(scope="module")
def tabulated():
    """v, z -> the four functions through jax.numpy, compiled once per dtype and shape."""
    return jax.jit(lambda v, z: look_up(tabulate(v, jnp), z, jnp))


def errors(found, order: float) -> np.ndarray:
    rows = [
        [
            float(abs(mpf(float(x)) - y) / max(1, abs(y)))
            for x, y in zip(row, exact_row, strict=True)
        ]
        for row, exact_row in zip(np.array(found).T, references()[order], strict=True)
    ]
    return np.array(rows)


@pytest.mark.parametrize("order", ORDERS)
def test_the_table_is_the_integral(tabulated, order):
    assert errors(look_up(tabulate(order, np), ARGUMENTS, np), order).max() <= BAR
    assert errors(tabulated(order, jnp.asarray(ARGUMENTS)), order).max() <= BAR


@pytest.mark.parametrize("order", [*ORDERS, 0.9999999, 1.0000001, 1.9999999, -0.25, -1.5, 1e6])
def test_both_namespaces_agree(tabulated, order):
    host = np.array(look_up(tabulate(order, np), EVERY_ARGUMENT, np))
    device = np.array(tabulated(order, jnp.asarray(EVERY_ARGUMENT)))
    assert (np.abs(host - device) / np.maximum(1, np.abs(host))).max() <= 1e-14


@pytest.mark.cpu
@settings(max_examples=300)
@given(
    magnitude=st.one_of(st.floats(0, 4), st.floats(-9, 4).map(lambda x: 10.0**x)),
    sign=st.sampled_from([-1.0, 1.0]),
    log_arguments=st.lists(st.floats(-40, 40), min_size=1, max_size=8),
)
def test_the_table_is_the_direct_evaluation(magnitude, sign, log_arguments):
    v, z = sign * magnitude, np.exp(log_arguments)
    table = tabulate(v, np, z.min(), z.max())
    mass, up, down, shift = look_up(table, z, np)
    height = frame(table, z, np)[1]
    direct = log_kv_moments(v, z, covariance=False, backend="cpu")
    # the latter is right to the bar of scipy's kve
    size = 1 + np.abs(v * height) + np.abs(direct.log_kve)
    assert (np.abs(log_kve(table, z, mass, np) - direct.log_kve) / size).max() <= 5e-13
    size = 1 + np.abs(height)
    assert (np.abs(up + height - np.log(direct.ratio_up)) / size).max() <= 1e-14
    assert (np.abs(down - height - np.log(direct.ratio_down)) / size).max() <= 1e-14
    assert (np.abs(shift + height - direct.dv) / size).max() <= 1e-14


@pytest.mark.parametrize("order", [-7.5, -0.7, 0.0, 0.25, 0.5, 3.0, 1234.5])
def test_neighbouring_orders_are_inverses(order):
    """(K_{v+1} / K_v) (K_v / K_{v+1}) = 1, from the tables of v and v + 1."""
    z = np.geomspace(1e-30, 1e30, 999)
    ratios = []
    for v, function, sign in ((order, LOG_UP, 1), (order + 1, LOG_DOWN, -1)):
        table = tabulate(v, np)
        ratios.append(look_up(table, z, np, (function,))[0] + sign * frame(table, z, np)[1])
    np.testing.assert_allclose(ratios[0], -ratios[1], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
def test_float32_has_its_digits(tabulated, order):
    z = np.geomspace(np.finfo(np.float32).tiny, 3e38, 2001).astype(np.float32)
    # the order itself is rounded
    expected = np.array(look_up(tabulate(float(np.float32(order)), np), z, np))
    found = tabulated(jnp.float32(order), jnp.asarray(z))
    assert all(x.dtype == jnp.float32 for x in found)
    assert (np.abs(np.array(found) - expected) / np.maximum(1, np.abs(expected))).max() <= 1.5e-6


def test_a_table_of_a_range_is_part_of_the_whole():
    z = np.geomspace(0.02, 30.0, 500)
    whole, part = tabulate(2.3, np), tabulate(2.3, np, z[0], z[-1])
    assert part.coefficients.size < whole.coefficients.size / 4
    # groups of nodes differ, and with them their count
    np.testing.assert_allclose(look_up(part, z, np), look_up(whole, z, np), atol=4e-15)


def test_shapes_and_subsets():
    z = np.geomspace(1e-3, 1e3, 60).reshape(3, 4, 5)
    table = tabulate(0.7, np)
    whole = look_up(table, z, np)
    assert all(x.shape == z.shape for x in whole)
    for function in (MASS, LOG_UP, LOG_DOWN, SHIFT):
        np.testing.assert_array_equal(look_up(table, z, np, (function,))[0], whole[function])
    assert look_up(table, np.float64(2.0), np, (MASS,))[0].shape == ()
    blocks = np.linspace(0.1, 9, 2 * _fixed_order._BLOCK + 3)
    inside = look_up(table, blocks, np)[MASS]
    np.testing.assert_array_equal(inside[-3:], look_up(table, blocks[-3:], np)[MASS])


def test_nan_stays_in_its_row(tabulated):
    z = np.array([np.nan, 1.0])
    for found in (look_up(tabulate(0.7, np), z, np), tabulated(0.7, jnp.asarray(z))):
        np.testing.assert_array_equal(np.isnan(found), [[True, False]] * 4)


def equations(jaxpr) -> int:
    inner = (
        equations(getattr(x, "jaxpr", x))
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for x in (value if isinstance(value, tuple | list) else [value])
        if hasattr(x, "jaxpr") or hasattr(x, "eqns")
    )
    return len(jaxpr.eqns) + sum(inner)


def test_the_program_is_small():
    def program(v, z):
        return look_up(tabulate(v, jnp), z, jnp)

    jaxpr = jax.make_jaxpr(program)(1.3, jnp.ones(100))
    assert equations(jaxpr.jaxpr) <= 620
    assert not any(name in str(jaxpr) for name in ("while", "callback", "custom_vmap", "scan"))
