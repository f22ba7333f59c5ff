"""What the E-step hands to the M-step: posterior moments per row, and their additive sums."""

from typing import Any, NamedTuple

from jaxtyping import Float

from normix_expfam.internal import Array, Unbatched, describe, namespace_of

from ._layout import Parts, flat, parts_of


class PosteriorMoments(NamedTuple):
    """Moments of the subordinator given each row, with the row's log-density; shapes (n,)."""

    log_prob: Float[Array, " n"]
    """log f(x)."""

    log_y: Float[Array, " n"]
    """E [log Y given x]."""

    inverse_y: Float[Array, " n"]
    """E [1/Y given x]."""

    y: Float[Array, " n"]
    """E [Y given x]."""


class MixtureStatistics(Unbatched):
    """Sums over rows of the expected sufficient statistics of (X - origin, Y).

    They add with ``+``, and ``sum`` takes a list of them, so data can be visited in pieces. The
    origin keeps Σ x xᵀ E 1/Y free of cancellation when the data are far from 0; statistics with
    different origins add exactly, the second is moved to the origin of the first.
    """

    origin: Float[Array, " d"]
    """What is subtracted from the rows."""

    n: Float[Array, ""]
    """Number of rows, or the sum of weights."""

    log_y: Float[Array, ""]
    """Σ E log Y."""

    inverse_y: Float[Array, ""]
    """Σ E 1/Y."""

    y: Float[Array, ""]
    """Σ E Y."""

    x: Float[Array, " d"]
    """Σ (x - origin)."""

    x_inverse_y: Float[Array, " d"]
    """Σ (x - origin) E 1/Y."""

    xx_inverse_y: Float[Array, "d d"]
    """Σ (x - origin)(x - origin)ᵀ E 1/Y."""

    def __repr__(self) -> str:
        return describe(self)

    @classmethod
    def from_rows(
        cls,
        X: Float[Array, "n d"],
        expectations: PosteriorMoments,
        weights: Float[Array, " n"] | None = None,
        origin: Float[Array, " d"] | None = None,
    ) -> "MixtureStatistics":
        """Sums over the rows of X, shape (n, d), each times its weight, shape (n,), if given."""
        _, log_y, inverse_y, y = expectations
        xp = namespace_of(y)
        if weights is None:
            w = xp.ones_like(y)
        else:
            w = weights
            # a row of weight 0 does not count where its moments are infinite either
            log_y, inverse_y, y = (xp.where(w > 0, each, 0.0) for each in (log_y, inverse_y, y))
        if origin is None:
            origin = xp.zeros_like(X, shape=X.shape[1:])
        else:
            X = X - origin[None, :]
        weighted = X * (w * inverse_y)[:, None]
        return cls(
            origin, xp.sum(w), w @ log_y, w @ inverse_y, w @ y, w @ X,
            xp.sum(weighted, axis=0), X.T @ weighted,
        )  # fmt: skip

    @classmethod
    def from_mean_statistics(
        cls, eta: Float[Array, " k"], n: Float[Array, ""], origin: Float[Array, " d"]
    ) -> "MixtureStatistics":
        """n times mean statistics η in the layout of `mean_statistics`, about an origin."""
        return cls(origin, n, *parts_of(n * eta))

    @classmethod
    def zeros(cls, origin: Float[Array, " d"]) -> "MixtureStatistics":
        """Those of no rows, about an origin."""
        xp, d = namespace_of(origin), origin.shape[0]
        zero = xp.zeros_like(origin, shape=())
        vector, square = xp.zeros_like(origin), xp.zeros_like(origin, shape=(d, d))
        return cls(origin, zero, zero, zero, zero, vector, vector, square)

    @property
    def parts(self) -> Parts:
        """The sums, without origin and n."""
        return Parts(
            self.log_y, self.inverse_y, self.y, self.x, self.x_inverse_y, self.xx_inverse_y
        )

    def mean(self) -> "MixtureStatistics":
        """Statistics per row, with n = 1, about the same origin."""
        return MixtureStatistics(
            self.origin,
            namespace_of(self.n).ones_like(self.n),
            *(part / self.n for part in self.parts),
        )

    def lengths(self) -> Float[Array, " r"]:
        """The components in which a distance between statistics is measured, shape (3 + 3 d,).

        Those of log Y, 1/Y, Y, x, x/Y and the squares x_j²/Y; the rest is wide and says nothing
        more.
        """
        xp = namespace_of(self.x)
        head = xp.stack([self.log_y, self.inverse_y, self.y])
        squares = xp.diagonal(self.xx_inverse_y)
        lengths: Array = xp.concatenate([head, self.x, self.x_inverse_y, squares])
        return lengths

    def with_subordinator_of(self, other: "MixtureStatistics") -> "MixtureStatistics":
        """With the sums of log Y, 1/Y and Y of other statistics, if these are numbers.

        They are those of the same rows under another model: the second cycle of an ECM algorithm
        (Meng & Rubin 1993, Biometrika 80, 267). Σ E Y may be infinite.
        """
        xp = namespace_of(self.x)
        head = xp.stack([other.log_y, other.inverse_y, other.y])
        usable = xp.all(xp.isfinite(head[:2])) & ~xp.isnan(head[2])
        own = xp.stack([self.log_y, self.inverse_y, self.y])
        log_y, inverse_y, y = xp.where(usable, head, own)
        return MixtureStatistics(self.origin, self.n, log_y, inverse_y, y, *self.parts[3:])

    def moved(self, origin: Float[Array, " d"]) -> "MixtureStatistics":
        """The same statistics about another origin."""
        xp, step = namespace_of(self.x), self.origin - origin
        cross = xp.outer(self.x_inverse_y, step)
        square = self.inverse_y * xp.outer(step, step)
        return MixtureStatistics(
            origin, self.n, self.log_y, self.inverse_y, self.y, self.x + self.n * step,
            self.x_inverse_y + self.inverse_y * step, self.xx_inverse_y + cross + cross.T + square,
        )  # fmt: skip

    def rescaled_subordinator(self, factor: Float[Array, ""]) -> "MixtureStatistics":
        """The same rows with factor · Y for Y, as in the joint law's method of that name."""
        log_y = self.log_y + self.n * namespace_of(factor).log(factor)
        return MixtureStatistics(
            self.origin, self.n, log_y, self.inverse_y / factor, self.y * factor, self.x,
            self.x_inverse_y / factor, self.xx_inverse_y / factor,
        )  # fmt: skip

    def __add__(self, other: "MixtureStatistics") -> "MixtureStatistics":
        """The statistics of both sets of rows together."""
        if not isinstance(other, MixtureStatistics):
            return NotImplemented
        other = other.moved(self.origin)
        return MixtureStatistics(
            self.origin, self.n + other.n, self.log_y + other.log_y,
            self.inverse_y + other.inverse_y, self.y + other.y, self.x + other.x,
            self.x_inverse_y + other.x_inverse_y, self.xx_inverse_y + other.xx_inverse_y,
        )  # fmt: skip

    def __radd__(self, other: Any) -> "MixtureStatistics":
        """0 + statistics, with which `sum` begins."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def mean_statistics(self) -> Float[Array, " k"]:
        """η̂ of (X - origin, Y) in the layout of `JointNormalMixture`, shape (3 + 2 d + d²,)."""
        return flat(self.parts) / self.n
