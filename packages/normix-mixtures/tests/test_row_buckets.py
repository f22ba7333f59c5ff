"""A few numbers of rows are compiled for, and what fills them up changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normix_mixtures._row_buckets import bucket, of_filled_rows


@given(st.integers(0, 10**9))
@settings(max_examples=300)
def test_a_bucket_holds_the_rows_and_little_more(n):
    assert n <= bucket(n) <= max(4 * n, 16)
    assert bucket(bucket(n)) == bucket(n)
    if n > 1024:
        assert bucket(n) <= 1.25 * n


def test_there_are_few_of_them():
    assert len({bucket(n) for n in range(500, 503)}) == 1
    assert len({bucket(n) for n in range(100_000)}) <= 35


@pytest.fixture
def programs():
    """The names of what is compiled, one for each time."""
    seen = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", ["gh", "nig", "vg", "ninvg"])
def test_another_number_of_rows_compiles_nothing(make, programs, name):
    model = make(name, 2)
    X = np.random.default_rng(0).standard_normal((60, 2))
    whole = model.log_prob(X), model.e_step(X)
    assert programs
    programs.clear()
    for n in (17, 30, 59):
        log_prob, moments = model.log_prob(X[:n]), model.e_step(X[:n])
        assert not programs
        for found, expected in zip((log_prob, *moments), (whole[0], *whole[1]), strict=True):
            assert found.shape == (n,)
            np.testing.assert_array_equal(found, np.asarray(expected)[:n])


def test_points_in_any_shape_are_evaluated(make):
    model = make("nig", 2)
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 2))
    flat = [float(model.log_prob(point)) for point in x.reshape(-1, 2)]
    np.testing.assert_allclose(model.log_prob(x).ravel(), flat, rtol=1e-13)
    assert model.log_prob(x[:0]).shape == (0, 3, 5)


def test_traced_rows_are_taken_as_they_are():
    sizes = []

    def total(X):
        sizes.append(len(X))
        return jnp.sum(X, axis=1)

    X = np.ones((5, 2))
    jax.jit(lambda X: of_filled_rows(total, X))(X)
    of_filled_rows(total, jnp.asarray(X))

    def scaled(scale):
        return jnp.sum(of_filled_rows(lambda X: scale * total(X), jnp.asarray(X), scale))

    jax.grad(scaled)(2.0)
    assert sizes == [5, 16, 5]
