"""Draws: their shape, their key, their independence, and their mean statistics."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from normix_expfam._family import ExponentialFamily

from ._facts import draw, facts_of, require_close, require_holds


def check_sampler(dist: ExponentialFamily, key: Array, x: Array) -> None:
    """Draws have the shape asked for, are those of their key, and lie in the support.

    Args:
        dist: the distribution.
        key: a JAX key.
        x: the draws of that key, shape `(n, *event)`.
    """
    n, event = x.shape[0], x.shape[1:]
    one, some, raw = _shapes(dist, key)
    for name, got, expected in (
        ("()", one, event),
        ("(2, 3)", some, (2, 3, *event)),
        ("(n,)", x, (n, *event)),
    ):
        require_holds(dist, f"draws have the shape asked for, {name}",
                      got.shape == expected and x.ndim == 1 + dist.event_ndim, got.shape,
                      "sample, event_ndim")  # fmt: skip
    again, other = draw(dist, key, n), draw(dist, jax.random.fold_in(key, 1), n)
    require_close(dist, "draws are those of their key", again, x, 0.0, "sample")
    share = float(np.mean(np.asarray(other) == np.asarray(x)))
    require_holds(dist, "draws of another key are others", share < 1, "the same", "sample")
    require_close(dist, "draws are those of either kind of key", raw, some, 0.0, "sample")
    known = np.isfinite(dist.log_base_measure(x))
    require_holds(dist, "draws lie in the support", known, f"{np.asarray(x)[~known][:1]}",
                  "sample, _log_base_of")  # fmt: skip


@eqx.filter_jit
def _shapes(dist: ExponentialFamily, key: Array) -> tuple[Array, Array, Array]:
    family: Any = dist
    raw = jax.random.key_data(key)
    return family.sample(key), family.sample(key, (2, 3)), family.sample(raw, (2, 3))


def check_sampling(dist: ExponentialFamily, x: Array, *, finite_covariance: bool = True) -> None:
    """The mean of t over the draws x is within 5 standard errors, by ∇²ψ, of ∇ψ."""
    facts, n = facts_of(dist), x.shape[0]
    outside = ~np.isfinite(dist.log_base_measure(x))
    require_holds(dist, "draws lie in the support", ~outside, f"{np.asarray(x)[outside][:1]}",
                  "sample, _log_base_of")  # fmt: skip
    known = np.isfinite(facts.sd)
    if finite_covariance:
        require_holds(dist, "covariance is finite", known, facts.fisher, "_hessian_log_partition")
    t = np.asarray(dist.sufficient_statistics(x))
    allowed = 5 * facts.sd / np.sqrt(n) + 64 * np.finfo(np.float64).eps * facts.rms
    require_close(dist, f"mean of t over {n} draws = grad hook", t.mean(axis=0)[known],
                  facts.eta[known], allowed[known], "sample")  # fmt: skip
    # the rank has a variance, whatever t has
    rank = np.argsort(np.argsort(t, axis=0), axis=0) / n - 0.5
    for lag in (1, n // 2):
        correlation = 12 * np.mean(rank[lag:] * rank[:-lag], axis=0)
        require_close(dist, f"draws {lag} apart are independent: rank correlation", correlation,
                      np.zeros_like(correlation), 5.5 / np.sqrt(n - lag), "sample")  # fmt: skip
