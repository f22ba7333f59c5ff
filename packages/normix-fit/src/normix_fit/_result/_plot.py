"""The course of a fit as a picture. Matplotlib is imported inside, without pyplot."""

from typing import Any

import numpy as np
from jaxtyping import Float


def plot_trace(
    log_likelihoods: Float[np.ndarray, " n_iter_plus_1"],
    param_changes: Float[np.ndarray, " n_iter"],
    ax: Any = None,
) -> Any:
    """Distance to the last log-likelihood, and the changes of the parameters, on a log axis.

    Args:
        log_likelihoods: one per model, the start first.
        param_changes: one per iteration.
        ax: matplotlib axes to draw on; without it a figure is made.

    Returns:
        The figure, which belongs to the caller.

    Raises:
        ImportError: if a figure has to be made and matplotlib is not installed.
    """
    if ax is None:
        ax = _new_figure().add_subplot()
    distance = log_likelihoods[-1] - log_likelihoods
    for first, values, label in (
        (0, distance, "log-likelihood: last - present, nats"),
        (1, param_changes, "largest relative change of μ, γ, L"),
    ):
        # a logarithm has no 0: the last model, or an iteration that changed nothing
        seen = np.flatnonzero(np.asarray(values) > 0)
        if seen.size:
            ax.plot(first + seen, np.asarray(values)[seen], label=label)
    if ax.lines:
        ax.set_yscale("log")
        ax.legend()
    ax.set_xlabel("iteration")
    ax.set_ylabel("nats, or relative change")
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax.figure


def _new_figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "EMResult.plot needs matplotlib, which is not installed; "
            "run pip install 'normix-fit[plot]'"
        ) from error
    return Figure(layout="constrained")
