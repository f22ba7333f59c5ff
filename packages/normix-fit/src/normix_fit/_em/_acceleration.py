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

from typing import Any, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

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
        m, vector = _DEPTH + 1, ravel_pytree(like)[0]
        residuals = jnp.zeros_like(vector, shape=(m, *like.lengths().shape))
        outputs = jnp.zeros_like(vector, shape=(m, *vector.shape))
        return cls(residuals, outputs, jnp.zeros_like(vector), jnp.int32(0))

    def push_or_forget(self, usable: Array, eta: Any, output: Any) -> Self:
        """With one more pair in the place of the oldest if it is usable, and empty if not.

        Chosen row by row: a choice between two whole memories would copy both.
        """
        place = self.pushes % self.outputs.shape[0]
        step = jax.tree.map(jnp.subtract, output, eta).lengths()
        residual = _finite(step) / _size(output)
        given, taken = ravel_pytree(eta)[0], ravel_pytree(output)[0]
        even = jnp.where(usable & (self.pushes % 2 == 0), given, self.even)
        return type(self)(
            self.residuals.at[place].set(jnp.where(usable, residual, self.residuals[place])),
            self.outputs.at[place].set(jnp.where(usable, taken, self.outputs[place])),
            even,
            jnp.where(usable, self.pushes + 1, 0),
        )

    def forget_if(self, dropped: Array) -> Self:
        """Empty if `dropped`."""
        return self._replace(pushes=jnp.where(dropped, 0, self.pushes))


def _finite(lengths: Float[Array, " r"]) -> Float[Array, " r"]:
    return jnp.where(jnp.isfinite(lengths), lengths, 0.0)


def _size(output: Any) -> Float[Array, " r"]:
    """What a component is measured in: itself where outliers make it large, else 1."""
    return jnp.maximum(jnp.abs(_finite(output.lengths())), 1.0)


def extrapolate(memory: Memory, kind: Acceleration, like: Any) -> tuple[Any, Array]:
    """The next η, in the structure of `like`, and whether it is more than G of the last."""
    unravel = ravel_pytree(like)[1]
    m = memory.outputs.shape[0]
    last = (memory.pushes - 1) % m
    plain = memory.outputs[last]
    if kind is None:
        return unravel(plain), jnp.asarray(False)
    if kind == "squarem":
        ready = (memory.pushes > 0) & (memory.pushes % 2 == 0)
        middle = memory.outputs[(last - 1) % m]
        r = middle - memory.even
        v = plain - middle - r
        length, step = (jnp.linalg.norm(_finite(unravel(part).lengths())) for part in (v, r))
        s = jnp.clip(step / jnp.where(length > 0, length, 1.0), 1.0, _LONGEST)
        target = memory.even + 2 * s * r + s * s * v
        return unravel(jnp.where(ready & jnp.isfinite(plain), target, plain)), ready
    places = jnp.arange(m, dtype=memory.pushes.dtype)
    used = (places < memory.pushes) & (places != last)
    differences = jnp.where(used[:, None], memory.residuals - memory.residuals[last][None, :], 0.0)
    c = jnp.linalg.lstsq(differences.T, -memory.residuals[last], rcond=_RANK)[0]
    c = jnp.where(used, c, 0.0)
    target = (1 - jnp.sum(c)) * plain + c @ memory.outputs
    return unravel(jnp.where(jnp.isfinite(plain), target, plain)), memory.pushes > 1
