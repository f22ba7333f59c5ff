"""Pictures of a fitted model. Matplotlib is imported inside the functions, without pyplot.

A figure made here belongs to the caller: no global state, no display needed.
"""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normix_mixtures import NormalMixture

from ._files import write_atomically
from ._marginal_quantiles import marginals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["qq_panel", "qq_plot"]

_MAX_PANELS: Final = 30
_POINTS: Final = 200
_NODES: Final = 65
_FITTED: Final = "#1b4f8a"
_NORMAL: Final = "#b9bec4"
_LINE: Final = "#c8553d"


class _Law(Protocol):
    def ppf(self, q: Any, /) -> Any: ...


def qq_plot(
    model: NormalMixture,
    X: ArrayLike,
    *,
    columns: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """A grid of QQ panels: each column's order statistics against its fitted marginal.

    Points on the diagonal are as the model says. The same order statistics against the normal law
    of equal mean and standard deviation stand behind them in grey. Both axes of a panel are in the
    units of its column.

    Args:
        model: a law on R^d.
        X: (n, d) data.
        columns: d names for the panels; x1, x2, ... without them.
        path: where to write the figure, by its suffix (png, pdf, svg); an existing file is
            replaced.
        title: in place of the default, which names the family.

    Returns:
        The figure. Above 30 columns it shows the 30 of largest kurtosis and says so.

    Raises:
        ValueError: X or columns does not have the model's d columns, X has fewer than 2 rows or a
            value that is not finite.
        OSError: `path` cannot be written.

    Examples:
        >>> from normix.datasets import load
        >>> from normix.plotting import qq_plot
        >>> from normix_mixtures import NormalInverseGaussian
        >>> data = load("ecb_fx")
        >>> X = data.values[:, :2]
        >>> start = NormalInverseGaussian.default_init(X)  # by moments; see normix.fit
        >>> figure = qq_plot(start, X, columns=data.columns[:2])
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['USD', 'JPY']
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    data = np.asarray(X, dtype=np.float64)
    d = np.asarray(model.mu).shape[-1]
    if data.ndim != 2 or data.shape[1] != d or data.shape[0] < 2:
        raise ValueError(
            f"qq_plot: X must have shape (n, {d}) with n >= 2, to suit the model; got {data.shape}"
        )
    if not np.all(np.isfinite(data)):
        raise ValueError("qq_plot: X must be finite; remove the rows that are not")
    names = [f"x{j + 1}" for j in range(d)] if columns is None else list(columns)
    if len(names) != d:
        raise ValueError(f"qq_plot: columns must have {d} names, got {len(names)}")

    shown = _largest_kurtosis(data, _MAX_PANELS)
    n_rows, n_columns = _grid(len(shown))
    panel = 2.4 if n_columns > 4 else 3.2 if n_columns > 1 else 5.0
    figure = Figure(
        figsize=(panel * n_columns + 0.4, panel * n_rows + 1.2), dpi=110, layout="constrained"
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    laws = marginals(model, shown)
    for k, (axes, j, law) in enumerate(zip(grid.flat, shown, laws, strict=False)):
        qq_panel(axes, law, data[:, j])
        axes.set_title(names[j], fontsize=10, fontweight="bold", loc="left", pad=4)
        if k % n_columns == 0:
            axes.set_ylabel("observed quantile", fontsize=9)
        if k + n_columns >= len(shown):
            axes.set_xlabel("fitted quantile", fontsize=9)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()

    note = f"{data.shape[0]:,} rows; both axes in the units of the column"
    if len(shown) < d:
        note += f"; {len(shown)} of {d} columns shown, those of largest kurtosis"
    figure.suptitle(
        f"{title or f'QQ plot of the fitted {_words(type(model).__name__)} law'}\n{note}",
        fontsize=12 if n_columns > 1 else 10.5,
    )
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5}
    figure.legend(
        handles=[
            Line2D([], [], color=_FITTED, label="fitted marginal", **dot),
            Line2D([], [], color=_NORMAL, label="normal law, for comparison", **dot),
            Line2D([], [], color=_LINE, linewidth=1.2, label="observed = fitted"),
        ],
        loc="outside lower center",
        ncols=3 if n_columns > 1 else 2,
        frameon=False,
        fontsize=9,
    )
    if path is not None:
        write_atomically(path, drawn(figure, Path(path).suffix.lstrip(".").lower() or "png"))
    return figure


def drawn(figure: "Figure", kind: str) -> bytes:
    """The contents of a file of that kind (png, pdf, svg)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    return buffer.getvalue()


def qq_panel(axes: "Axes", law: _Law, x: ArrayLike) -> None:
    """Draw one QQ panel on axes of the caller's: `x` (n,) against `law`, and a normal in grey.

    At most 200 order statistics are drawn: both extremes, the rest spread evenly in log-odds, at
    the plotting positions (i - 1/2)/n.
    """
    from matplotlib.ticker import MaxNLocator

    data = np.sort(np.asarray(x, dtype=np.float64))
    at = _positions(data.size, _POINTS)
    q = (at + 0.5) / data.size
    fitted = _quantiles(law, q)
    normal = data.mean() + data.std() * _normal_ppf(q)
    low = min(data[0], fitted[0])
    high = max(data[-1], fitted[-1])
    margin = 0.04 * (high - low)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=_LINE, linewidth=1.0, zorder=1)
    axes.plot(normal, data[at], "o", color=_NORMAL, markersize=2.4, markeredgewidth=0, zorder=2)
    axes.plot(fitted, data[at], "o", color=_FITTED, markersize=2.8, markeredgewidth=0, zorder=3)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_box_aspect(1)
    locator = MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 5, 10])
    ticks = [x for x in locator.tick_values(*limits) if limits[0] <= x <= limits[1]]
    axes.set_yticks(ticks)
    # Every other label where five or more would meet, and among them the one nearest 0.
    start = int(np.argmin(np.abs(ticks))) % 2
    axes.set_xticks(ticks if len(ticks) < 5 else ticks[start::2])
    axes.tick_params(labelsize=8, length=2.5, pad=2)
    axes.grid(color="#eceef0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _quantiles(law: _Law, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles at increasing q, exact at 65 nodes even in log-odds and linear between them.

    Quantiles bend so little in log-odds, even those of power tails, that the difference is below
    the width of a point.
    """
    odds = np.log(q) - np.log1p(-q)
    nodes = np.linspace(odds[0], odds[-1], _NODES)
    at_nodes = np.asarray(law.ppf(1 / (1 + np.exp(-nodes))), dtype=np.float64)
    return np.interp(odds, nodes, at_nodes)


def _grid(n: int) -> tuple[int, int]:
    """Rows and columns for n panels: a little wider than high, as few gaps as can be."""
    widths = range(round(math.sqrt(n)), math.ceil(math.sqrt(1.6 * n)) + 1)
    n_columns = min((c for c in widths if c <= n), key=lambda c: (-n % c, -c))
    return -(-n // n_columns), n_columns


def _positions(n: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of the ranks 0..n-1, both ends included, even in log-odds."""
    if n <= limit:
        return np.arange(n)
    end = math.log(2 * n - 1)
    odds = np.linspace(-end, end, limit)
    ranks = np.rint(n / (1 + np.exp(-odds)) - 0.5).astype(np.int64)
    return np.unique(np.clip(ranks, 0, n - 1))


def _normal_ppf(q: NDArray[np.float64]) -> NDArray[np.float64]:
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(p) for p in q.tolist()])


def _largest_kurtosis(data: NDArray[np.float64], limit: int) -> list[int]:
    """All columns where they are few, else the `limit` of largest kurtosis, in their order."""
    if data.shape[1] <= limit:
        return list(range(data.shape[1]))
    centred = data - data.mean(axis=0)
    centred /= np.maximum(np.abs(centred).max(axis=0), np.finfo(float).tiny)
    kurtosis = (centred**4).mean(axis=0) / np.maximum(
        (centred**2).mean(axis=0) ** 2, np.finfo(float).tiny
    )
    return sorted(np.argsort(-kurtosis, kind="stable")[:limit].tolist())


def _words(name: str) -> str:
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
    return words.replace("gaussian", "Gaussian")
