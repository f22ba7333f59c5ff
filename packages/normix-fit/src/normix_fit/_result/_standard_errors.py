"""Standard errors from the observed information of the marginal likelihood.

The information I = -∇² log L is taken in coordinates that make it well conditioned and in which
the gauge is a plane: with Σ = L Lᵀ at the estimate,

    μ + L m,   γ + L g,   L (I + T) (I + T)ᵀ Lᵀ,   T lower triangular,

and the subordinator on the slice a - b = 2p in logarithms of a and b, or of |p| on a boundary.
Rows enter as L⁻¹(x - μ), so that neither units nor correlations of the columns matter. What is
reported is h(coordinates), with covariance ∇h I⁻¹ ∇hᵀ (delta method). At a maximum the information
is a tensor, and the choice of coordinates leaves no trace (Efron & Hinkley 1978, Biometrika 65,
457, on observed information).
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from normix_expfam import GeneralizedInverseGaussian, Status
from normix_expfam.internal import as_float, describe, require
from normix_fit._data import DenseRows, Rows
from normix_fit._host_rows import HostRows
from normix_mixtures import (
    DenseDispersion,
    GeneralizedHyperbolic,
    Held,
    JointGeneralizedHyperbolic,
    NormalMixture,
)
from normix_mixtures.internal import Slice, check_weights, free_coordinates

_SAME = 1e-8  # relative difference of two values of one log-likelihood, at least
_ROWS = 4096  # that are linearised at once
_NUMBERS = 2**20  # that a batch of directions may take, times its rows and columns


@final
class StandardErrors(eqx.Module):
    """Standard errors of a fit, of the parameters in the gauge of `normalize`; a pytree.

    A parameter that was held has 0, one on the boundary of its family nan.

    Attributes:
        mu: of μ, shape (d,), in the units of the data.
        gamma: of γ, shape (d,), in the units of the data.
        sigma: of Σ, shape (d, d), in products of those units.
        subordinator: by name: p, a, b, or alpha, beta, or mu_ig, lam. The gauge ties them
            together, so that their covariance is singular.
        covariance: of (μ, γ, Σ_11, Σ_21, Σ_22, Σ_31, ..., subordinator), shape (k, k).
    """

    mu: Float[Array, " d"]
    gamma: Float[Array, " d"]
    sigma: Float[Array, "d d"]
    subordinator: dict[str, Float[Array, ""]]
    covariance: Float[Array, "k k"]

    def __repr__(self) -> str:
        return describe(self)


def _split(
    part: Slice, u: Float[Array, " k"], d: int
) -> tuple[Array, Array, Array, GeneralizedInverseGaussian]:
    """m, g, I + T and the law of Y at the coordinates u = (m, g, T by rows, two of the slice)."""
    lower = jnp.eye(d, dtype=u.dtype).at[np.tril_indices(d)].add(u[2 * d : -2])
    return u[:d], u[d : 2 * d], lower, part.at(u[-2:])


def _origin(model: NormalMixture) -> Float[Array, " k"]:
    d = model.dimension
    return jnp.zeros_like(model.mu, shape=2 * d + d * (d + 1) // 2 + 2)


class FitAccount(NamedTuple):
    """The facts of a fit by which its data are recognised, and what was held in it."""

    n_observations: int | float
    log_likelihood: float
    held: Held


def standard_errors(
    owner: str, model: NormalMixture, rows: Rows, fit: FitAccount
) -> StandardErrors:
    """`EMResult.standard_errors`, of a maximum over all parameters but those held in the fit.

    Raises:
        ValueError: as there; `owner` stands before the message.
    """
    rows = rows.in_jax() if isinstance(rows, HostRows) else rows
    _require_data_of(fit, owner, model, rows)
    require(isinstance(model.joint.dispersion, DenseDispersion), owner, "model",
            "hold its dispersion as DenseDispersion",
            type(model.joint.dispersion).__name__,
            "repeat the fit on resampled rows instead (bootstrap)")  # fmt: skip
    model = jax.tree.map(
        lambda leaf: leaf.astype(rows.dtype) if eqx.is_inexact_array(leaf) else leaf, model
    )
    model = model.normalize()
    part = Slice.through(model.joint, fit.held)
    free = free_coordinates(part, model.dimension, fit.held)
    information = np.asarray(_information(part, model, rows, _origin(model)))
    slopes = np.asarray(_slopes(part, model))[:, free]
    inverse = _inverse(owner, information[np.ix_(free, free)])
    return _by_parameter(part, model, slopes @ inverse @ slopes.T)


def rows_of(owner: str, model: NormalMixture, X: ArrayLike, weights: ArrayLike | None) -> Rows:
    """Rows and weights in the widest precision at hand.

    Raises:
        ValueError: for rows that are not finite or not of the model's dimension, and for weights
            that are negative, not finite or not one per row.
    """
    widest = jnp.result_type(float)
    X = as_float(X).astype(widest)
    require(X.ndim == 2 and X.shape[1] == model.dimension, owner, "X",
            f"have shape (n, {model.dimension})", X.shape,
            "pass the data of the fit in rows")  # fmt: skip
    require(np.isfinite(X), owner, "X", "be finite", "nan or inf", "pass the data of the fit")
    w = check_weights(owner, weights, X)
    counted = jnp.ones_like(X[:, 0]) if w is None else w
    return DenseRows(X, counted, weighted=w is not None)


def _require_data_of(fit: FitAccount, owner: str, model: NormalMixture, rows: Rows) -> None:
    """Refuse rows or weights that are not those of the fit."""
    precision = max(_SAME, 100 * float(jnp.finfo(model.mu.dtype).eps))
    counted = float(rows.total)
    same = np.isclose(counted, fit.n_observations, rtol=precision, atol=0)
    require(same, owner, "X, weights",
            f"have {fit.n_observations} rows, or weights of that sum, as in the fit", counted,
            "pass the data of the fit, with its weights")  # fmt: skip
    value, size = (float(part) for part in rows.reduce(_sums_of_block, model))
    require(abs(value - fit.log_likelihood) <= precision * size, owner, "X, weights",
            f"have the log-likelihood {fit.log_likelihood:.10g} of the fit under its model",
            f"{value:.10g}",
            "pass the rows of the fit, in any order, each with its weight")  # fmt: skip


def _sums_of_block(X: Array, weights: Array, model: NormalMixture) -> tuple[Array, Array]:
    terms = weights * model.log_prob(X)
    return jnp.sum(terms), jnp.sum(jnp.abs(terms))


def _log_likelihood(
    part: Slice,
    skew: Float[Array, " d"],
    u: Float[Array, " k"],
    Z: Float[Array, "n d"],
    weights: Float[Array, " n"],
) -> Float[Array, ""]:
    """Σ w log f at u of whitened rows, without the constant log det L per row."""
    m, g, lower, subordinator = _split(part, u, skew.shape[0])
    # the families differ in their subordinator alone
    joint = JointGeneralizedHyperbolic(m, skew + g, DenseDispersion(lower), subordinator)
    return weights @ GeneralizedHyperbolic(joint).log_prob(Z)


@eqx.filter_jit
def _information(
    part: Slice, model: NormalMixture, rows: Rows, origin: Float[Array, " k"]
) -> Float[Array, "k k"]:
    """-∇² log L in u at `origin`; 0 along a coordinate without meaning."""
    k, d = origin.shape[0], model.dimension
    skew = model.joint.dispersion.whiten(model.gamma[None, :])[0]

    def of_block(X: Array, weights: Array) -> Array:
        Z = model.joint.dispersion.whiten(X - model.mu[None, :])
        # so many directions at once, the last ones filled up with zeros
        together = max(1, min(k, _NUMBERS // (X.shape[0] * d)))
        directions = jnp.pad(jnp.eye(k, dtype=origin.dtype), ((0, -k % together), (0, 0)))
        gradient = jax.grad(lambda u: _log_likelihood(part, skew, u, Z, weights))
        # forward over reverse, the part that all directions share computed once
        _, along = jax.linearize(gradient, origin)
        columns = jax.lax.map(jax.vmap(along), directions.reshape(-1, together, k))
        return columns.reshape(-1, k)[:k]

    hessian = rows.reduce(of_block, most=_ROWS)
    return -(hessian + hessian.T) / 2


@eqx.filter_jit
def _slopes(part: Slice, model: NormalMixture) -> Float[Array, "reported k"]:
    """The derivative of (μ, γ, vech Σ by rows, subordinator) in u."""
    colour = model.joint.dispersion.colour

    def reported(u: Array) -> Array:
        m, g, lower, subordinator = _split(part, u, model.dimension)
        moved = colour(jnp.stack([m, g]))
        factor = colour(lower.T).T
        sigma = (factor @ factor.T)[np.tril_indices(model.dimension)]
        own = model.joint.subordinator_family.from_gig(*subordinator.as_gig())
        last = jnp.stack(jax.tree.leaves(own))  # in the order of `subordinator_names`
        return jnp.concatenate([model.mu + moved[0], model.gamma + moved[1], sigma, last])

    return jax.jacfwd(reported)(_origin(model))


def _inverse(owner: str, information: Float[np.ndarray, "r r"]) -> Float[np.ndarray, "r r"]:
    """The inverse of a positive definite matrix, or the reason why there is none."""
    finite = bool(np.all(np.isfinite(information)))
    require(finite, owner, "the information", "be finite", "nan or inf",
            "the density is not smooth at a row of X, as at mu for b = 0")  # fmt: skip
    scale = np.sqrt(np.abs(np.diagonal(information)))
    scale = np.where(scale > 0, scale, 1.0)
    unit = information / np.outer(scale, scale)
    least = float(np.linalg.eigvalsh(unit)[0])
    require(least > unit.shape[0] * np.finfo(unit.dtype).eps, owner, "the information",
            "be positive definite", f"the smallest eigenvalue {least:.1e} in units of its diagonal",
            "the point is not a maximum of the likelihood of X: pass the data of the fit, or fit "
            "further, with a smaller tol or gain_tol or from another start")  # fmt: skip
    return np.linalg.inv(unit) / np.outer(scale, scale)


def _by_parameter(
    part: Slice, model: NormalMixture, covariance: Float[np.ndarray, "k k"]
) -> StandardErrors:
    d = model.dimension
    names = list(model.subordinator_names())
    first = covariance.shape[0] - len(names)
    # a and b are names in the full family; the families that live on a boundary have none there
    on_boundary = {Status.INVERSE_GAMMA_LIMIT: "a", Status.GAMMA_LIMIT: "b"}.get(part.limit)
    if on_boundary in names:
        j = first + names.index(on_boundary)
        covariance[j, :] = covariance[:, j] = np.nan
    root = np.sqrt(np.diagonal(covariance))
    sigma = np.zeros_like(root, shape=(d, d))
    rows, columns = np.tril_indices(d)
    sigma[rows, columns] = sigma[columns, rows] = root[2 * d : first]
    return StandardErrors(
        mu=jnp.asarray(root[:d]),
        gamma=jnp.asarray(root[d : 2 * d]),
        sigma=jnp.asarray(sigma),
        subordinator={name: jnp.asarray(root[first + j]) for j, name in enumerate(names)},
        covariance=jnp.asarray(covariance),
    )
