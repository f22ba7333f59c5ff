"""A start for EM from sample moments.

With E Y = 1 and Var Y = v a component has excess kurtosis 3 v and third central moment 3 γ σ² v,
to first order in γ. The median over the columns of the sample kurtosis gives v, their skewness γ.
Where one row makes up the moments of a column they are those of weights that leave outliers out:
from the others EM would need thousands of iterations to find the bulk of the data.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from normix_expfam.internal import Array, binary_unit, cholesky, is_on_host, namespace_of

from ._dispersion import DenseDispersion

_LEAST, _MOST = 0.02, 2.0  # Var Y / (E Y)², where EM is not slow
_DOMINATED = 0.5  # of n, the kurtosis of a column in which one row is all that counts
_ROUNDS = 30  # each takes an outlier's share in a scale from s to about √s
_MET, _OFF = 1e-6, 0.05  # distance of μ from a row, in scales: too near, and how far then
_SKEWED = 0.2  # most of γᵀ C⁻¹ γ Var Y, the share of the skewness in the covariance C

M = TypeVar("M", bound=Any)
T = TypeVar("T")
Block = Float[Array, "n d"]
Weights = Float[Array, " n"]


@runtime_checkable
class Rows(Protocol):
    """Weighted rows, wherever they are, seen through sums and extremes over blocks of them."""

    @property
    def namespace(self) -> Any:
        """numpy or jax.numpy, of the arrays that are blocks."""
        ...

    def reduce(self, f: Callable[..., T], *args: Any) -> T:
        """The sum over blocks of f(X, weights, *args), leaf by leaf."""
        ...

    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        """The maximum over blocks of f(X, weights, *args), leaf by leaf."""
        ...

    def middle(self) -> Float[Array, " d"]:
        """In each column a cell at which the weight of the cells up to it reaches a half."""
        ...


class OneBlock(eqx.Module):
    """Rows that are one array."""

    X: Block
    weights: Weights

    @property
    def namespace(self) -> Any:
        return namespace_of(self.X)

    def reduce(self, f: Callable[..., T], *args: Any) -> T:
        return f(self.X, self.weights, *args)

    def reduce_max(self, f: Callable[..., T], *args: Any) -> T:
        return f(self.X, self.weights, *args)

    def middle(self) -> Float[Array, " d"]:
        return middle_of_columns(self.X, self.weights)


def middle_of_columns(X: Block, weights: Weights) -> Float[Array, " d"]:
    """`Rows.middle` of one array."""
    xp = namespace_of(X)
    order = xp.argsort(X, axis=0)
    below = xp.cumsum(weights[order], axis=0)
    row = xp.argmax(below >= below[-1:] / 2, axis=0)
    middle: Array = xp.take_along_axis(X, xp.take_along_axis(order, row[None, :], axis=0), axis=0)[
        0
    ]
    return middle


def moment_start(build: Callable[..., M], rows: Rows, spread: Array | None) -> M:
    """`build(mean, cov, spread, gamma)` with the moments of the rows.

    They are taken in units in which squares and fourth powers are floating-point numbers, and the
    model is scaled back.
    """
    found = (_moments if rows.namespace is np else _moments_in_jax)(rows, spread)
    model = build(found.mean, found.cov, found.spread, found.gamma)
    return model.rescaled(found.centre, found.unit)


class _Moments(NamedTuple):
    centre: Float[Array, " d"]
    unit: Float[Array, " d"]  # a power of 2
    mean: Float[Array, " d"]  # of (X - centre) / unit, as all that follows
    cov: Float[Array, "d d"]
    spread: Array
    gamma: Float[Array, " d"]


class _Location(NamedTuple):
    """Mean and variances in standard units, which weights that leave outliers out come from."""

    mean: Float[Array, " d"]
    var: Float[Array, " d"]


def _moments(rows: Rows, spread: Array | None) -> _Moments:
    xp, middle = rows.namespace, rows.middle()
    total, first = rows.reduce(lambda X, w: (xp.sum(w), w @ X))
    centre = first / total
    widest = rows.reduce_max(lambda X, _, c: xp.max(xp.abs(X - c[None, :]), axis=0), centre)
    unit = binary_unit(widest, xp)

    def summed(f: Callable[..., T], *args: Any) -> T:
        """Σ over blocks of f in standard units, with weights whose sum is 1."""

        def of_block(X: Block, w: Weights, *args: Any) -> T:
            return f((X - centre[None, :]) / unit[None, :], w / total, *args)

        return rows.reduce(of_block, *args)

    share = rows.reduce(lambda _, w: xp.sum((w / total) ** 2))
    plain = _located(summed, lambda _, w: w)
    fourth = summed(lambda X, w: w @ (X - plain.mean[None, :]) ** 4)
    dominated = xp.max(fourth / plain.var**2) > _DOMINATED / share
    # if a value makes up half of a column, the scale of Cauchy's distribution is 0 at its maximum
    met = rows.reduce(lambda X, w: w @ (middle[None, :] == X).astype(w.dtype)) / total
    robust = dominated & xp.all(met < 0.5)
    if xp is jnp:
        kept = jax.lax.cond(robust, lambda: _without_outliers(summed, plain), lambda: plain)
    else:
        kept = _without_outliers(summed, plain) if robust else plain

    def weight(X: Block, w: Weights) -> Weights:
        return xp.where(robust, _cauchy(X, w, kept), w)

    return _with_gamma(rows, summed, weight, centre, unit, spread)


_moments_in_jax = eqx.filter_jit(_moments)


def _with_gamma(
    rows: Rows, summed: Callable[..., Any], weight: Callable[..., Weights],
    centre: Array, unit: Array, spread: Array | None,
) -> _Moments:  # fmt: skip
    xp = namespace_of(centre)
    total = summed(lambda X, w: xp.sum(weight(X, w)))
    mean = summed(lambda X, w: weight(X, w) @ X) / total

    def second(X: Block, w: Weights) -> Array:
        centred = X - mean[None, :]
        return centred.T @ (centred * weight(X, w)[:, None])

    cov = summed(second) / total
    scale = xp.sqrt(xp.diagonal(cov))

    def higher(X: Block, w: Weights) -> tuple[Array, Array]:
        Z, u = (X - mean[None, :]) / scale[None, :], weight(X, w)
        square = Z * Z
        return u @ (square * Z), u @ (square * square)

    third, fourth = summed(higher)
    if spread is None:
        excess = xp.sort(fourth / total - 3)
        median = (excess[(len(excess) - 1) // 2] + excess[len(excess) // 2]) / 2
        spread = xp.clip(median / 3, _LEAST, _MOST)
    gamma = scale * (third / total) / (3 * spread)
    factor = cholesky(cov, xp)
    part = xp.sum(DenseDispersion(factor).whiten(gamma[None, :]) ** 2) * spread
    gamma = gamma * xp.sqrt(_SKEWED / xp.maximum(part, _SKEWED))

    def nearness(X: Block, w: Weights) -> Array:
        standard = (X - centre[None, :]) / unit[None, :]
        Z = (standard - (mean - gamma)[None, :]) / scale[None, :]
        return -xp.min(xp.where(w > 0, xp.max(xp.abs(Z), axis=1), xp.inf))

    # a density with a pole at μ is infinite if μ is a row, as the middle of symmetric rows is
    off = xp.where(-rows.reduce_max(nearness) < _MET, _OFF, 0.0)
    return _Moments(centre, unit, mean + off * scale, cov, spread, gamma)


def _located(summed: Callable[..., Any], weight: Callable[..., Weights]) -> _Location:
    """Mean and variances with weights of the rows."""
    total, first = summed(lambda X, w: (weight(X, w).sum(), weight(X, w) @ X))
    mean = first / total
    var = summed(lambda X, w: weight(X, w) @ (X - mean[None, :]) ** 2) / total
    return _Location(mean, var)


def _cauchy(X: Block, w: Weights, at: _Location) -> Weights:
    """w/(1 + q/d), q the squared distance of a row from the centre, columns in their scales."""
    xp = namespace_of(w)
    return w / (1 + xp.mean((X - at.mean[None, :]) ** 2 / at.var[None, :], axis=1))


def _without_outliers(summed: Callable[..., Any], start: _Location) -> _Location:
    """Where no row dominates: at the maximum of the likelihood of Cauchy's distribution.

    Centre and scales are those with the weights that come from them, by iteration (Kent & Tyler
    1991, Ann. Stat. 19, 2102).
    """

    def again(_: Array, at: _Location) -> _Location:
        return _located(summed, lambda X, w: _cauchy(X, w, at))

    if is_on_host(start.mean):
        for _ in range(_ROUNDS):
            start = again(start.mean, start)
        return start
    found: _Location = jax.lax.fori_loop(0, _ROUNDS, again, start)
    return found
