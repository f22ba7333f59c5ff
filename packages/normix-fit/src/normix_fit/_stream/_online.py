"""`OnlineEMFitter`: EM on a stream of blocks, each of which moves the model."""

import warnings
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from normix_expfam.internal import as_float, require
from normix_fit._compilation import compile_spans
from normix_fit._data import DenseRows
from normix_mixtures import NormalMixture
from normix_mixtures.internal import check_weights

from ._state import OnlineState, initial_state
from ._update import SHORTEST, Settings, model_of_average, update_state


@final
class OnlineEMFitter(eqx.Module):
    """Online EM (Cappé & Moulines 2009, JRSS B 71, 593) for normal variance-mean mixtures.

    Until `burn_in` rows are seen the model stays, and the statistics are plain means over rows.
    Later a row moves them by the step scale (N/u + delay)^(-kappa) / u, where N is the number of
    rows seen and u is `burn_in`, or the number of rows in a block if that is more. So blocks of u
    rows have about the steps (t + delay)^(-kappa), t = 1, 2, ..., and smaller blocks, down to
    single rows, give about the same path. The model is worth about 2 u (N/u)^kappa rows: that
    should be many times d. With kappa < 1 it forgets its start quickly, and `averaging` takes off
    the noise that this costs.

    With `forgetting` the statistics are an exponentially weighted mean instead, in which a row
    loses half its weight in that many rows; the step for m rows, N with those before, is
    (1 - 2^(-m/h)) / (1 - 2^(-N/h)). The rows of one block weigh the same.

    With weights, numbers of rows are sums of weights: a block of small weight moves the model
    little. The burn-in lasts until the weight of all rows is `burn_in` times Σ w² / Σ w, the
    weight of a typical one, and u is in the same measure.

    If the model stays for 10 (d + 1) rows after the burn-in, because no M-step from the statistics
    succeeds or no row is like those before, the statistics start anew with the next block, and so
    does the burn-in.

    Columns are not standardised here; see `MiniBatchEMFitter`.

    Args:
        kappa: decay of the steps, in (1/2, 1].
        delay: units added to N/u, >= 0; larger values trust the start longer.
        scale: factor of the steps, > 0.
        forgetting: half-life in rows, for streams whose law changes; None for the decaying steps.
        burn_in: rows before the model moves; 10 (d + 1) if left out.
        averaging: return from `model` the M-step of the averaged statistics (Polyak & Juditsky
            1992). Those after k rows weigh k, which forgets the start faster than equal weights
            (Lacoste-Julien, Schmidt & Bach 2012, arXiv:1212.2002).

    Raises:
        ValueError: for settings outside their range, or averaging with forgetting.

    Examples:
        >>> import jax
        >>> from normix_fit import OnlineEMFitter, UpdateStatus
        >>> from normix_mixtures import NormalInverseGaussian
        >>> truth = NormalInverseGaussian.from_classical(
        ...     [0.0, 0.0], [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], mu_ig=1.0, lam=1.0
        ... )
        >>> X = truth.sample(jax.random.key(0), (200,))
        >>> fitter = OnlineEMFitter()
        >>> state = fitter.init(NormalInverseGaussian.default_init(X))
        >>> for rows in X.reshape(4, 50, 2):
        ...     state = fitter.update(state, rows)
        >>> int(state.n_rows), int(state.n_updates), UpdateStatus(int(state.status)).name
        (200, 4, 'MOVED')
        >>> type(fitter.model(state)).__name__
        'NormalInverseGaussian'
    """

    kappa: float = 0.6
    delay: float = 0.0
    scale: float = 1.0
    forgetting: float | None = None
    burn_in: int | None = eqx.field(static=True, default=None)
    averaging: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        owner = "OnlineEMFitter"
        require(0.5 < self.kappa <= 1, owner, "kappa", "be in (1/2, 1]", self.kappa,
                "steps outside decay too slowly or too fast to converge")  # fmt: skip
        require(0 <= self.delay < np.inf, owner, "delay", "be finite and >= 0", self.delay,
                "it counts blocks")  # fmt: skip
        require(0 < self.scale < np.inf, owner, "scale", "be finite and > 0", self.scale,
                "1 is usual")  # fmt: skip
        if self.forgetting is not None:
            require(0 < self.forgetting < np.inf, owner, "forgetting", "be finite and > 0",
                    self.forgetting, "pass a half-life in rows, or None")  # fmt: skip
            require(not self.averaging, owner, "averaging", "be False with forgetting",
                    self.averaging, "an average over the whole stream forgets nothing")  # fmt: skip
        if self.burn_in is not None:
            require(isinstance(self.burn_in, int) and self.burn_in >= 0, owner, "burn_in",
                    "be an integer >= 0", self.burn_in, "it counts rows")  # fmt: skip

    def init(self, model: NormalMixture) -> OnlineState:
        """The state before the first block; `model` takes part in it until the burn-in is over."""
        if model.mu.dtype == jnp.float32:
            warnings.warn(
                "OnlineEMFitter.init runs in float32: statistics keep about 7 digits; set "
                "jax.config.update('jax_enable_x64', True) before making arrays for more",
                stacklevel=2,
            )
        return initial_state(model)

    def update(
        self, state: OnlineState, rows: ArrayLike, weights: ArrayLike | None = None
    ) -> OnlineState:
        """The state after one more block; compiled once per family and block shape.

        A block whose statistics are not finite is left out, and an M-step that fails leaves the
        model as it was; `UpdateStatus(int(state.status)).message` says so. Rows of weight 0 do
        not count, whatever they hold, and a block without rows that count changes nothing.

        Args:
            rows: shape (n, d).
            weights: one per row, >= 0, shape (n,).

        Raises:
            ValueError: for shapes that do not fit, or weights that are negative or not finite.
        """
        owner, d = "OnlineEMFitter.update", state.model.dimension
        dtype = state.model.mu.dtype
        # a row of weight 0 may hold a nan, which `jax_debug_nans` finds in whatever computes
        moved = jax.device_put(rows) if isinstance(rows, np.ndarray) else rows
        rows = as_float(moved).astype(dtype)
        require(rows.ndim == 2 and rows.shape[1] == d, owner, "rows", f"have shape (n, {d})",
                rows.shape, "pass observations in rows; x[None, :] for one")  # fmt: skip
        w = check_weights(owner, weights, rows)
        w = jnp.ones_like(rows, shape=rows.shape[:1]) if w is None else w
        if rows.shape[0] == 0:
            return eqx.tree_at(lambda s: s.log_likelihood, state, jnp.zeros((), dtype))
        with compile_spans():
            return update_state(state, DenseRows(rows, w), self.settings(d, dtype))

    def model(self, state: OnlineState) -> NormalMixture:
        """The fitted model: the last one, or with `averaging` that of the averaged statistics."""
        return model_of_average(state) if self.averaging else state.model

    def settings(self, d: int, dtype: np.dtype) -> Settings:
        """The settings as arrays, for models of d components."""
        burn_in = SHORTEST * (d + 1) if self.burn_in is None else self.burn_in
        half_life = np.inf if self.forgetting is None else self.forgetting
        return Settings(
            jnp.asarray(self.scale, dtype), jnp.asarray(self.delay, dtype),
            jnp.asarray(self.kappa, dtype), jnp.asarray(half_life, dtype),
            jnp.asarray(burn_in, dtype),
        )  # fmt: skip
