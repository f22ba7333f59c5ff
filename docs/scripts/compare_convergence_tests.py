"""Two samples of 300 rows on which one of the two tests of convergence alone stops too early.

    uv run python docs/scripts/compare_convergence_tests.py

prints the Markdown table of docs/fit.md.
"""

import sys

import jax
import numpy as np

from normix_fit import EMResult, fit


def sample(seed: int) -> np.ndarray:
    """A bivariate t law with 8 degrees of freedom."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((300, 2)) / np.sqrt(rng.gamma(4.0, size=(300, 1)))


def distance(result: EMResult, end: EMResult) -> float:
    """Largest difference of μ and γ, in units of √Σ_jj."""
    scale = np.sqrt(np.diagonal(end.model.sigma))
    pairs = ((result.model.mu, end.model.mu), (result.model.gamma, end.model.gamma))
    return max(float(np.max(np.abs(a - b) / scale)) for a, b in pairs)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    lines = [
        "| seed | convergence | evaluations | nats short | μ, γ off |",
        "|---|---|---|---|---|",
    ]
    for seed in (0, 2):
        X = sample(seed)
        end = fit(X, "gh", tol=1e-9, gain_tol=1e-10)
        for tests in ("both", "parameters", "likelihood"):
            result = fit(X, "gh", convergence=tests)
            short = end.log_likelihood - result.log_likelihood
            off = distance(result, end)
            lines.append(f"| {seed} | {tests} | {result.n_evaluations} | {short:.1e} | {off:.1e} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
