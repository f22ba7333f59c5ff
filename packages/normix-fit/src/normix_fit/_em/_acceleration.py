"""Extrapolation of the EM map on mean sufficient statistics.

One EM iteration takes mean statistics η to G(η): M-step, then E-step under the new model. The
model is a function of η, and so are limits of the family, which lie on the edge of no chart here:
linear combinations of statistics need no coordinates for the parameters.

- "anderson" (Anderson 1965; Walker & Ni 2011, SIAM J. Numer. Anal. 49, 1715): the combination
  Σ c_j G(η_j), Σ c_j = 1, for which Σ c_j (G(η_j) - η_j) is shortest.
- "squarem" (Varadhan & Roland 2008, Scand. J. Stat. 35, 335): every other step goes
  η + 2 s r + s² v with r = G(η) - η, v = G(G(η)) - G(η) - r and s = |r|/|v|.

Statistics are any pytree of one dtype; lengths are taken over the components that they name
(`lengths`). A component that outliers make large, such as E Y, is measured in units of itself, and
one that is infinite stays so and has no length. Whether an extrapolation is taken is for the
likelihood to decide.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from normix_expfam.internal import Array, is_on_host, namespace_of

Acceleration = Literal["anderson", "squarem"] | None

_DEPTH = 5  # pairs beside the last
_RANK = 1e-10  # of singular values of the differences
_LONGEST = 64.0  # s of squarem


class Memory(NamedTuple):
    """The last pairs (η, G(η)) in a ring, as vectors; unused ones do not count."""

    residuals: Float[Array, "m r"]  # G(η) - η, the components lengths are taken over, in `_size`
    outputs: Float[Array, "m k"]  # G(η)
    even: Float[Array, " k"]  # η of the last pair with an even number
    pushes: Int[Array, ""]  # since it was empty

    @classmethod
    def empty(cls, like: Any) -> Self:
        """Without pairs, for statistics of the shape of `like`."""
        m, vector = _DEPTH + 1, _raveled(like)[0]
        xp = namespace_of(vector)
        residuals = xp.zeros_like(vector, shape=(m, *like.lengths().shape))
        outputs = xp.zeros_like(vector, shape=(m, *vector.shape))
        return cls(residuals, outputs, xp.zeros_like(vector), xp.int32(0))

    def push_or_forget(self, usable: Array, eta: Any, output: Any) -> Self:
        """With one more pair in the place of the oldest if it is usable, and empty if not.

        Chosen row by row: a choice between two whole memories would copy both.
        """
        place = self.pushes % self.outputs.shape[0]
        xp = namespace_of(self.even)
        step = jax.tree.map(xp.subtract, output, eta).lengths()
        residual = _finite(step) / _size(output)
        given, taken = _raveled(eta)[0], _raveled(output)[0]
        even = xp.where(usable & (self.pushes % 2 == 0), given, self.even)
        return type(self)(
            put(self.residuals, place, xp.where(usable, residual, self.residuals[place])),
            put(self.outputs, place, xp.where(usable, taken, self.outputs[place])),
            even,
            xp.where(usable, self.pushes + 1, 0),
        )

    def forget_if(self, dropped: Array) -> Self:
        """Empty if `dropped`."""
        return self._replace(pushes=namespace_of(self.even).where(dropped, 0, self.pushes))


def put(array: Array, place: Array, value: Any) -> Array:
    """The array with another value at a place of its first axis."""
    if not is_on_host(array):
        return array.at[place].set(value)
    changed: Any = np.array(array)
    changed[place] = value
    return changed


def _raveled(tree: Any) -> tuple[Array, Callable[[Array], Any]]:
    """The leaves as one vector, and the way back."""
    leaves, structure = jax.tree.flatten(tree)
    if not is_on_host(leaves[0]):
        return ravel_pytree(tree)
    shapes = [np.shape(leaf) for leaf in leaves]
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def unravel(vector: Array) -> Any:
        parts = np.split(vector, ends)
        back = [part.reshape(shape)[()] for part, shape in zip(parts, shapes, strict=True)]
        return jax.tree.unflatten(structure, back)

    vector: Any = np.concatenate([np.ravel(leaf) for leaf in leaves])
    return vector, unravel


def _finite(lengths: Float[Array, " r"]) -> Float[Array, " r"]:
    xp = namespace_of(lengths)
    finite: Array = xp.where(xp.isfinite(lengths), lengths, 0.0)
    return finite


def _size(output: Any) -> Float[Array, " r"]:
    """What a component is measured in: itself where outliers make it large, else 1."""
    lengths = _finite(output.lengths())
    xp = namespace_of(lengths)
    size: Array = xp.maximum(xp.abs(lengths), 1.0)
    return size


def extrapolate(memory: Memory, kind: Acceleration, like: Any) -> tuple[Any, Array]:
    """The next η, in the structure of `like`, and whether it is more than G of the last."""
    unravel = _raveled(like)[1]
    xp = namespace_of(memory.even)
    m = memory.outputs.shape[0]
    last = (memory.pushes - 1) % m
    plain = memory.outputs[last]
    if kind is None:
        return unravel(plain), xp.asarray(False)
    if kind == "squarem":
        ready = (memory.pushes > 0) & (memory.pushes % 2 == 0)
        middle = memory.outputs[(last - 1) % m]
        r = middle - memory.even
        v = plain - middle - r
        length, step = (xp.linalg.norm(_finite(unravel(part).lengths())) for part in (v, r))
        s = xp.clip(step / xp.where(length > 0, length, 1.0), 1.0, _LONGEST)
        target = memory.even + 2 * s * r + s * s * v
        return unravel(xp.where(ready & xp.isfinite(plain), target, plain)), ready
    places = xp.arange(m, dtype=memory.pushes.dtype)
    used = (places < memory.pushes) & (places != last)
    differences = xp.where(used[:, None], memory.residuals - memory.residuals[last][None, :], 0.0)
    c = xp.linalg.lstsq(differences.T, -memory.residuals[last], rcond=_RANK)[0]
    c = xp.where(used, c, 0.0)
    target = (1 - xp.sum(c)) * plain + c @ memory.outputs
    return unravel(xp.where(xp.isfinite(plain), target, plain)), memory.pushes > 1
