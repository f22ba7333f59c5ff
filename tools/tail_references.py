"""Write packages/normix-mixtures/tests/tails.json: both tails of the scalar law, and slopes.

    uv run python tools/tail_references.py

The probabilities are E Q(z(Y)), Q(z) = erfc(z/√2)/2, integrated over log y by Gauss-Legendre panels
in 45 digits, with the normaliser of Y by the same integral; slopes are differences of them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import registry
from scipy import special

FILE = Path(__file__).parents[1] / "packages" / "normix-mixtures" / "tests" / "tails.json"


def log_weight(parameters: Any, v: Any, upper: Any) -> Any:
    """In float64: log-density of log Y at v but for a constant, plus log Q(z(e^v)) for a tail."""
    mu, gamma, sigma, p, a, b = (float(value) for value in parameters)
    with np.errstate(all="ignore"):
        value = p * v
        value = value - (a * np.exp(v) / 2 if a else 0) - (b * np.exp(-v) / 2 if b else 0)
        if upper is not None:
            x, side = upper
            z = side * ((x - mu) / sigma * np.exp(-v / 2) - gamma / sigma * np.exp(v / 2))
            value = value + special.log_ndtr(-np.where(np.isnan(z), 0, z))
    return np.where(np.isnan(value), -np.inf, value)


def panels(parameters: Any, upper: Any, depth: float = 100.0) -> tuple[float, list[Any]]:
    """Log of the largest integrand; ends of panels in log y, each about one width of it."""
    v = np.linspace(-2500, 1400, 39_001)
    for _ in range(12):  # zoom on the maximum
        at = int(np.argmax(log_weight(parameters, v, upper)))
        v = np.linspace(v[max(at - 3, 0)], v[min(at + 3, v.size - 1)], 1001)
    peak = v[np.argmax(log_weight(parameters, v, upper))]
    top = float(log_weight(parameters, peak, upper))
    ends = []
    for side in (-1, 1):
        far = 1e-6
        while log_weight(parameters, peak + side * far, upper) > top - depth:
            far *= 1.2
        ends.append(peak + side * far)
    v, splits = np.linspace(*ends, 6001), np.zeros(0)
    mu, gamma, sigma = (float(value) for value in parameters[:3])
    if upper is not None and (upper[0] - mu) * gamma > 0:  # z(y) changes its sign
        edge = (upper[0] - mu) / gamma
        near = np.log(edge) + sigma / np.sqrt(edge) / abs(gamma) * np.linspace(-15, 15, 1201)
        near = near[(near > ends[0]) & (near < ends[1])]
        v, splits = np.union1d(v, near), near[::40]
    value = log_weight(parameters, v, upper)
    assert np.all(np.isfinite(value)), "ends are where it is exp(-110), not 0"
    slope = np.gradient(value, v)
    speed = np.abs(slope) / 12 + np.sqrt(np.abs(np.gradient(slope, v))) / 3 + 0.1
    length = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(v))])
    count = int(np.ceil(length[-1])) + 2
    assert count < 2000, "an edge that these numbers do not resolve"
    found = np.interp(np.linspace(0, length[-1], count), length, v)
    return top, [mp.mpf(float(x)) for x in np.union1d(found, splits)]


def mp_integral(f: Callable[[Any], Any], parameters: Any, upper: Any) -> Any:
    top, ends = panels(parameters, upper)
    scale = mp.exp(top)  # mp.quad stops by the absolute error
    value, error = mp.quad(
        lambda v: f(v) / scale, ends, method="gauss-legendre", maxdegree=6, error=True
    )
    assert abs(error) <= mp.mpf(10) ** (8 - mp.mp.dps) * abs(value), ("quadrature", error / value)
    return value * scale


def mp_weight(parameters: Any) -> Callable[[Any], Any]:
    """y^p exp(-(a y + b/y)/2) in v = log y."""
    p, a, b = parameters[3:]
    return lambda v: mp.exp(p * v - (a * mp.exp(v) + b * mp.exp(-v)) / 2)


def mp_mass(parameters: Any) -> Any:
    return mp_integral(mp_weight(parameters), parameters, None)


def mp_tail(parameters: Any, x: Any, side: int, *, loss: bool = False, mass: Any = None) -> Any:
    """P(X > x) for side = 1, P(X < x) for -1; with ``loss`` E of side (X - x) in that tail."""
    parameters, x = [mp.mpf(value) for value in parameters], mp.mpf(x)
    mu, gamma, sigma = parameters[:3]
    weight = mp_weight(parameters)
    root2, peak = mp.sqrt(2), 1 / mp.sqrt(2 * mp.pi)

    def term(v: Any) -> Any:
        root = mp.exp(v / 2)
        z = side * ((x - mu) / root - gamma * root) / sigma
        value = mp.erfc(z / root2) / 2
        if loss:
            value = sigma * root * (peak * mp.exp(-z * z / 2) - z * value)
        return weight(v) * value

    return mp_integral(term, parameters, (float(x), side)) / (mass or mp_mass(parameters))


def mp_log_tail(parameters: Any, x: Any, side: int) -> Any:
    """The logarithm of a tail; by the other one where it is next to 1, so that no digit is lost."""
    tail = mp_tail(parameters, x, side)
    return mp.log(tail) if tail < 0.5 else mp.log1p(-mp_tail(parameters, x, -side))


def mp_log_prob(parameters: Any, x: Any) -> Any:
    """log f(x) as a ratio of two masses of Y."""
    parameters, x = [mp.mpf(value) for value in parameters], mp.mpf(x)
    mu, gamma, sigma, p, a, b = parameters
    z, skew = (x - mu) / sigma, gamma / sigma
    tilted = (mp.mpf(0), skew, mp.mpf(1), p - mp.mpf(1) / 2, a + skew**2, b + z**2)
    mass = mp_mass(tilted) / mp_mass(parameters)
    return mp.log(mass) + z * skew - mp.log(sigma) - mp.log(2 * mp.pi) / 2


def mp_slopes(f: Callable[[Any, Any], Any], parameters: Sequence[Any], x: float) -> list[Any]:
    """Central differences of f(parameters, x) in x and the parameters, forward at a = 0, b = 0."""
    point = [mp.mpf(x), *(mp.mpf(value) for value in parameters)]
    found = []
    for i, value in enumerate(point):
        edge = i >= 5 and value == 0
        step = mp.mpf("1e-18") if edge else mp.mpf("1e-13") * (abs(value) or 1)
        above, below = list(point), list(point)
        above[i], below[i] = value + step, value if edge else value - step
        rise = f(above[1:], above[0]) - f(below[1:], below[0])
        found.append(rise / (step if edge else 2 * step))
    return found


def slopes_at(parameters: Any, x: float) -> dict[str, tuple[Any, list[Any]]]:
    """Value and derivatives in x, mu, gamma, sigma, p, a, b of what the tests of slopes look at.

    "below" and "above" are E max(x - X, 0) and E max(X - x, 0).
    """
    functions = {
        "log_cdf": lambda law, x: mp_log_tail(law, x, -1),
        "log_sf": lambda law, x: mp_log_tail(law, x, 1),
        "log_prob": mp_log_prob,
        "below": lambda law, x: mp_tail(law, x, -1, loss=True),
        "above": lambda law, x: mp_tail(law, x, 1, loss=True),
    }
    point = [mp.mpf(value) for value in parameters]
    return {
        name: (f(point, mp.mpf(x)), mp_slopes(f, parameters, x)) for name, f in functions.items()
    }


def lines(stored: dict[str, Any]) -> Iterator[str]:
    """The file again, with new values at the points that it has."""
    laws = {name: line.parameters for name, line in registry.LINE.items()}
    yield '{\n  "written by": "tools/tail_references.py",'
    yield f'  "columns": {json.dumps(stored["columns"])},\n  "tails": ['
    rows = []
    for name, x, side, _ in stored["tails"]:
        value = mp.nstr(mp_tail(laws[name], x, side), 25)
        rows.append(f"    {json.dumps([name, x, side, value])}")
    yield ",\n".join(rows)
    yield '  ],\n  "slopes": ['
    rows = []
    for name, x in ((row["law"], row["x"]) for row in stored["slopes"]):
        found = [
            f'      "{key}": '
            + json.dumps({"value": mp.nstr(value, 17), "slopes": [mp.nstr(s, 13) for s in slopes]})
            for key, (value, slopes) in slopes_at(laws[name], x).items()
        ]
        rows.append(f'    {{"law": "{name}", "x": {x},\n' + ",\n".join(found) + "}")
    yield ",\n".join(rows)
    yield "  ]\n}\n"


def main() -> None:
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    with mp.workdps(45):
        FILE.write_text("\n".join(lines(stored)), encoding="utf-8")


if __name__ == "__main__":
    main()
