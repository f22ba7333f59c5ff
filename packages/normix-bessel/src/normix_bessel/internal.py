"""What the packages above share with this one; not part of the public interface."""

from ._at_one_order import evaluate as evaluate
from ._at_one_order import moments_at as moments_at
from ._fixed_order import FixedOrder as FixedOrder
from ._fixed_order import look_up as look_up
from ._fixed_order import tabulate as tabulate

__all__ = ["FixedOrder", "evaluate", "look_up", "moments_at", "tabulate"]
