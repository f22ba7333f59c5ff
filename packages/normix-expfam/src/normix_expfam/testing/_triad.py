"""The hooks against automatic differentiation and against each other."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import facts_of, require_close, require_holds


def check_natural_params(dist: ExponentialFamily, *, rtol: float = 1e-12) -> None:
    """Classical -> natural -> classical returns the parameters."""
    back = type(dist).from_natural(dist.natural_params())
    for got, leaf in zip(jax.tree.leaves(back), jax.tree.leaves(dist), strict=True):
        expected = np.asarray(leaf)
        tolerance = rtol * np.abs(expected) + 4 * np.finfo(expected.dtype).eps
        require_close(dist, "classical -> natural -> classical", got, expected, tolerance,
                      "natural_params, from_natural")  # fmt: skip


def check_gradient(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """`_grad_log_partition` is the gradient of the undecorated `_log_partition_from_theta`."""
    facts = facts_of(dist)
    require_close(dist, "grad hook = jax.grad of psi", facts.eta, facts.derivatives.gradient,
                   rtol * facts.rms, "_grad_log_partition, _log_partition_from_theta")  # fmt: skip


def check_hessian(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """`_hessian_log_partition` is the derivative of the gradient hook and positive definite."""
    facts = facts_of(dist)
    allowed = rtol * facts.sd_sd
    require_close(dist, "hessian hook = jacfwd of grad hook", facts.fisher,
                   facts.derivatives.jacobian, allowed, "_hessian_log_partition")  # fmt: skip
    require_close(dist, "hessian hook is symmetric", facts.fisher, facts.fisher.T, allowed * 1e-3,
                   "_hessian_log_partition")  # fmt: skip
    require_close(dist, "Fisher information = hessian hook", dist.fisher_information(),
                   facts.fisher, allowed, "information.covariance")  # fmt: skip
    correlation = facts.fisher / facts.sd_sd
    least = float(np.linalg.eigvalsh(correlation)[0])
    require_holds(dist, "hessian hook is positive definite", least > 0,
                  f"{least}, an eigenvalue of the correlation matrix of t(X)",
                  "_hessian_log_partition, _log_partition_from_theta")  # fmt: skip


def check_cpu(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """The CPU hooks give what the JAX hooks give."""
    facts, family = facts_of(dist), type(dist)
    psi = family._log_partition_cpu(facts.theta)
    require_close(dist, "psi on the CPU = psi on JAX", psi, facts.psi, rtol * facts.magnitude,
                   "_log_partition_cpu")  # fmt: skip
    eta = dist.expectation_params(backend="cpu")
    require_close(dist, "grad on the CPU = grad on JAX", eta, facts.eta, rtol * facts.rms,
                   "_grad_log_partition_cpu")  # fmt: skip
    fisher = dist.fisher_information(backend="cpu")
    allowed = rtol * facts.sd_sd
    require_close(dist, "hessian on the CPU = hessian on JAX", fisher, facts.fisher, allowed,
                   "_hessian_log_partition_cpu")  # fmt: skip


def check_differentiation(dist: ExponentialFamily, *, rtol: float = 1e-9) -> None:
    """Automatic differentiation of `log_partition` goes through the hooks: grad, hessian, jvp."""
    facts = facts_of(dist)
    found = facts.derivatives
    tiny, allowed = 64 * np.finfo(np.float64).eps, rtol * facts.sd_sd
    require_close(dist, "grad of psi = grad hook", found.decorated_gradient, facts.eta,
                   tiny * facts.rms, "_grad_log_partition")  # fmt: skip
    require_close(dist, "hessian of psi = hessian hook", found.decorated_hessian, facts.fisher,
                   allowed, "_hessian_log_partition")  # fmt: skip
    require_close(dist, "jacobian of grad = hessian hook", found.decorated_jacobian, facts.fisher,
                   allowed, "_hessian_log_partition")  # fmt: skip
    require_close(dist, "jvp of psi = grad hook . tangent", found.directional,
                   facts.eta @ facts.theta, tiny * facts.magnitude,
                   "_grad_log_partition")  # fmt: skip


def check_score(dist: ExponentialFamily, x: Array, *, rtol: float = 1e-9) -> None:
    """The gradient of log_prob in θ is t(x) - η, at one observation x."""
    facts = facts_of(dist)
    score = _score(type(dist), facts.theta, x)
    expected = np.asarray(dist.sufficient_statistics(x)) - facts.eta
    scale = facts.rms + np.abs(expected)
    require_close(dist, "score = t(x) - eta", score, expected, rtol * scale,
                   "_log_kernel, from_natural, natural_params")  # fmt: skip


@partial(jax.jit, static_argnums=0)
def _score(family: type[ExponentialFamily], theta: Array, x: Array) -> Array:
    return jax.grad(lambda at: family.from_natural(at).log_prob(x))(theta)
