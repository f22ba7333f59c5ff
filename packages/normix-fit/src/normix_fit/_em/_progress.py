"""A line on a terminal that follows a fit."""

import math
import sys
from typing import TextIO

_WIDTH = 24


class Progress:
    """Callback that redraws one line: iteration, log-likelihood, gain; silent off a terminal."""

    def __init__(self, max_iter: int, stream: TextIO | None = None):
        self.max_iter = max_iter
        self.stream = sys.stderr if stream is None else stream
        self.last = math.nan

    def __call__(self, n_iter: int, log_likelihood: float) -> None:
        """Show the state after n_iter iterations."""
        if not self.stream.isatty():
            return
        # the share of max_iter on a scale on which the first iterations are seen
        share = math.log1p(n_iter) / math.log1p(self.max_iter)
        bar = "━" * round(share * _WIDTH)
        gain = "" if math.isnan(self.last) else f"  gain {log_likelihood - self.last:.2g}"
        self.last = log_likelihood
        line = f"EM {bar:<{_WIDTH}} {n_iter:4d}  log-likelihood {log_likelihood:.6f}{gain}"
        self.stream.write(f"\r\x1b[K{line}")
        self.stream.flush()

    def close(self) -> None:
        """End the line."""
        if self.stream.isatty():
            self.stream.write("\n")
            self.stream.flush()
