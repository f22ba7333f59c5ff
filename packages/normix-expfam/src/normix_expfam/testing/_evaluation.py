"""Draws, transformations of JAX, and single precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import (
    Facts,
    cast,
    describe,
    facts_of,
    log_prob,
    log_prob_magnitude,
    points,
    require_close,
)


def check_sampling(dist: ExponentialFamily, x: Array, *, finite_covariance: bool = True) -> None:
    """The mean of t over the draws x is within 5 standard errors, by ∇²ψ, of ∇ψ."""
    facts, n = facts_of(dist), x.shape[0]
    if not np.all(np.isfinite(dist.log_base_measure(x))):
        raise AssertionError(f"{describe(dist)}: draws lie in the support")
    known = np.isfinite(facts.sd)
    if finite_covariance and not known.all():
        raise AssertionError(f"{describe(dist)}: covariance is finite: got {facts.fisher}")
    mean = np.asarray(dist.sufficient_statistics(x)).mean(axis=0)
    allowed = 5 * facts.sd / np.sqrt(n) + 64 * np.finfo(np.float64).eps * facts.rms
    require_close(dist, f"mean of t over {n} draws = grad hook", mean[known], facts.eta[known],
                   allowed[known])  # fmt: skip


def check_transformations(dist: ExponentialFamily, x: Array) -> None:
    """log_prob and mean statistics are the same plain, under jit, and under vmap over laws."""
    facts = facts_of(dist)
    allowed = 64 * np.finfo(np.float64).eps * log_prob_magnitude(dist, facts, x)
    plain = dist.log_prob(x)
    require_close(dist, "log_prob under jit", log_prob(dist, x), plain, allowed)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), dist)
    values, eta = _vmapped(stacked, x)
    allowed_eta = 64 * np.finfo(np.float64).eps * facts.rms
    for i in range(2):
        require_close(dist, "log_prob under vmap over laws", values[i], plain, allowed)
        require_close(dist, "eta under vmap over laws", eta[i], facts.eta, allowed_eta)


@eqx.filter_jit
def _vmapped(dists: ExponentialFamily, x: Array) -> tuple[Array, Array]:
    def one(dist: ExponentialFamily) -> tuple[Array, Array]:
        return dist.log_prob(x), jnp.asarray(dist.expectation_params())

    return eqx.filter_vmap(one)(dists)


def check_single_precision(
    dist: ExponentialFamily, *, rtol: float = 1e-4, sampler: bool = True
) -> None:
    """In float32 results are float32, finite, and those of float64 at the same parameters."""
    small = cast(dist, jnp.float32)
    dist = cast(small, jnp.float64)
    facts = facts_of(dist)
    # θ itself is rounded to float32, so the hooks are compared at that θ
    theta = np.asarray(small.natural_params())
    got, exact = Facts(type(dist), theta), Facts(type(dist), theta.astype(np.float64))
    eps = float(np.finfo(np.float32).eps)
    comparisons = (
        ("psi", got.psi, exact.psi, 64 * eps * exact.magnitude),
        ("eta", got.eta, exact.eta, rtol * exact.rms),
        ("fisher", got.fisher, exact.fisher, rtol * exact.sd_sd),
    )
    for name, single, double, allowed in comparisons:
        if single.dtype != np.float32:
            raise AssertionError(f"{describe(dist)}: {name} keeps float32: got {single.dtype}")
        require_close(dist, f"{name} in float32", single, double, allowed)
    x = points(small, jax.random.key(1), 64, sampler=sampler)
    if x.dtype != jnp.float32:
        raise AssertionError(f"{describe(dist)}: draws keep float32: got {x.dtype}")
    values = log_prob(small, x)
    if values.dtype != jnp.float32:
        raise AssertionError(f"{describe(dist)}: log_prob keeps float32: got {values.dtype}")
    x = x.astype(jnp.float64)
    allowed = 64 * eps * log_prob_magnitude(dist, facts, x)
    require_close(dist, "log_prob in float32", values, log_prob(dist, x), allowed)
