"""Laws that every exponential family obeys: `check_family` proves a family by its instances.

Each law is a function that raises AssertionError and says which law failed, where, by how much and
which members of the family to look at. `check_family` applies all of them; a law that an instance
cannot obey (no finite covariance at a limit, no sampler) is switched off by an argument, never by
itself.

Errors are measured on the scale on which a quantity is known: mean statistics relative to
their root mean square, covariances relative to the standard deviations, logarithms relative to
the terms they are the sum of. Run with ``jax_enable_x64``.
"""

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from normix_expfam._checks import Backend
from normix_expfam._family import ExponentialFamily
from normix_expfam._univariate_family import UnivariateFamily

from ._density import (
    OUTSIDE,
    check_boundary,
    check_density,
    check_entropy,
    check_kernel,
    check_support,
)
from ._density import Support as _OnTheLine
from ._distribution import check_distribution, check_moments
from ._divergences import check_divergences
from ._domain import check_domain
from ._evaluation import check_single_precision, check_transformations
from ._facts import describe, floating_leaves, name_errors, points
from ._inverse import (
    check_deviations,
    check_inverse,
    check_inverse_cpu,
    check_inverse_derivative,
    check_mle,
)
from ._sampler import check_sampler, check_sampling
from ._scipy import check_scipy
from ._triad import (
    check_cpu,
    check_differentiation,
    check_gradient,
    check_hessian,
    check_natural_params,
    check_score,
)

__all__ = [
    "check_boundary",
    "check_cpu",
    "check_density",
    "check_deviations",
    "check_differentiation",
    "check_distribution",
    "check_divergences",
    "check_domain",
    "check_entropy",
    "check_family",
    "check_gradient",
    "check_hessian",
    "check_inverse",
    "check_inverse_cpu",
    "check_inverse_derivative",
    "check_kernel",
    "check_mle",
    "check_moments",
    "check_natural_params",
    "check_sampler",
    "check_sampling",
    "check_scipy",
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
        AssertionError: if a law does not hold. It says which, by how much, and which members of the
            family to look at.
        ValueError: if the parameters are not in float64, or for an unknown backend.
    """
    _require_testable(dist, backends)
    held = _Held(
        key=jax.random.key(0) if key is None else key,
        rtol=rtol,
        backends=backends,
        support=None if support == "other" else support,
        interior=interior,
        finite_covariance=finite_covariance,
        invertible=invertible,
        entropy=entropy,
        moments=moments,
        invertible_on_cpu=invertible_on_cpu,
        sampler=sampler,
        single_precision_rtol=single_precision_rtol,
    )
    for law in _laws(dist, held):
        with name_errors(dist, law.func.__name__):
            law()


class _Held(NamedTuple):
    """What an instance is held against: the arguments of `check_family`."""

    key: Array
    rtol: float
    backends: Collection[Backend]
    support: _OnTheLine | None
    interior: bool
    finite_covariance: bool
    invertible: bool
    entropy: bool
    moments: bool
    invertible_on_cpu: bool
    sampler: bool
    single_precision_rtol: float | None


def _laws(dist: Any, held: _Held) -> Iterator[partial[None]]:
    """In an order in which a member is held against members that are already proved."""
    traced = "jax" in held.backends
    yield partial(check_natural_params, dist, rtol=held.rtol)
    if traced:
        yield from _laws_of_psi(dist, held)
    if "cpu" in held.backends:
        yield partial(check_cpu, dist, rtol=held.rtol)
        if held.invertible and held.invertible_on_cpu:
            yield partial(check_inverse_cpu, dist, rtol=held.rtol)
    if not traced:
        return
    with name_errors(dist, "sample"):
        x = points(dist, held.key, _DRAWS, sampler=held.sampler)
    yield from _laws_of_the_density(dist, held, x)
    yield from _laws_of_estimates(dist, held, x)
    if isinstance(dist, UnivariateFamily) and held.support is not None:
        yield partial(check_distribution, dist, x, rtol=held.rtol, support=held.support)
        if held.moments:
            yield partial(check_moments, dist, rtol=10 * held.rtol, support=held.support)
    if hasattr(dist, "to_scipy"):
        yield partial(check_scipy, dist, x[:_FEW])
    if held.single_precision_rtol is not None:
        yield partial(check_single_precision, dist, rtol=held.single_precision_rtol,
                      sampler=held.sampler)  # fmt: skip


def _laws_of_psi(dist: Any, held: _Held) -> Iterator[partial[None]]:
    if held.interior:
        yield partial(check_gradient, dist, rtol=held.rtol)
        yield partial(check_domain, dist)
        yield partial(check_hessian, dist, rtol=held.rtol)
        yield partial(check_differentiation, dist, rtol=held.rtol)
    if held.invertible:
        yield partial(check_inverse, dist, rtol=held.rtol)


def _laws_of_the_density(dist: Any, held: _Held, x: Array) -> Iterator[partial[None]]:
    if held.sampler:
        yield partial(check_sampler, dist, held.key, x)
    yield partial(check_kernel, dist, x[:_FEW], rtol=held.rtol)
    yield partial(check_transformations, dist, x[:4])
    if held.interior:
        yield partial(check_score, dist, x[0], rtol=held.rtol)
    if held.support is not None:
        yield partial(check_support, dist, outside=OUTSIDE[held.support])
        yield partial(check_density, dist, rtol=held.rtol, support=held.support,
                      finite_covariance=held.finite_covariance)  # fmt: skip
        yield partial(check_boundary, dist, support=held.support)
        if held.entropy:
            yield partial(check_entropy, dist, rtol=held.rtol, support=held.support)
    if held.sampler:
        yield partial(check_sampling, dist, x, finite_covariance=held.finite_covariance)


def _laws_of_estimates(dist: Any, held: _Held, x: Array) -> Iterator[partial[None]]:
    if held.invertible and held.interior:
        yield partial(check_inverse_derivative, dist)
        if held.sampler:
            yield partial(check_mle, dist, x[:_FEW], rtol=held.rtol, on_cpu="cpu" in held.backends)
            yield partial(check_divergences, dist, x[:_FEW])
    if held.interior and held.finite_covariance:
        yield partial(check_deviations, dist)


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
