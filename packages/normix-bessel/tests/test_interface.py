"""Edge values, dtypes, shapes and errors of the public functions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_bessel import KvMoments, kv, kve, log_kv, log_kv_moments, log_kve

BACKENDS = pytest.mark.parametrize("backend", ["jax", "cpu"])
FUNCTIONS = pytest.mark.parametrize("function", [log_kv, log_kve, kv, kve, log_kv_moments])
INF, NAN = np.inf, np.nan

EDGES = [
    # v, z, log K
    *[(v, 0.0, INF) for v in (0.0, 2.5, -2.5, INF, -INF)],
    *[(v, z, NAN) for v in (0.0, 2.5, INF) for z in (-1.0, -1e-300, -INF, NAN)],
    *[(NAN, z, NAN) for z in (0.0, 1.0, INF)],
    *[(v, INF, -INF) for v in (0.0, 2.5, -2.5, 1e300)],
    *[(v, z, INF) for v in (INF, -INF) for z in (1e-300, 1.0, 1e300)],
    *[(v, INF, NAN) for v in (INF, -INF)],
]


@BACKENDS
def test_edge_values(padded, backend):
    v, z, expected = map(np.array, zip(*EDGES, strict=True))
    for function in (log_kv, log_kve, log_kv_moments):
        got = padded(partial(function, backend=backend), v, z)
        value = got.log_kv if function is log_kv_moments else got
        np.testing.assert_array_equal(value, expected)
    for function in (kv, kve):
        got = padded(partial(function, backend=backend), v, z)
        np.testing.assert_array_equal(got, np.exp(expected))


def test_a_derivative_is_nan_where_the_value_is():
    v, z = np.array([1.0, NAN, 1.0, INF, 1.0]), np.array([-1.0, 1.0, NAN, INF, 2.0])
    dv, dz = jax.jit(jax.vmap(jax.grad(log_kv, (0, 1))))(v, z)
    expected = [True, True, True, True, False]
    np.testing.assert_array_equal(np.isnan(dv), expected)
    np.testing.assert_array_equal(np.isnan(dz), expected)


def test_an_edge_value_leaves_its_neighbours_alone(padded, gradient_of):
    v, z = np.array([1.0, 1.0, INF, 1.0, 0.5]), np.array([2.0, 0.0, 1.0, NAN, 1e-9])
    _, gradient = padded(gradient_of, v, z)
    _, alone = padded(gradient_of, v[[0, 4]], z[[0, 4]])
    np.testing.assert_array_equal(np.array(gradient)[:, [0, 4]], np.array(alone))


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.float16, jnp.bfloat16])
def test_the_dtype_is_that_of_the_inputs(dtype):
    x = jnp.asarray([0.5, 2.0], dtype)
    order = jnp.asarray([1.5, 1.5], dtype)
    for got in (log_kv(order, x), log_kv(1.5, x)):  # a Python scalar takes that of the other
        assert got.dtype == dtype
        expected = log_kv(np.array([1.5, 1.5]), np.array([0.5, 2.0]))
        rtol = 8 * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=rtol)
    assert log_kv(x, 2).dtype == dtype


def test_integers_become_the_default_float():
    assert log_kv(2, 3).dtype == jnp.float64
    assert log_kv(np.array([2, 3]), jnp.arange(1, 3)).dtype == jnp.float64
    np.testing.assert_array_equal(log_kv(2, 3), log_kv(2.0, 3.0))


def test_mixed_floats_promote():
    assert log_kv(jnp.ones(2, jnp.float32), jnp.ones(2, jnp.float64)).dtype == jnp.float64


@pytest.mark.cpu
def test_the_cpu_backend_answers_in_float64_numpy():
    for x in (0.5, 1, np.float32(0.5), jnp.float32(0.5), [0.5, 1.5]):
        got = log_kv(1, x, backend="cpu")
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.float64


@pytest.mark.cpu
def test_the_jax_backend_answers_in_jax():
    assert isinstance(log_kv(1.0, np.ones(2)), jax.Array)
    assert isinstance(log_kv_moments(1.0, np.ones(2), backend="cpu"), KvMoments)


@BACKENDS
def test_inputs_broadcast(backend):
    v, z = np.linspace(-1.0, 2.0, 4)[:, None], np.geomspace(0.01, 5.0, 3)
    got = log_kv(v, z, backend=backend)
    assert got.shape == (4, 3)
    alone = [[log_kv(order, x, backend=backend) for x in z] for order in v[:, 0]]
    np.testing.assert_allclose(got, alone, rtol=2e-15, atol=2e-15)


@BACKENDS
def test_empty_inputs_give_empty_results(backend):
    assert log_kv(np.ones((0, 3)), 1.0, backend=backend).shape == (0, 3)
    if backend == "cpu":
        assert log_kv_moments(np.ones((0, 3)), 1.0, backend=backend).cov.shape == (0, 3, 3, 3)


@pytest.mark.cpu
def test_inputs_are_left_unchanged():
    v, z = np.array([-1.0, 0.0]), np.array([2.0, -3.0])
    log_kv_moments(v, z, backend="cpu")
    np.testing.assert_array_equal(v, [-1.0, 0.0])
    np.testing.assert_array_equal(z, [2.0, -3.0])


@FUNCTIONS
def test_an_unknown_backend_is_named(function):
    with pytest.raises(ValueError, match=rf"{function.__name__}: backend .* got 'scipy'"):
        function(1.0, 2.0, backend="scipy")


@FUNCTIONS
@BACKENDS
def test_shapes_that_do_not_broadcast_are_named(function, backend):
    with pytest.raises(ValueError, match=rf"{function.__name__}: .*\(2,\) and \(3,\)"):
        function(np.ones(2), np.ones(3), backend=backend)


@FUNCTIONS
@BACKENDS
@pytest.mark.parametrize("inputs", [(1j, 2.0), (1.0, np.array([2j]))])
def test_complex_input_is_refused(function, backend, inputs):
    with pytest.raises(ValueError, match=rf"{function.__name__}: v and z must be real.*complex"):
        function(*inputs, backend=backend)


@BACKENDS
def test_lists_are_arguments(backend):
    got = log_kv(1.5, [1.0, 2.0], backend=backend)
    np.testing.assert_array_equal(got, log_kv(1.5, np.array([1.0, 2.0]), backend=backend))


@BACKENDS
@pytest.mark.parametrize(
    "value", [np.longdouble(1), np.array([1], object), "a", None, [[1], [1, 2]]]
)
def test_what_is_no_array_of_numbers_is_named(backend, value):
    pattern = r"log_kv: {} must be numbers of at most 64 bits in a rectangular array"
    with pytest.raises(TypeError, match=pattern.format("z")):
        log_kv(1.5, value, backend=backend)
    with pytest.raises(TypeError, match=pattern.format("v")):
        log_kv(value, 1.5, backend=backend)


@pytest.mark.cpu
def test_traced_values_with_the_cpu_backend_are_refused_by_name():
    with pytest.raises(TypeError, match=r"log_kv: z must be concrete .*backend='jax'"):
        jax.jit(lambda z: log_kv(1.5, z, backend="cpu"))(1.0)
