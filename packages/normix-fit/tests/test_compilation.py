"""Seconds of compilation are those of the clock and of the fit; memory maps are counted."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from normix_fit import OnlineEMFitter, _compilation, fit
from normix_fit._compilation import compile_spans, seconds_covered
from normix_mixtures import NormalInverseGaussian


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


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """Files like those of Linux, of 100 maps in all, and a function that sets how many are held."""
    held, most = tmp_path / "maps", tmp_path / "max_map_count"
    most.write_text("100\n")
    monkeypatch.setattr(_compilation, "_MAPS", held)
    monkeypatch.setattr(_compilation, "_MOST_MAPS", most)
    monkeypatch.setattr(_compilation, "_warned", set())
    return lambda number: held.write_text(number * "7f00-7f01 r-xp\n")


def compiling():
    with compile_spans():
        jax.jit(lambda x: jnp.sin(x) + 1)(1.0)


def test_too_many_memory_maps_are_a_warning_once(maps):
    maps(75)
    compiling()
    maps(76)
    with pytest.warns(UserWarning, match=r"holds 76 of the 100 memory maps.*jax.clear_caches\(\)"):
        compiling()
    maps(90)
    compiling()
    maps(20)
    compiling()
    maps(80)
    with pytest.warns(UserWarning, match="holds 80 of the 100"):
        compiling()


def test_maps_are_counted_only_after_a_compilation(maps):
    maps(99)
    ready = jax.jit(lambda x: x + 1)
    ready(1.0)
    with compile_spans():
        ready(2.0)


@pytest.mark.usefixtures("maps")
def test_where_there_are_no_such_files_nothing_is_counted():
    compiling()


def test_fits_and_updates_count_them(maps):
    X = np.random.default_rng(0).laplace(size=(41, 1))
    maps(99)
    with pytest.warns(UserWarning, match="memory maps") as record:
        fit(X, "nig", max_iter=1, backend="jax")
    assert len(record) == 1
    maps(1)
    fitter = OnlineEMFitter()
    state = fitter.update(fitter.init(NormalInverseGaussian.default_init(X)), X[:7])
    maps(99)
    with pytest.warns(UserWarning, match="memory maps") as record:
        fitter.update(state, X[:9])
    assert len(record) == 1


@pytest.mark.skipif(not _compilation._MAPS.exists(), reason="only Linux lists its memory maps")
def test_the_maps_of_this_process_are_read(monkeypatch):
    monkeypatch.setattr(_compilation, "_MANY", 0.0)
    monkeypatch.setattr(_compilation, "_warned", set())
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        compiling()
    assert len(record) == 1
    numbers = [int(word) for word in str(record[0].message).split() if word.isdigit()]
    assert 100 < numbers[0] < numbers[1]
