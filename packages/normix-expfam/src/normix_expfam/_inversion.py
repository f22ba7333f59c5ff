"""η -> distribution by the solver of a family, and the error where there is no such member."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ._arrays import Array
from ._checks import Backend, at_once, is_concrete, require
from ._manual_axes import error_if
from ._status import Status, is_one_of

Law = TypeVar("Law")


def solve_expectation(family: type[Law], eta: Any, backend: Backend) -> tuple[Law, Int[Array, ""]]:
    """`family._solve_expectation`, compiled once per family, or in NumPy."""
    if backend == "jax":
        return _compiled(family, eta)
    solver: Any = family
    with at_once(eta), np.errstate(all="ignore"):
        law, status = solver._solve_expectation(np.asarray(eta, np.float64), backend)
        return jax.tree.map(jnp.asarray, law), status


@partial(jax.jit, static_argnums=0)
def _compiled(family: Any, eta: Array) -> Any:
    # traced, so that parameters pass unchecked
    return family._solve_expectation(eta, "jax")


def require_member(law: Law, status: Array, owner: str, rule: str, eta: Callable[[], Array]) -> Law:
    """The distribution, after an error if its parameters are not finite.

    Args:
        law: what was found.
        status: its `Status`.
        owner: what stands before the message.
        rule: what η must satisfy.
        eta: gives η, for the message.

    Raises:
        ValueError: if it is concrete and there is no member with these means.
        RuntimeError: if it is concrete and the search for it did not converge.
    """
    leaves = jax.tree.leaves(law)
    remedy = "pass the mean of sufficient_statistics(x) over data that vary"
    if is_concrete(*leaves):
        if all(np.all(np.isfinite(leaf)) for leaf in leaves):
            return law
        if is_concrete(status) and bool(is_one_of(status, Status.MAX_ITER)):
            raise RuntimeError(
                f"{owner}: the search for the parameters did not converge for eta "
                f"{np.asarray(eta())}; try the other backend"
            )
        require(False, owner, "eta", rule, np.asarray(eta()), remedy)
    bad = jnp.any(jnp.stack([~jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
    return error_if(law, bad, f"{owner}: eta must {rule}; {remedy}")
