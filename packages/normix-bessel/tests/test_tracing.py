"""The JAX backend under every transformation: the same numbers, and no work beyond them."""

import jax
import jax.export
import numpy as np
import pytest

from normix_bessel import log_kv, log_kv_moments

V = np.array([-12.5, -0.7, 0.0, 0.4, 3.0, 9.9, 10.1, 60.0])
Z = np.array([0.02, 1e-6, 0.05, 0.3, 0.09, 2.0, 1e-4, 55.0])


@pytest.fixture(scope="module")
def expected(padded):
    return padded(log_kv, V, Z)


def test_jit_changes_nothing(reference):
    got = jax.jit(log_kv)(reference.v, reference.z)
    np.testing.assert_array_equal(got, log_kv(reference.v, reference.z))


def test_vmap_over_both_or_either_changes_nothing(padded, expected):
    np.testing.assert_allclose(jax.vmap(log_kv)(V, Z), expected, rtol=1e-15)
    by_order, by_argument = jax.vmap(log_kv, (0, None)), jax.vmap(log_kv, (None, 0))
    np.testing.assert_allclose(by_order(V, Z[3]), padded(log_kv, V, Z[3]), rtol=1e-15)
    np.testing.assert_allclose(by_argument(V[3], Z), padded(log_kv, V[3], Z), rtol=1e-15)


def test_all_ways_to_a_gradient_agree(reference, derivatives):
    v, z = reference.v, reference.z
    ones, zeros = np.ones_like(v), np.zeros_like(v)
    forward = jax.jit(lambda *tangents: jax.jvp(log_kv, (v, z), tangents)[1])
    backward = jax.jit(lambda weights: jax.vjp(log_kv, v, z)[1](weights))
    for got in ((forward(ones, zeros), forward(zeros, ones)), backward(ones)):
        np.testing.assert_allclose(got[0], derivatives["dv"], rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(got[1], derivatives["dz"], rtol=1e-14)


def test_all_ways_to_a_hessian_agree(reference, derivatives):
    held = reference.z > 1e-150  # below, ∂²z overflows
    v, z = reference.v, np.where(held, reference.z, 1.0)

    @jax.jit
    def other_ways(v, z):
        reverse_over_forward = jax.jacrev(jax.jacfwd(log_kv, (0, 1)), (0, 1))
        return jax.vmap(reverse_over_forward)(v, z), jax.vmap(jax.grad(jax.grad(log_kv)))(v, z)

    nested, twice = other_ways(v, z)
    bound = np.sqrt(derivatives["dvv"][held]) * np.sqrt(derivatives["dzz"][held])
    for got, name, rtol in (
        (nested[0][0], "dvv", 1e-12),
        (twice, "dvv", 1e-12),
        (nested[1][1], "dzz", 1e-12),
    ):
        np.testing.assert_allclose(np.asarray(got)[held], derivatives[name][held], rtol=rtol)
    mixed = np.asarray(nested[0][1])[held] - derivatives["dvz"][held]
    assert np.max(np.abs(mixed) / bound) <= 1e-12


def test_inside_a_scan(expected):
    def step(carry, point):
        value = log_kv(*point)
        return carry + value, value

    total, values = jax.jit(lambda v, z: jax.lax.scan(step, 0.0, (v, z)))(V, Z)
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-14)


def test_newton_in_a_while_loop_recovers_the_order(padded):
    """∂v and ∂²v inside a solver, batched: log K_v(z) = value, solved for v."""

    def solve(z, value):
        slope = jax.value_and_grad(log_kv)

        def step(state):
            i, v = state
            f, df = slope(v, z)
            return i + 1, v - (f - value) / df

        return jax.lax.while_loop(lambda s: s[0] < 12, step, (0, 12.0))[1]

    v, z = np.array([3.0, 7.5, 10.0, 11.0]), np.array([0.05, 2.0, 0.1, 8.0])
    got = jax.jit(jax.vmap(solve))(z, padded(log_kv, v, z))
    np.testing.assert_allclose(got, v, rtol=1e-13)


def test_a_corner_beside_wide_elements_changes_neither(padded, expected):
    """The small-argument regime is skipped when no element needs it."""
    wide = Z >= 0.1
    np.testing.assert_array_equal(padded(log_kv, V[wide], Z[wide]), expected[wide])


def subjaxprs(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from subjaxprs(inner)


TRACED = {
    "value": log_kv,
    "gradient": jax.vmap(jax.value_and_grad(log_kv, (0, 1))),
    "hessian": jax.vmap(jax.hessian(log_kv, (0, 1))),
    "moments": log_kv_moments,
}


@pytest.fixture(scope="module")
def equations():
    traced = {name: jax.make_jaxpr(f)(V, Z).jaxpr for name, f in TRACED.items()}
    return {name: list(subjaxprs(jaxpr)) for name, jaxpr in traced.items()}


@pytest.mark.parametrize("name", TRACED)
def test_nothing_traced_calls_back_to_python(equations, name):
    primitives = {equation.primitive.name for equation in equations[name]}
    assert "exp" in primitives
    assert not [p for p in primitives if "callback" in p]


def test_a_callback_would_be_found():
    def offender(x):
        shape = jax.ShapeDtypeStruct((), x.dtype)
        return jax.jit(lambda y: jax.pure_callback(np.sin, shape, y))(x)

    found = subjaxprs(jax.make_jaxpr(offender)(1.0).jaxpr)
    assert [e for e in found if "callback" in e.primitive.name]


def test_a_value_computes_no_derivative(equations):
    """A loop over the nodes carries its counter and, for a value, one sum."""

    def sums(name):
        loops = [e for e in equations[name] if e.primitive.name in ("scan", "while")]
        return min(len(loop.outvars) for loop in loops) - 1

    assert sums("value") == 1
    assert sums("gradient") > 1
    assert len(equations["value"]) < 0.75 * len(equations["gradient"])


def test_no_array_holds_the_nodes_of_every_element(equations):
    sizes = [
        variable.aval.size
        for found in equations.values()
        for equation in found
        for variable in equation.outvars
        if hasattr(variable.aval, "size")
    ]
    # a covariance has nine numbers per element, a rule 56 nodes
    assert max(sizes) <= 9 * len(V)


@pytest.mark.parametrize("function", [log_kv, jax.vmap(jax.grad(log_kv))], ids=["value", "slope"])
def test_exports_with_an_open_size(function):
    (size,) = jax.export.symbolic_shape("n")
    shapes = (jax.ShapeDtypeStruct((size,), np.float64),) * 2
    exported = jax.export.export(jax.jit(function))(*shapes)
    np.testing.assert_allclose(exported.call(V, Z), function(V, Z), rtol=1e-13, atol=1e-15)
