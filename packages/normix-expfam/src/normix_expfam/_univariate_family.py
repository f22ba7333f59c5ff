"""`UnivariateFamily`: exponential families on the line."""

from abc import abstractmethod
from typing import Any, Self

from jaxtyping import Array, ArrayLike, Float

from ._family import ExponentialFamily
from ._univariate_distribution import UnivariateDistribution


class UnivariateFamily(UnivariateDistribution, ExponentialFamily):
    """An exponential family on the line."""

    @abstractmethod
    def mode(self) -> Float[Array, ""]:
        """Where the density is largest; the end of the support where it is unbounded there."""

    @abstractmethod
    def raw_moment(self, order: ArrayLike) -> Float[Array, "*batch"]:
        """E X^order for real orders, any shape; inf where it does not exist."""

    @abstractmethod
    def to_scipy(self) -> Any:
        """The same distribution as a frozen distribution of scipy.stats."""

    @classmethod
    @abstractmethod
    def from_scipy(cls, frozen: Any) -> Self:
        """The distribution that equals a frozen distribution of scipy.stats.

        Raises:
            TypeError: if it is no frozen distribution.
            ValueError: for another distribution, and for loc other than 0.
        """
