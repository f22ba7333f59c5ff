"""A model with its location, or the shape of Y, at other values; the means of Y as they were."""

from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam import GIGMember, gig_moments
from normix_expfam.internal import (
    Array,
    is_concrete,
    is_on_host,
    namespace_of,
    require,
    scalars,
    to_host,
)

from ._checks import vector
from ._held import Held
from ._joint import JointNormalMixture
from ._law_about_mode import moments

Joint = TypeVar("Joint", bound=JointNormalMixture)


def substitute(owner: str, joint: Joint, family: Any, values: Mapping[str, ArrayLike]) -> Joint:
    """The joint distribution with these values of "mu" and the family's `shape_parameter`.

    Raises:
        ValueError: for another name, or a value outside the domain of the family.
    """
    require("subordinator" not in values, owner, "values", "be of mu or the shape",
            "subordinator", "build the model with from_classical")  # fmt: skip
    held = Held.of(family, tuple(values), owner=owner)
    mu, subordinator = joint.mu, joint.subordinator
    on_host = is_on_host(mu)
    if held.mu:
        location = vector(owner, "mu", values["mu"])
        mu = to_host(location) if on_host else location.astype(mu.dtype)
        require(mu.shape == joint.mu.shape, owner, "mu", f"have shape {joint.mu.shape}",
                mu.shape, "pass one location per component")  # fmt: skip
    if held.shape is not None:
        given = {held.shape: values[held.shape]}
        shape: Any = to_host(values[held.shape]) if on_host else scalars(owner, **given)[0]
        sign = namespace_of(mu).sign(joint.subordinator_as_gig().p)
        order = shape if held.shape == "p" else sign * shape
        of_order = _of_order if on_host else _of_order_in_jax
        subordinator = of_order(joint, order.astype(mu.dtype))
        if is_concrete(order):
            good = np.isfinite(order) & ((held.shape == "p") | (np.asarray(shape) > 0))
            require(good, owner, held.shape, "be in the domain of the family", shape,
                    "give another value")  # fmt: skip
    return joint._assemble(mu, joint.gamma, joint.dispersion, subordinator)


def _of_order(joint: JointNormalMixture, order: Array) -> GIGMember:
    """The subordinator with its shape at `order` and the means of Y as they were, where finite.

    An infinite one becomes twice the least that goes with the other, and nothing moves where the
    order is what it was.
    """
    xp, law = namespace_of(order), joint.subordinator_as_gig()
    found = gig_moments(*law)[1:] if xp is jnp else moments(*law)
    log_y, inverse_y, y = found
    means = xp.stack([
        log_y,
        xp.where(xp.isfinite(inverse_y), inverse_y, 2 / y),
        xp.where(xp.isfinite(y), y, 2 / inverse_y),
    ])  # fmt: skip
    moved: GIGMember = type(joint)._fit_subordinator_of_order(means, order)[0]
    kept: GIGMember = jax.tree.map(
        lambda old, new: xp.where(order == law.p, old, new), joint.subordinator, moved
    )
    return kept


_of_order_in_jax = eqx.filter_jit(_of_order)
