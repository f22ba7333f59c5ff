"""What the loop asks of a model: four methods, and statistics that form a vector space.

A `NormalMixture` is such a model. The loop knows no parameter by its name, so that a model of
another kind, such as a finite mixture, is fitted by the same iteration.
"""

from typing import Any, Protocol, Self, runtime_checkable

from jaxtyping import Array, Bool, Float, Int


@runtime_checkable
class Statistics(Protocol):
    """Expected sufficient statistics: a pytree of arrays of one dtype.

    Sums of blocks add leaf by leaf, and any combination of means with weights of sum 1 stands for
    a model, if `maximise` finds one.
    """

    def mean(self) -> Self:
        """Per row, with a weight of 1."""
        ...

    def lengths(self) -> Float[Array, " r"]:
        """The components in which a distance is measured, a linear function of all."""
        ...


@runtime_checkable
class RowFlags(Protocol):
    """The number of rows with which EM cannot continue."""

    not_finite: Int[Array, ""]
    at_pole: Int[Array, ""]


@runtime_checkable
class Expectation(Protocol):
    """What the E-step under a model gives for a block of rows; it adds leaf by leaf."""

    @property
    def statistics(self) -> Any:
        """Sums of `Statistics`."""
        ...

    @property
    def log_likelihood(self) -> Float[Array, ""]:
        """Σ w log f(x)."""
        ...

    @property
    def flags(self) -> Any:
        """`RowFlags` of the block."""
        ...


@runtime_checkable
class ModelFlags(Protocol):
    """What the loop asks of a model by itself."""

    is_finite: Bool[Array, ""]
    least_pivot: Float[Array, ""]
    concentration: Float[Array, ""]


@runtime_checkable
class EMModel(Protocol):
    """A model as the loop sees it; a pytree."""

    def expect(
        self, X: Float[Array, "n d"], weights: Float[Array, " n"] | None = None, *, backend: Any
    ) -> Any:
        """The `Expectation` of a block of rows."""
        ...

    def maximise(self, statistics: Any, held: Any, *, backend: Any) -> tuple[Self, Int[Array, ""]]:
        """The most likely model for mean statistics, and the `Status` of the search for it."""
        ...

    def no_statistics(self) -> Any:
        """Statistics of no rows, in the shape that `expect` gives them."""
        ...

    def change(self, other: Self) -> Float[Array, ""]:
        """How far another model is, in units in which 1 is the spread of the data."""
        ...

    def flags(self) -> Any:
        """The `ModelFlags`."""
        ...
