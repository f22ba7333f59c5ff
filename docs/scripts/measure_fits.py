"""Fits of three data sets beside the best log-likelihoods that R's ghyp reaches.

    uv run python docs/scripts/measure_fits.py ../shared/data

prints the Markdown table of docs/fit.md. The folder holds fx_ecb_logret.csv.gz,
turbulence_uvw.csv.gz and reference_fits.json, the results of ghyp 1.6.5 run to reltol 1e-14.
"""

import argparse
import json
import sys
from pathlib import Path

import jax
import numpy as np

from normix_fit import FAMILIES, EMResult, fit

FIVE = ("USD", "JPY", "GBP", "CHF", "TRY")
LAG = 8
NEAR = 1e-6  # nats
HOW = {"to 1e-6": "anderson", "squarem": "squarem", "plain": None}


def columns(path: Path) -> dict[str, np.ndarray]:
    """The numeric columns by name; the first column is a date or a time."""
    names = np.genfromtxt(path, delimiter=",", max_rows=1, dtype=str)[1:]
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, len(names) + 1))
    return dict(zip((str(name) for name in names), values.T, strict=True))


def data_sets(folder: Path) -> dict[str, np.ndarray]:
    rates = columns(folder / "fx_ecb_logret.csv.gz")
    flow = columns(folder / "turbulence_uvw.csv.gz")
    velocity = np.stack([flow[name] for name in ("U", "V", "W")], axis=1)
    return {
        "ecb_fx": np.stack(list(rates.values()), axis=1),
        "ecb_fx5": np.stack([rates[name] for name in FIVE], axis=1),
        "turbulence_lag8": velocity[LAG:] - velocity[:-LAG],
    }


def evaluations(result: EMResult, best: float) -> str:
    """E-steps until a model within `NEAR` of the best, those of dropped models included."""
    near = result.log_likelihoods >= best - NEAR
    if not near.any():
        return "-"
    dropped = result.n_evaluations - len(result.log_likelihoods)
    return f"{int(np.argmax(near)) + 1 + dropped}"


def line(*cells: object) -> None:
    """One line of the table, shown at once."""
    sys.stdout.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")
    sys.stdout.flush()


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    folder = parser.parse_args().folder
    rows = json.loads((folder / "reference_fits.json").read_text(encoding="utf-8"))
    reference = {(r["data"], r["family"]): r for r in rows if not r["symmetric"]}
    line("data", "family", "best known", "ours - best", "evaluations", *HOW, "ghyp", "status")
    line(*["---"] * 10)
    for data, X in data_sets(folder).items():
        for family in FAMILIES:
            fits = {how: fit(X, family, acceleration=how) for how in HOW.values()}
            result, known = fits["anderson"], reference.get((data, family))
            best = max(fits.values(), key=lambda other: other.log_likelihood).log_likelihood
            best = best if known is None else known["loglik"]
            line(
                data,
                family,
                f"{best:.6f}",
                f"{result.log_likelihood - best:+.1e}",
                result.n_evaluations,
                *(evaluations(other, best) for other in fits.values()),
                "" if known is None else known["iterations"],
                result.status.name,
            )


if __name__ == "__main__":
    main()
