"""The account of several fits: a report to read and a CSV file to compute with."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from normix_fit import EMResult, Status, rank
from normix_mixtures import NormalMixture

from ._console import print_table, say, table_of
from ._table import Sample

if TYPE_CHECKING:
    from rich.console import Console

_SUMMARY_HEADER: Final = (
    "family",
    "log_likelihood",
    "n_parameters",
    "aic",
    "bic",
    "n_iter",
    "status",
    "seconds",
    "best",
)


def report_fits(
    console: "Console", data: Sample, results: Mapping[str, EMResult[Any]], best: str | None
) -> None:
    from rich.text import Text

    n, d = data.values.shape
    say(console, f"{data.description}\n{n} rows, {d} column{'s' * (d != 1)}\n")
    table = table_of(
        "family", "log-likelihood", "params", "AIC", "BIC", "iter.", "status", "seconds"
    )
    for name in rank(results):
        result = results[name]
        table.add_row(
            name,
            f"{float(result.log_likelihood):.3f}",
            str(result.n_parameters),
            f"{float(result.aic):.2f}",
            f"{float(result.bic):.2f}",
            str(int(result.n_iter)),
            Text(label(result), style="" if result.converged else "bold red"),
            f"{result.elapsed:.2f}",
            style="bold" if name == best else "",
        )
    print_table(console, table)
    for name in rank(results):
        result = results[name]
        if result.converged and result.status != Status.CONVERGED:
            say(console, f"{name}: {result.message}")
    if best is None:
        say(console, "\nno family could be fitted")
        return
    caveat = "" if results[best].converged else ", not converged"
    say(console, f"\nbest by AIC: {best} ({type(results[best].model).__name__}){caveat}\n")
    _report_model(console, data.columns, results[best].model)


def _report_model(console: "Console", columns: Sequence[str], model: NormalMixture) -> None:
    factor = np.asarray(model.L_Sigma)
    scale = np.sqrt((factor**2).sum(axis=1))
    decimals = _decimals(scale)
    table = table_of("column", "location", "skewness", "scale")
    for name, *numbers in zip(
        columns, np.asarray(model.mu), np.asarray(model.gamma), scale, strict=True
    ):
        table.add_row(
            name, *(f"{x:.4e}" if decimals is None else f"{x:.{decimals}f}" for x in numbers)
        )
    print_table(console, table)
    kind = type(model.subordinator).__name__
    values = ", ".join(
        f"{name} = {float(value):.6g}" for name, value in model.subordinator_parameters().items()
    )
    say(
        console,
        f"\nsubordinator Y: {kind}, {values}\n"
        f"  density proportional to {model.subordinator_density}\n"
        "  X = location + skewness Y + scale sqrt(Y) Z, Z normal with variances 1\n"
        "  location, skewness and scale have the units of the data; Y has none,\n"
        "  its scale is fixed by the mode of log Y at 0",
    )


def _decimals(scale: np.ndarray[Any, np.dtype[Any]]) -> int | None:
    """Decimals that give every scale five digits, or None where the columns differ too much."""
    low, high = float(scale.min()), float(scale.max())
    if not 0 < high < 1e3 * low:
        return None
    decimals = max(0, 4 - math.floor(math.log10(low)))
    return decimals if decimals <= 9 and high < 1e7 else None


def summary_csv(results: Mapping[str, EMResult[Any]], best: str | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_SUMMARY_HEADER)
    for name in rank(results):
        result = results[name]
        numbers = (float(x) for x in (result.aic, result.bic))
        writer.writerow(
            [
                name,
                repr(float(result.log_likelihood)),
                result.n_parameters,
                *map(repr, numbers),
                int(result.n_iter),
                label(result),
                f"{result.elapsed:.3f}",
                int(name == best),
            ]
        )
    return text.getvalue()


def label(result: EMResult[Any]) -> str:
    return result.status.name.lower().replace("_", " ")
