"""What the packages above this one share with it; not part of the public interface."""

from ._checks import check_observations as check_observations
from ._checks import check_weights as check_weights
from ._checks import dependent_column as dependent_column
from ._e_step_on_host import blocks as blocks
from ._frame import LONGEST as LONGEST
from ._moment_start import middle_of_columns as middle_of_columns
from ._slice import Slice as Slice
from ._slice import free_coordinates as free_coordinates

__all__ = [
    "LONGEST",
    "Slice",
    "blocks",
    "check_observations",
    "check_weights",
    "dependent_column",
    "free_coordinates",
    "middle_of_columns",
]
