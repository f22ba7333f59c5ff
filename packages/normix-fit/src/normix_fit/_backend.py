"""Which engine a fit runs on: NumPy and BLAS on the host, or JAX."""

from typing import Any, Literal

import numpy as np

from normix_expfam.internal import Backend, is_for_host, require

from ._data import Rows

Choice = Literal["auto", "jax", "cpu"]
CHOICES = ("auto", "jax", "cpu")


def resolve(owner: str, name: str, choice: str, X: Any) -> Backend:
    """The backend, with "auto" decided by where the data are.

    "cpu" is for data of the host, and single arrays of JAX on a CPU, where JAX runs on a CPU; "jax"
    for the rest: arrays on an accelerator or in shards, and hosts with an accelerator.

    Args:
        owner: what stands before the message of an error.
        name: of the argument.
        choice: "auto", "jax" or "cpu".
        X: the data.

    Raises:
        ValueError: for another choice.
    """
    require(choice in CHOICES, owner, name, "be 'auto' or 'jax' or 'cpu'", repr(choice),
            "choose one")  # fmt: skip
    if choice == "jax":
        return "jax"
    if choice == "cpu":
        return "cpu"
    if isinstance(X, Rows):
        return "cpu" if X.namespace is np else "jax"
    return "cpu" if is_for_host(X) else "jax"
