"""Print the tables of docs/bessel.md: largest errors by region, and errors by number of nodes.

    uv run python packages/normix-bessel/tools/measure_accuracy.py

takes about three minutes. Exact values are those of make_reference.py at random points, with
every tenth order an integer and every tenth a half-integer. Errors are relative, log K to
max(1, |log K|, hypot(v, z)), log_kve to max(1, |log(e^z K)|, v), ∂v to max(|∂v|, 1e-3), ∂v∂z to
the bound √(∂²v ∂²z) on its size.
In float32 the inputs are rounded first, and the exact value is that of float64 there.

The second table takes a rule of at least 120 nodes as exact, in the same arithmetic, and shows only
log K: what a rule of n nodes truncates, above a rounding of 1e-15.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from make_reference import exact
from mpmath import mp, mpf

from normix_bessel import _saddle, log_kv, log_kve

Limits = tuple[float, float]


class Region(NamedTuple):
    v: Limits
    z: Limits  # log-uniform
    count: int = 200


REGIONS = (
    Region((0, 7), (1e-300, 1e-8), 40),
    Region((0, 7), (1e-8, 0.3)),
    Region((0, 7), (0.3, 0.4)),
    Region((0, 10), (0.4, 30)),
    Region((7, 8), (1e-8, 0.3)),
    Region((8, 1000), (1e-8, 30)),
    Region((0, 1000), (30, 1e5)),
    Region((0, 1000), (1e5, 1e8)),
    Region((1000, 1e6), (1e-300, 1e8), 100),
)
NODE_REGIONS = (
    Region((0, 7), (0.01, 0.011)),
    Region((0, 7), (0.1, 0.11)),
    Region((0, 7), (0.2, 0.22)),
    Region((0, 7), (0.3, 0.33)),
    Region((0, 7), (1, 3)),
    Region((5, 6), (1e-300, 0.3)),
    Region((7, 8), (1e-300, 0.3)),
    Region((0, 1e6), (10, 1e8)),
)


def points(region: Region, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    v = rng.uniform(*region.v, count)
    v[::10] = np.round(v[::10])
    v[1::10] = np.clip(np.round(v[1::10]) + 0.5, *region.v)
    return v, np.exp(rng.uniform(*np.log(region.z), count))


def worst(got: jax.Array, expected: list[mpf], scale: list[mpf]) -> float:
    """Largest error of those that a double can hold."""
    held = [
        i for i, (y, s) in enumerate(zip(expected, scale, strict=True)) if max(abs(y), s) < 1e308
    ]
    got = np.asarray(got, np.float64)
    return max(float(abs(mpf(float(got[i])) - expected[i]) / scale[i]) for i in held)


def errors(region: Region) -> list[float]:
    v, z = points(region, region.count)
    columns = zip(*(exact(a, b) for a, b in zip(v.tolist(), z.tolist(), strict=True)), strict=True)
    value, dv, dz, dvv, dvz, dzz = map(list, list(columns)[:6])
    scale = [max(1, abs(y), mp.hypot(a, b)) for y, a, b in zip(value, v, z, strict=True)]
    scaled = [y + mpf(x) for y, x in zip(value, z.tolist(), strict=True)]
    slope = jax.jit(jax.vmap(jax.value_and_grad(log_kv, (0, 1))))
    got, (got_v, got_z) = slope(v, z)
    (got_vv, got_vz), (_, got_zz) = jax.jit(jax.vmap(jax.hessian(log_kv, (0, 1))))(v, z)
    found = [
        worst(got, value, scale),
        worst(log_kv(v, z, backend="cpu"), value, scale),
        worst(log_kve(v, z), scaled, [max(1, abs(y), a) for y, a in zip(scaled, v, strict=True)]),
        worst(got_v, dv, [max(abs(y), mpf("1e-3")) for y in dv]),
        worst(got_z, dz, [abs(y) for y in dz]),
        worst(got_vv, dvv, dvv),
        worst(got_vz, dvz, [mp.sqrt(a * b) for a, b in zip(dvv, dzz, strict=True)]),
        worst(got_zz, dzz, dzz),
    ]
    v32, z32 = v.astype(np.float32), np.maximum(z, 1e-30).astype(np.float32)
    low = jax.tree.map(np.asarray, slope(v32, z32))
    high = jax.tree.map(np.asarray, slope(v32.astype(np.float64), z32.astype(np.float64)))
    size = np.maximum(np.maximum(1, np.abs(high[0])), np.hypot(v32, z32))
    found.append(np.max(np.abs(low[0] - high[0]) / size))
    found.append(np.max(np.abs(low[1][0] - high[1][0]) / np.maximum(1, np.abs(high[1][0]))))
    fits = np.abs(high[1][1]) < 3e38
    found.append(np.max(np.abs(low[1][1] / high[1][1] - 1)[fits]))
    return found


def by_nodes(region: Region, depth: float, blocks: int) -> jax.Array:
    """log(e^z K) by the rule with that many blocks of nodes, at the same points for every rule."""
    rule = _saddle._Rule(depth, blocks)

    @jax.jit
    def evaluate(v: jax.Array, z: jax.Array) -> jax.Array:
        frame = _saddle._frame(v, z, rule)
        return _saddle._log_kve(v, z, frame, *_saddle._sums(frame, rule, lambda _: ()))

    return evaluate(*map(jnp.asarray, points(region, 20_000)))


def limits(region: Region) -> str:
    return " | ".join(f"{low:g} to {high:g}" for low, high in (region.v, region.z))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    mp.dps = 45
    names = "log K|CPU log K|log_kve|∂v|∂z|∂²v|∂v∂z|∂²z|float32 log K|float32 ∂v|float32 ∂z"
    print(f"| v | z | {names.replace('|', ' | ')} |")
    print("|---|---|" + "---|" * 11)
    for region in REGIONS:
        cells = " | ".join(f"{error:.0e}" for error in errors(region))
        print(f"| {limits(region)} | {cells} |", flush=True)

    rules = [(38.0, blocks) for blocks in (6, 7, 8, 9)] + [(18.0, blocks) for blocks in (4, 5)]
    titles = [f"{_saddle._BLOCK * blocks} nodes, depth {depth:g}" for depth, blocks in rules]
    print("\n| v | z | " + " | ".join(titles) + " |")
    print("|---|---|" + "---|" * len(rules))
    for region in NODE_REGIONS:
        dense = by_nodes(region, 42.0, 20)  # 120 nodes
        scale = np.maximum(np.maximum(1, np.abs(dense)), points(region, 20_000)[0])
        found = [np.max(np.abs(by_nodes(region, *rule) - dense) / scale) for rule in rules]
        print(f"| {limits(region)} | " + " | ".join(f"{error:.0e}" for error in found) + " |")


if __name__ == "__main__":
    main()
