"""What the packages above this one share with it; not part of the public interface."""

from ._checks import check_observations as check_observations
from ._checks import check_weights as check_weights
from ._checks import dependent_column as dependent_column

__all__ = ["check_observations", "check_weights", "dependent_column"]
