"""Laws that every exponential family obeys: `check_family` proves a family by its instances.

Each law is a function that raises AssertionError and says which law failed, where and by how
much. `check_family` applies all of them; a law that an instance cannot obey (no finite
covariance at a limit, no sampler) is switched off by an argument, never by itself.

Errors are measured on the scale on which a quantity is known: mean statistics relative to
their root mean square, covariances relative to the standard deviations, logarithms relative to
the terms they are the sum of. Run with ``jax_enable_x64``.
"""

from collections.abc import Collection
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from normix_expfam._family import Backend, ExponentialFamily
from normix_expfam._univariate import UnivariateFamily

from ._density import OUTSIDE, check_density, check_entropy, check_support
from ._distribution import check_distribution, check_moments
from ._divergences import check_divergences
from ._evaluation import check_sampling, check_single_precision, check_transformations
from ._facts import describe, floating_leaves, points
from ._inverse import check_inverse, check_inverse_cpu, check_inverse_derivative, check_mle
from ._triad import (
    check_cpu,
    check_differentiation,
    check_gradient,
    check_hessian,
    check_natural_params,
    check_score,
)

__all__ = [
    "check_cpu",
    "check_density",
    "check_differentiation",
    "check_distribution",
    "check_divergences",
    "check_entropy",
    "check_family",
    "check_gradient",
    "check_hessian",
    "check_inverse",
    "check_inverse_cpu",
    "check_inverse_derivative",
    "check_mle",
    "check_moments",
    "check_natural_params",
    "check_sampling",
    "check_score",
    "check_single_precision",
    "check_support",
    "check_transformations",
]

Support = Literal["positive", "real", "unit", "other"]

_DRAWS = 20_000
_FEW = 400  # observations, whose MLE is near the law but not equal


def check_family(
    dist: ExponentialFamily,
    *,
    key: Array | None = None,
    rtol: float = 1e-9,
    backends: Collection[Backend] = ("jax", "cpu"),
    support: Support = "positive",
    interior: bool = True,
    finite_covariance: bool = True,
    invertible: bool = True,
    entropy: bool = True,
    moments: bool = True,
    invertible_on_cpu: bool = True,
    sampler: bool = True,
    single_precision_rtol: float | None = 1e-4,
) -> None:
    """Apply every law to one instance with float64 parameters.

    Args:
        dist: the law.
        key: for the sampling law; default `jax.random.key(0)`.
        rtol: tolerance of the deterministic laws.
        backends: whose laws to apply; those of "cpu" are that it agrees with JAX and that it
            inverts η.
        support: "positive", "real" or "unit" for univariate families on (0, inf), on the line or
            on (0, 1), where density, entropy and moments are also integrated; "other" leaves that
            out.
        interior: False on the boundary of the natural parameter space, where derivatives of ψ
            are one-sided and automatic differentiation of its formula says nothing.
        finite_covariance: False where Cov t(X) has infinite entries.
        invertible: False where η has infinite entries, or where η does not determine the law.
        entropy: False if the family does not give E log h(X).
        moments: False where E X⁴ is not finite.
        invertible_on_cpu: False where the CPU solver is known to give up.
        sampler: False if the family has no `sample`.
        single_precision_rtol: tolerance of the float32 laws; None leaves them out.

    Raises:
        AssertionError: if a law does not hold.
        ValueError: if the parameters are not in float64, or for an unknown backend.
    """
    _require_testable(dist, backends)
    if "jax" in backends and interior:
        _check_hooks(dist, rtol=rtol)  # first: what is wrong there is wrong everywhere
    if "cpu" in backends:
        _check_cpu_laws(dist, rtol=rtol, invertible=invertible and invertible_on_cpu)
    if "jax" not in backends:
        return
    key = jax.random.key(0) if key is None else key
    x = points(dist, key, _DRAWS, sampler=sampler)
    check_natural_params(dist, rtol=rtol)
    check_transformations(dist, x[:4])
    if interior:
        check_score(dist, x[0], rtol=rtol)
    if support != "other":
        check_support(dist, outside=OUTSIDE[support])
        check_density(dist, rtol=rtol, finite_covariance=finite_covariance, support=support)
        if entropy:
            check_entropy(dist, rtol=rtol, support=support)
    if invertible:
        check_inverse(dist, rtol=rtol)
        if interior:
            check_inverse_derivative(dist)
    if sampler:
        check_sampling(dist, x, finite_covariance=finite_covariance)
        if invertible and interior:
            check_mle(dist, x[:_FEW], rtol=rtol)
            check_divergences(dist, x[:_FEW])
    if isinstance(dist, UnivariateFamily) and support != "other":
        check_distribution(dist, x, rtol=rtol)
        if moments:
            check_moments(dist, rtol=10 * rtol, support=support)
    if single_precision_rtol is not None:
        check_single_precision(dist, rtol=single_precision_rtol, sampler=sampler)


def _require_testable(dist: ExponentialFamily, backends: Collection[Backend]) -> None:
    if any(leaf.dtype != jnp.float64 for leaf in floating_leaves(dist)):
        raise ValueError(
            f"check_family: parameters of dist must be float64, got {describe(dist)}; set "
            "jax_enable_x64 and build it from Python floats"
        )
    unknown = sorted(set(backends) - {"jax", "cpu"})
    if unknown or not backends:
        raise ValueError(
            f"check_family: backends must be some of 'jax' and 'cpu', got {tuple(backends)}; "
            "leave it out for both"
        )


def _check_hooks(dist: ExponentialFamily, *, rtol: float) -> None:
    check_gradient(dist, rtol=rtol)
    check_hessian(dist, rtol=rtol)
    check_differentiation(dist, rtol=rtol)


def _check_cpu_laws(dist: ExponentialFamily, *, rtol: float, invertible: bool) -> None:
    check_cpu(dist, rtol=rtol)
    if invertible:
        check_inverse_cpu(dist, rtol=rtol)
