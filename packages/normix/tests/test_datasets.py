"""The bundled data, compared with what their publisher's file says."""

import dataclasses

import numpy as np
import pytest

from normix import datasets


def test_ecb_fx_is_the_file_it_says():
    data = datasets.load("ecb_fx")
    assert data.name == "ecb_fx"
    assert data.values.shape == (2552, 27)
    assert data.values.dtype == np.float64
    assert np.all(np.isfinite(data.values))
    assert data.columns[:4] == ("USD", "JPY", "CZK", "GBP")
    assert len(set(data.columns)) == 27
    assert data.index.dtype == "datetime64[D]"
    assert data.index.shape == (2552,)
    assert str(data.index[0]) == "2016-04-25"
    assert str(data.index[-1]) == "2026-04-13"
    assert np.all(np.diff(data.index) > np.timedelta64(0, "D"))
    assert "European Central Bank" in data.source
    assert data.values[0, 0] == 8.88e-05
    assert data.values[-1, -1] == 0.0075601


def test_the_largest_moves_are_those_of_the_lira():
    data = datasets.load("ecb_fx")
    lira = np.abs(data.values[:, data.columns.index("TRY")])
    largest = sorted(str(day) for day in data.index[np.argsort(lira)[-2:]])
    assert largest == ["2018-08-13", "2021-12-21"]


def test_a_data_set_cannot_be_changed_by_its_readers():
    data = datasets.load("ecb_fx")
    with pytest.raises(ValueError, match="read-only"):
        data.values[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        data.index[0] = np.datetime64("2000-01-01")
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"


def test_every_name_loads():
    assert datasets.names() == ("ecb_fx",)
    for name in datasets.names():
        data = datasets.load(name)
        assert data.name == name
        assert data.values.shape == (len(data.values), len(data.columns))
        assert data.source
        assert data.description


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"one of 'ecb_fx', got 'ecb'"):
        datasets.load("ecb")
