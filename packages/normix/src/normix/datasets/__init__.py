"""Real data sets that come with the package, each with its source named.

>>> from normix import datasets
>>> datasets.names()
('ecb_fx',)
>>> data = datasets.load("ecb_fx")
>>> data.values.shape, data.columns[:3], str(data.index[0])
((2552, 27), ('USD', 'JPY', 'CZK'), '2016-04-25')
"""

import functools
import gzip
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from normix._table import parse_table

__all__ = ["Dataset", "load", "names"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
        name: the name that `load` takes.
        values: (n, d) float64, read-only; the unit is in `description`.
        columns: the d column names.
        index: (n,) dates as datetime64[D], or None.
        source: who published the data, and the terms.
        description: what the rows, columns and units are.
    """

    name: str
    values: NDArray[np.float64]
    columns: tuple[str, ...]
    index: NDArray[np.datetime64] | None
    source: str
    description: str


@dataclass(frozen=True)
class _Entry:
    file: str
    source: str
    description: str


_CATALOGUE = {
    "ecb_fx": _Entry(
        file="fx_ecb_logret.csv.gz",
        source="European Central Bank, free reuse with the source named",
        description="daily log-returns, log(rate today / rate the day before), of 27 euro "
        "foreign exchange reference rates, 2016-04-25 to 2026-04-13",
    ),
}


def names() -> tuple[str, ...]:
    """The names of the bundled data sets."""
    return tuple(_CATALOGUE)


@functools.cache
def load(name: str) -> Dataset:
    """Load a bundled data set.

    Args:
        name: one of `names()`.

    Raises:
        ValueError: no bundled data set has that name.

    Examples:
        >>> from normix.datasets import load
        >>> data = load("ecb_fx")
        >>> data.values.shape, data.columns[0]
        ((2552, 27), 'USD')
    """
    if name not in _CATALOGUE:
        raise ValueError(
            f"datasets.load: name must be one of {', '.join(map(repr, names()))}, got {name!r}"
        )
    entry = _CATALOGUE[name]
    packed = resources.files(__name__).joinpath("_data", entry.file).read_bytes()
    table = parse_table(gzip.decompress(packed).decode("utf-8"), entry.file)
    if table.index is not None:
        table.index.flags.writeable = False
    return Dataset(
        name=name,
        values=table.values,
        columns=table.columns,
        index=table.index,
        source=entry.source,
        description=entry.description,
    )
