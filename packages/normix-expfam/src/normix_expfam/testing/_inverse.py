"""η -> θ and maximum likelihood."""

from functools import partial

import jax
import jax.flatten_util
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily
from normix_expfam._information import invert_information
from normix_expfam._status import Status

from ._facts import facts_of, log_prob, require_close, require_holds

_FOUND = (
    Status.CONVERGED,
    Status.GAMMA_LIMIT,
    Status.INVERSE_GAMMA_LIMIT,
)


def check_inverse(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ -> η returns η, and there is no θ for an η of nan."""
    facts, family = facts_of(dist), type(dist)
    see = "_solve_expectation, interior_theta, _log_partition_from_theta"
    back = family.from_expectation(facts.eta, throw=False)
    parameters = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(back)])
    require_holds(dist, "eta -> theta is found", np.isfinite(parameters), parameters, see)
    require_close(dist, "eta -> theta -> eta", facts_of(back).eta, facts.eta, rtol * facts.rms, see)
    lost = family.from_expectation(np.full_like(facts.eta, np.nan), throw=False)
    finite = all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(lost))
    require_holds(dist, "an eta of nan has no theta", not finite, lost, see)


def check_inverse_cpu(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """η -> θ on the CPU reaches the likelihood of the law that η came from."""
    facts = facts_of(dist)
    found = type(dist).from_expectation(facts.eta, backend="cpu", throw=False)
    theta = np.asarray(found.natural_params())
    reached = theta @ facts.eta - np.asarray(found.log_partition())
    best = facts.theta @ facts.eta - facts.psi
    require_close(dist, "likelihood of eta -> theta on the CPU", reached, best,
                  rtol * facts.magnitude, "_solve_expectation")  # fmt: skip


def check_inverse_derivative(dist: ExponentialFamily, *, rtol: float = 1e-6) -> None:
    """∂θ/∂η through the inversion is (∇²ψ)⁻¹, in reverse mode, where it ends inside."""
    facts = facts_of(dist)
    jacobian, status = (np.asarray(value) for value in _theta_by_eta(type(dist), facts.eta))
    require_holds(dist, "eta -> theta reports that it found theta", int(status) in _FOUND,
                  Status(int(status)).name, "_solve_expectation")  # fmt: skip
    if int(status) != Status.CONVERGED:
        return
    # in units of the standard deviations of t, where ∇²ψ is the correlation matrix
    correlation = facts.fisher / facts.sd_sd
    product = jacobian * facts.sd_sd @ correlation
    condition = float(np.linalg.cond(correlation))
    require_close(dist, "dtheta/deta = inverse of the hessian hook", product,
                  np.eye(facts.theta.size), rtol + 1e3 * np.finfo(np.float64).eps * condition,
                  "_solve_expectation")  # fmt: skip


@partial(jax.jit, static_argnums=0)
def _theta_by_eta(family: type[ExponentialFamily], eta: Array) -> tuple[Array, Array]:
    def theta(at: Array) -> tuple[Array, Array]:
        law, status = family._solve_expectation(at, "jax")
        return law.natural_params(), status

    return jax.jacrev(theta, has_aux=True)(eta)


def check_mle(
    dist: ExponentialFamily, x: Array, *, rtol: float = 1e-9, on_cpu: bool = False
) -> None:
    """The MLE has the mean statistics of the data, and beats the law the data came from.

    A maximum on the boundary, which the status names, is one without moment matching.
    `mle` and `fit_mle` agree, its likelihood is the sum of log_prob, and a weight counts
    repetitions of a row.

    Args:
        dist: the distribution of the data.
        x: observations.
        rtol: tolerance.
        on_cpu: also compare the fit of the CPU backend.
    """
    family = type(dist)
    result = family.mle(x, throw=False)
    law, status = result.model, Status(int(result.status))
    require_holds(dist, "the MLE is found", status in _FOUND, status.name, "_fit")
    facts = facts_of(law)
    eta = np.asarray(family.sufficient_statistics(x)).mean(axis=0)
    if status == Status.CONVERGED:
        require_close(dist, "eta of the MLE = mean of t over the data", facts.eta, eta,
                      rtol * facts.rms, "_fit, _solve_expectation")  # fmt: skip
    values = np.asarray(log_prob(law, x))
    magnitude = 1 + np.abs(values).sum()
    rounding = 64 * np.finfo(np.float64).eps * (magnitude + x.shape[0] * facts.magnitude)
    require_close(dist, "log-likelihood of the MLE", result.log_likelihood, values.sum(), rounding,
                  "_fit")  # fmt: skip
    before = np.asarray(log_prob(dist, x)).sum()
    require_holds(dist, "the MLE is at least as likely as the law of the data",
                  values.sum() >= before - rtol * magnitude, (values.sum(), before),
                  "_fit, _solve_expectation")  # fmt: skip
    weights = 1.0 + np.arange(x.shape[0]) % 3
    others = [
        ("MLE with equal weights = MLE", family.fit_mle(x, np.full(x.shape[0], 2.0), throw=False)),
        ("fit_mle = mle", family.fit_mle(x, throw=False)),
    ]
    if on_cpu:
        others.append(
            ("MLE on the CPU = MLE on JAX", family.fit_mle(x, backend="cpu", throw=False))
        )
    for name, other in others:
        require_close(dist, name, facts_of(other).eta, facts.eta, rtol * facts.rms, "_fit")
    weighted = facts_of(family.fit_mle(x, weights, throw=False))
    repeated = facts_of(family.fit_mle(np.repeat(x, weights.astype(int), axis=0), throw=False))
    require_close(dist, "a weight counts repetitions of its row", weighted.eta, repeated.eta,
                  rtol * repeated.rms, "_fit")  # fmt: skip
    if family.fits_constant_data:
        same = np.repeat(np.asarray(x[:1]), 3, axis=0)
        found = facts_of(family.fit_mle(same, throw=False)).eta
        point = np.asarray(family.sufficient_statistics(same[0]))
        require_close(dist, "eta of the MLE of equal observations = their t", found, point,
                      rtol * (1 + np.abs(point)), "fits_constant_data, _fit")  # fmt: skip


def check_deviations(dist: ExponentialFamily, *, rtol: float = 1e-6) -> None:
    """Free parameters are as many as natural ones that they move; errors are (Jᵀ ∇²ψ J)^(-1/2).

    J = ∂θ/∂classical. Parameters that are not free move none.
    """
    facts, information = facts_of(dist), dist.information
    flat, unflatten = jax.flatten_util.ravel_pytree(dist)
    free = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(information.free(dist))])
    require_holds(dist, "free parameters are booleans, one of each parameter",
                  free.shape == flat.shape and free.dtype == bool, free,
                  "information.free")  # fmt: skip
    jacobian = np.asarray(jax.jacfwd(lambda at: unflatten(at).natural_params())(flat))
    jacobian = jacobian * facts.sd[:, None]
    length = np.linalg.norm(jacobian, axis=0)
    jacobian = jacobian / np.where(length > 0, length, 1.0)
    rank, own = (np.linalg.matrix_rank(part, tol=1e-12) for part in (jacobian, jacobian[:, free]))
    require_holds(dist, "free parameters determine theta, each in its own way",
                  own == rank == free.sum(),
                  f"{free.sum()} of them, that move {own} of {rank} directions",
                  "information.free, natural_params")  # fmt: skip
    found, expected = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(law)])
        for law in (information.deviations(dist), invert_information(dist))
    )
    condition = np.linalg.cond(facts.fisher / facts.sd_sd)
    allowed = rtol + 64 * np.finfo(np.float64).eps * condition
    require_close(dist, "standard errors are those of the Fisher information", found[free],
                  expected[free], allowed * expected[free], "information.deviations")  # fmt: skip
