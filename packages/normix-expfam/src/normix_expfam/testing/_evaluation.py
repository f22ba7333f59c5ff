"""Transformations of JAX, and single precision."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import (
    Facts,
    cast,
    facts_of,
    log_prob,
    log_prob_magnitude,
    points,
    require_close,
    require_holds,
)


def check_transformations(dist: ExponentialFamily, x: Array) -> None:
    """log_prob and mean statistics are the same plain, under jit, and under vmap over laws."""
    facts = facts_of(dist)
    allowed = 64 * np.finfo(np.float64).eps * log_prob_magnitude(dist, facts, x)
    plain = dist.log_prob(x)
    require_close(dist, "log_prob under jit", log_prob(dist, x), plain, allowed,
                  "_log_kernel, _log_base_of, _interior_point")  # fmt: skip
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), dist)
    values, eta = _evaluate_batch(stacked, x)
    allowed_eta = 64 * np.finfo(np.float64).eps * facts.rms
    for i in range(2):
        require_close(dist, "log_prob under vmap over laws", values[i], plain, allowed,
                      "_log_kernel, _log_base_of, _interior_point")  # fmt: skip
        require_close(dist, "eta under vmap over laws", eta[i], facts.eta, allowed_eta,
                      "_grad_log_partition, information.mean")  # fmt: skip


@eqx.filter_jit
def _evaluate_batch(dists: ExponentialFamily, x: Array) -> tuple[Array, Array]:
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
        ("psi", got.psi, exact.psi, 64 * eps * exact.magnitude, "_log_partition_from_theta"),
        ("eta", got.eta, exact.eta, rtol * exact.rms, "_grad_log_partition"),
        ("fisher", got.fisher, exact.fisher, rtol * exact.sd_sd, "_hessian_log_partition"),
    )
    for name, single, double, allowed, see in comparisons:
        _require_single(dist, name, single, see)
        require_close(dist, f"{name} in float32", single, double, allowed, see)
    x = points(small, jax.random.key(1), 64, sampler=sampler)
    _require_single(dist, "draws", x, "sample")
    values = log_prob(small, x)
    _require_single(dist, "log_prob", values, "_log_kernel, _log_base_of")
    x = x.astype(jnp.float64)
    allowed = 64 * eps * log_prob_magnitude(dist, facts, x)
    require_close(dist, "log_prob in float32", values, log_prob(dist, x), allowed,
                  "_log_kernel, _log_base_of")  # fmt: skip


def _require_single(dist: ExponentialFamily, name: str, value: Any, see: str) -> None:
    require_holds(dist, f"{name} keeps float32", value.dtype == np.float32, value.dtype, see)
