"""Maximum likelihood: the fit of a family to observations, and its account."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from ._checks import at_once, resolve_backend
from ._information import count_free
from ._inversion import require_member
from ._observations import check_observations, mean_statistics
from ._result import MLEResult


class Maximum(NamedTuple):
    """The distribution of maximum likelihood with its status, and the data as arrays."""

    model: Any
    status: Array
    x: Array
    weights: Array | None


def maximise_likelihood(
    family: Any, owner: str, x: ArrayLike, weights: ArrayLike | None, backend: str, *, throw: bool
) -> Maximum:
    """The maximum, by the family's `_fit`; with `throw` an error where there is none."""
    x, weights = check_observations(family, owner, x, weights, varied=throw)
    with at_once(x, weights):
        model, status = family._fit(x, weights, resolve_backend(owner, backend, x, weights))
        if throw:
            model = require_member(model, status, owner, family.eta_rule,
                                   lambda: mean_statistics(family, x, weights))  # fmt: skip
    return Maximum(model, jnp.asarray(status), x, weights)


def give_account(maximum: Maximum) -> MLEResult[Any]:
    """The maximum with its likelihood and the number of its parameters."""
    model, status, x, weights = maximum
    values = model.log_prob(x)
    n = jnp.asarray(x.shape[0], values.dtype) if weights is None else jnp.sum(weights)
    total = jnp.sum(values) if weights is None else weights @ values
    return MLEResult(model, status, total, n, count_free(model, n.dtype))
