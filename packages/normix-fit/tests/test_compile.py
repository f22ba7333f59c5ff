"""Seconds of compilation are those of the clock, and only those of the fit."""

import jax
import jax.numpy as jnp
import pytest

from normix_fit._compile import compile_spans, seconds_covered


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0.0),
        ([(0.0, 1.0), (2.0, 3.5)], 2.5),
        ([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0)], 5.0),
        ([(1.0, 2.0), (0.0, 4.0)], 4.0),
    ],
)
def test_what_happens_inside_something_else_counts_once(spans, expected):
    assert seconds_covered(spans) == expected


def test_a_block_sees_its_own_compilations_and_those_of_blocks_inside():
    def new():
        return jax.jit(lambda x: jnp.sin(x) + 1)

    with compile_spans() as outer:
        with compile_spans() as inner:
            new()(1.0)
        seen = len(inner)
        new()(2.0)
    new()(3.0)
    assert 0 < seen == len(inner) < len(outer)
    after = len(outer)
    new()(4.0)
    assert len(outer) == after
