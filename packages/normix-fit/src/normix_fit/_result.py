"""`EMResult` and `Status`: what a fit returns, and how it says how it ended."""

from enum import IntEnum
from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import Float

from normix_mixtures import NormalMixture


class Status(IntEnum):
    """How a fit ended; `message` says what it means and what to do."""

    CONVERGED = 0
    INVERSE_GAMMA_LIMIT = 1
    GAMMA_LIMIT = 2
    NORMAL_LIMIT = 3
    MAX_ITER = 4
    UNBOUNDED = 5
    SINGULAR_DISPERSION = 6
    SOLVER_STALLED = 7
    NON_FINITE = 8

    @property
    def converged(self) -> bool:
        """Whether the model is a stationary point, inside or on the boundary of the family."""
        return self <= Status.NORMAL_LIMIT

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "converged",
    Status.INVERSE_GAMMA_LIMIT: (
        "converged on the boundary a = 0: the fit is a skewed t law (NormalInverseGamma)"
    ),
    Status.GAMMA_LIMIT: (
        "converged on the boundary b = 0: the fit is a variance gamma law (VarianceGamma)"
    ),
    Status.NORMAL_LIMIT: (
        "the subordinator became constant: the data are no heavier-tailed than a normal law, "
        "and neither its shape nor gamma is determined"
    ),
    Status.MAX_ITER: "max_iter was reached before convergence; raise max_iter or loosen tol",
    Status.UNBOUNDED: (
        "mu met a data point where the density of the family is infinite, or for "
        "d/2 < p <= d/2 + 1 has a cusp: EM cannot go on, and the likelihood may have no maximum; "
        "remove repeated rows, or fit a family with b > 0 such as nig or gh"
    ),
    Status.SINGULAR_DISPERSION: (
        "the dispersion became singular; look for columns that are linearly dependent or rows "
        "that are repeated, and the model returned is the last one with a finite likelihood"
    ),
    Status.SOLVER_STALLED: (
        "the subordinator's parameters could not be solved for; the model returned is the last "
        "one before that"
    ),
    Status.NON_FINITE: (
        "the likelihood or a parameter became nan or infinite; the model returned is the last "
        "finite one; look for extreme outliers"
    ),
}


@final
class EMResult(eqx.Module):
    """A fitted model and the account of its fit; a pytree.

    Fields:
        model: the fitted model, in the units of the data and in the gauge of `normalize`.
        status: a `Status`.
        converged: whether `model` is a stationary point of the likelihood.
        n_iter: number of M-steps taken.
        log_likelihood: total log-likelihood of the data as they are, natural logarithm.
        log_likelihoods: its history, shape (n_iter + 1,); it never falls.
        param_changes: largest relative change of the normal parameters (μ, γ, L_Σ) in each
            iteration, shape (n_iter,), each in units of √Σ_jj of its row.
        elapsed: seconds from call to return, compilation included.
        n_observations: number of rows.
    """

    model: NormalMixture
    status: Status = eqx.field(static=True)
    n_iter: int = eqx.field(static=True)
    log_likelihood: float
    log_likelihoods: Float[np.ndarray, " n_iter_plus_1"]
    param_changes: Float[np.ndarray, " n_iter"]
    elapsed: float
    n_observations: int = eqx.field(static=True)

    @property
    def converged(self) -> bool:
        """Whether the fit ended at a stationary point."""
        return self.status.converged

    @property
    def n_parameters(self) -> int:
        """Free parameters of the law, the gauge taken off."""
        return self.model.n_parameters

    @property
    def aic(self) -> float:
        """Akaike's criterion 2 k - 2 log L."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion k log n - 2 log L."""
        return float(self.n_parameters * np.log(self.n_observations) - 2 * self.log_likelihood)
