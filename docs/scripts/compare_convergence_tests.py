"""A sample of 300 rows on which each test of convergence alone stops plain EM too early.

    uv run python docs/scripts/compare_convergence_tests.py

prints the Markdown table of docs/fit.md.
"""

import sys

import jax
import numpy as np

from normix_fit import EMResult, fit


def sample() -> np.ndarray:
    """A bivariate t law with 8 degrees of freedom."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((300, 2)) / np.sqrt(rng.gamma(4.0, size=(300, 1)))


def distance(result: EMResult, end: EMResult) -> float:
    """Largest difference of μ and γ, in units of √Σ_jj."""
    scale = np.sqrt(np.diagonal(end.model.sigma))
    pairs = ((result.model.mu, end.model.mu), (result.model.gamma, end.model.gamma))
    return max(float(np.max(np.abs(a - b) / scale)) for a, b in pairs)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    lines = ["| tol | convergence | evaluations | nats short | μ, γ off |", f"|{'---|' * 5}"]
    X = sample()
    end = fit(X, "gh", tol=1e-9, gain_tol=1e-10)
    for tol, alone in ((1e-5, "parameters"), (1e-6, "likelihood")):
        for tests in ("both", alone):
            result = fit(X, "gh", acceleration=None, tol=tol, convergence=tests)
            short = end.log_likelihood - result.log_likelihood
            off = distance(result, end)
            lines.append(f"| {tol} | {tests} | {result.n_evaluations} | {short:.1e} | {off:.1e} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
