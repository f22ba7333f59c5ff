"""η -> θ and maximum likelihood."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily
from normix_expfam._status import InversionStatus

from ._facts import describe, facts_of, log_prob, require_close


def check_inverse(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ -> η returns η."""
    facts = facts_of(dist)
    back = type(dist).from_expectation(facts.eta)
    require_close(dist, "eta -> theta -> eta", facts_of(back).eta, facts.eta, rtol * facts.rms)


def check_inverse_cpu(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ on the CPU reaches the likelihood of the law that η came from."""
    facts = facts_of(dist)
    found = type(dist).from_expectation(facts.eta, backend="cpu")
    theta = np.asarray(found.natural_params())
    reached = theta @ facts.eta - np.asarray(found.log_partition())
    best = facts.theta @ facts.eta - facts.psi
    require_close(dist, "likelihood of eta -> theta on the CPU", reached, best,
                   rtol * facts.magnitude)  # fmt: skip


def check_inverse_derivative(dist: ExponentialFamily, *, rtol: float = 1e-6) -> None:
    """∂θ/∂η through the inversion is (∇²ψ)⁻¹, in reverse mode, where it ends inside."""
    facts = facts_of(dist)
    jacobian, status = (np.asarray(value) for value in _theta_by_eta(type(dist), facts.eta))
    if int(status) != InversionStatus.CONVERGED:
        return
    # in units of the standard deviations of t, where ∇²ψ is the correlation matrix
    correlation = facts.fisher / facts.sd_sd
    product = jacobian * facts.sd_sd @ correlation
    condition = float(np.linalg.cond(correlation))
    require_close(dist, "dtheta/deta = inverse of the hessian hook", product,
                  np.eye(facts.theta.size),
                  rtol + 1e3 * np.finfo(np.float64).eps * condition)  # fmt: skip


@partial(jax.jit, static_argnums=0)
def _theta_by_eta(family: type[ExponentialFamily], eta: Array) -> tuple[Array, Array]:
    def theta(at: Array) -> tuple[Array, Array]:
        law, status = family._solve_expectation(at)
        return law.natural_params(), status

    return jax.jacrev(theta, has_aux=True)(eta)


def check_mle(dist: ExponentialFamily, x: Array, *, rtol: float = 1e-9) -> None:
    """The MLE has the mean statistics of the data, and beats the law the data came from.

    A maximum on the boundary, which the status names, is one without moment matching.
    `mle` and `fit_mle` agree, its likelihood is the sum of log_prob, and a weight counts
    repetitions of a row.
    """
    family = type(dist)
    result = family.mle(x)
    law = result.model
    facts = facts_of(law)
    eta = np.asarray(family.sufficient_statistics(x)).mean(axis=0)
    if int(result.status) == InversionStatus.CONVERGED:
        require_close(dist, "eta of the MLE = mean of t over the data", facts.eta, eta,
                      rtol * facts.rms)  # fmt: skip
    values = np.asarray(log_prob(law, x))
    magnitude = 1 + np.abs(values).sum()
    rounding = 64 * np.finfo(np.float64).eps * (magnitude + x.shape[0] * facts.magnitude)
    require_close(dist, "log-likelihood of the MLE", result.log_likelihood, values.sum(), rounding)
    before = np.asarray(log_prob(dist, x)).sum()
    if not values.sum() >= before - rtol * magnitude:
        raise AssertionError(
            f"{describe(dist)}: the MLE is at least as likely as the law of the data: got "
            f"{values.sum()} and {before}"
        )
    doubled = family.fit_mle(x, np.full(x.shape[0], 2.0))
    for other in (doubled, family.fit_mle(x)):
        require_close(dist, "MLE with equal weights = MLE", facts_of(other).eta, facts.eta,
                      rtol * facts.rms)  # fmt: skip
