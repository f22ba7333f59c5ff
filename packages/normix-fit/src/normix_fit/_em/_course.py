"""The course of a fit from one start: EM, and an ascent where it crawls or ends too early."""

import dataclasses
from typing import Any

import numpy as np

from normix_expfam import Status
from normix_expfam.internal import namespace_of
from normix_fit._data import Rows
from normix_mixtures import NormalMixture

from ._ascent import Point, ascend, unexplained
from ._evaluation import Plan
from ._loop import Rules, State, advance, init, unload

_PATIENCE = 60  # evaluations of EM before an ascent
_GLANCE = 10  # evaluations between two looks at whether EM crawls
_SHORT = 100.0  # of gain_tol: most that the gradient may leave unexplained
_WORTH = 10.0  # of gain_tol: least gain of an ascent after which EM is tried again
_APART = 100.0  # √(Σ_jj + γ_j²) from μ_j: beyond, a density of heavy tails is a power of distance


class Course:
    """What was evaluated so far from one start, and what comes next.

    Args:
        start: in standard coordinates and in the gauge.
        rows: standardised.
        plan: what the map is.
        rules: when EM stops.
        max_iter: most evaluations after the first.
    """

    def __init__(
        self, start: NormalMixture, rows: Rows, plan: Plan, rules: Rules, max_iter: int
    ) -> None:
        self.state = init(start)
        self._rows, self._plan, self._rules = rows, plan, rules
        self._most = max_iter + 1
        self._likelihoods: list[np.ndarray] = []
        self._changes: list[np.ndarray] = []
        self._before = 0  # evaluations that the state does not count
        self._began = 0  # evaluations before this round of EM
        self._seen: list[float] = []  # the likelihood at each look in this round
        # with EM's own test of the parameters alone asked for, it is the judge
        judged = bool(np.isfinite(rules.gain_tol))
        self._climbs = judged and start.frame(plan.held) is not None
        self._patience = _PATIENCE if rules.acceleration is not None else self._most
        self.over = False

    @property
    def evaluated(self) -> int:
        """E-steps over all rows."""
        return self._before + int(self.state.evaluated)

    @property
    def log_likelihood(self) -> float:
        """Of the best model so far, -inf before the first."""
        count = int(self.state.taken)
        return float(np.asarray(self.state.log_likelihoods)[count - 1]) if count > 0 else -np.inf

    @property
    def rank(self) -> tuple[bool, float]:
        """Likelihoods that have a maximum before those that have none, then by their size."""
        status = int(self.state.status)
        return Status(status).has_maximum, self.log_likelihood

    @property
    def taken(self) -> int:
        """Models that were taken, the start included."""
        return sum(map(len, self._likelihoods)) + int(self.state.taken)

    def limit(self, pause: int) -> int:
        """The count of evaluations of the state at which EM has to pause."""
        left = min(pause, self._most - self.evaluated)
        if self._climbs:
            left = min(left, self._began + self._patience - self.evaluated)
            left = min(left, _GLANCE - (self.evaluated - self._began) % _GLANCE)
        return int(self.state.evaluated) + left

    def resume(self, state: State) -> None:
        """Take the state in which EM paused or ended, and decide what follows."""
        self.state, *gone = unload(state)
        self._keep(*gone)
        status = int(state.status)
        if status == Status.RUNNING:
            tired = self._climbs and self._is_tired()
            self.over = self.evaluated >= self._most
        else:
            tired = status == Status.CONVERGED and self._climbs and self._is_short()
            self.over = not tired
        if tired and not self.over:
            self._ascend()
        status = int(self.state.status)
        open_ended = (Status.RUNNING, Status.CONVERGED, Status.SOLVER_STALLED)
        if status in open_ended and self._is_collapsed():
            self.state = self.state._replace(status=self._number(Status.SINGULAR_DISPERSION))
            self.over = True

    def finished(self) -> State:
        """The state with whole histories, and a place more."""
        room = np.zeros(1)
        count = int(self.state.taken)
        parts: list[Any] = [
            np.concatenate([*past, np.asarray(now)[:count], room])
            for past, now in (
                (self._likelihoods, self.state.log_likelihoods),
                (self._changes, self.state.param_changes),
            )
        ]
        log_likelihoods, param_changes = parts
        return self.state._replace(
            log_likelihoods=log_likelihoods, param_changes=param_changes,
            taken=self._number(self.taken), evaluated=self._number(self.evaluated),
        )  # fmt: skip

    def _keep(self, log_likelihoods: np.ndarray, param_changes: np.ndarray) -> None:
        self._likelihoods.append(log_likelihoods)
        self._changes.append(param_changes)

    def _is_tired(self) -> bool:
        """Whether EM has had its evaluations, or will need more than those.

        Two gains in turn, each of `_GLANCE` evaluations, tell the ratio of a geometric series.
        """
        spent = self.evaluated - self._began
        if spent % _GLANCE == 0:
            self._seen.append(self.log_likelihood)
        if spent >= self._patience:
            return True
        if self._patience > _PATIENCE or len(self._seen) < 3:
            return False
        first, second = np.diff(self._seen[-3:])
        ratio = second / first if first > 0 else np.inf
        if ratio >= 1:
            return bool(second > self._rounding)
        left = second * ratio / (1 - ratio) / max(float(self._rules.gain_tol), self._rounding)
        return bool(left > 1 and _GLANCE * np.log(left) > -_PATIENCE * np.log(ratio))

    def _number(self, value: int) -> Any:
        return namespace_of(self.state.status).int32(value)

    @property
    def _rounding(self) -> float:
        eps = float(np.finfo(self.state.log_likelihoods.dtype).eps)
        return 1e3 * eps * (1 + abs(self.log_likelihood))

    def _point(self) -> Point:
        if self._plan.algorithm == "em":
            return Point(self.state.model, self.log_likelihood, self.state.statistics)
        # the second cycle's statistics are not those under the model
        self._before += 1
        return self._evaluated(self.state.model)[0]

    def _is_collapsed(self) -> bool:
        """Whether the density closes in on equal rows, on which it grows without bound.

        It does if in some column all rows within `_APART` are equal, two at least. For those far
        away the logarithm of a density of heavy tails is linear in that of its scale, and so the
        likelihood is: a step may gain little, but on the way to 0 there is no maximum.
        """
        model = self.state.model
        mu = np.asarray(model.mu, np.float64)
        reach = _APART * np.sqrt(np.asarray(model.joint.dispersion.diagonal() + model.gamma**2))
        # a wider reach meets others: of the cells off the median half are within 1 of it
        columns = np.flatnonzero(reach < 1.0)
        if not columns.size:
            return False
        near = columns, mu[columns], reach[columns]
        count = self._rows.reduce(_count_met, *near)
        lowest, highest = self._rows.reduce_max(_extremes_met, *near)
        return bool(np.any((count > 1) & (-lowest == highest)))

    def _is_short(self) -> bool:
        rest = unexplained(self._point(), float(self._rows.total), self._plan.held)
        return rest > max(_SHORT * float(self._rules.gain_tol), self._rounding)

    def _evaluated(self, model: NormalMixture) -> tuple[Point, State]:
        fresh = init(model)._replace(model=self.state.model)
        plan = dataclasses.replace(self._plan, algorithm="em")
        found = advance([fresh], self._rows, [1], plan, self._rules)[0]
        value = float(found.log_likelihoods[0]) if int(found.taken) > 0 else -np.inf
        return Point(model, value, found.statistics), found

    def _ascend(self) -> None:
        """Climb; then EM goes on from there, or is at its end if there was nothing to gain."""
        start = self._point()
        best, highest = self.state, start.log_likelihood

        def evaluate(model: NormalMixture) -> Point:
            nonlocal best, highest
            point, found = self._evaluated(model)
            if point.log_likelihood > highest:
                best, highest = found, point.log_likelihood
            return point

        most = self._most - self.evaluated
        spent = ascend(
            start, evaluate, float(self._rows.total), self._plan.held, most,
            float(self._rules.gain_tol),
        )  # fmt: skip
        gain = highest - start.log_likelihood
        total = self.evaluated + spent
        if best is not self.state:
            count = int(self.state.taken)
            self._keep(
                np.asarray(self.state.log_likelihoods)[:count],
                np.asarray(self.state.param_changes)[:count],
            )
            self.state = best
        self._before = total - int(self.state.evaluated)
        self._began = total
        self._seen = []
        little = gain <= max(_WORTH * float(self._rules.gain_tol), self._rounding)
        if spent < most and (little or not self._is_short()):
            self.state = self.state._replace(status=self._number(Status.CONVERGED))
            self.over = True
        else:
            self.state = self.state._replace(status=self._number(Status.RUNNING))
            self.over = total >= self._most


def _met(X: Any, columns: np.ndarray, mu: np.ndarray, reach: np.ndarray) -> tuple[Any, Any]:
    """The cells of these columns, and which of them are within reach of μ."""
    cells = np.asarray(X, np.float64)[:, columns]
    return cells, np.abs(cells - mu) < reach


def _count_met(X: Any, weights: Any, *near: np.ndarray) -> np.ndarray:
    _, met = _met(X, *near)
    return np.sum(met & (np.asarray(weights)[:, None] > 0), axis=0)


def _extremes_met(X: Any, weights: Any, *near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of minus the cells and of the cells."""
    del weights
    cells, met = _met(X, *near)
    low = np.max(np.where(met, -cells, -np.inf), axis=0)
    return low, np.max(np.where(met, cells, -np.inf), axis=0)
