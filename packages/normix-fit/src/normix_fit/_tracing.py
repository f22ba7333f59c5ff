"""Fits iterate on the host: what is traced is refused in a sentence."""

from typing import Any

import jax
import numpy as np

from normix_expfam.internal import is_concrete


def refuse_tracing(owner: str, given: Any) -> None:
    """Raise TypeError if a leaf of `given`, or whatever is computed now, is traced.

    Inside `jax.jit` an array that does not depend on data is traced too, but not inside `jax.vmap`
    or `jax.grad`, under which constants can be fitted.
    """
    # a move to a device is traced wherever anything is, and needs no program
    if not is_concrete(jax.device_put(np.zeros(())), *jax.tree.leaves(given)):
        raise TypeError(
            f"{owner} iterates on the host and cannot run under jit, vmap or grad: fit data sets "
            "in a Python loop; in traced code use e_step and m_step of a model; differentiate "
            "log_prob of a model, and for errors of estimates use standard_errors of a result"
        )
