"""Extrapolation of the EM map on mean sufficient statistics.

One EM iteration takes mean statistics η to G(η): M-step, then E-step under the new model. The
model is a function of η, and so are limits of the family, which lie on the edge of no chart here:
linear combinations of statistics need no coordinates for (p, a, b).

- "anderson" (Anderson 1965; Walker & Ni 2011, SIAM J. Numer. Anal. 49, 1715): the combination
  Σ c_j G(η_j), Σ c_j = 1, for which Σ c_j (G(η_j) - η_j) is shortest.
- "squarem" (Varadhan & Roland 2008, Scand. J. Stat. 35, 335): every other step goes
  η + 2 s r + s² v with r = G(η) - η, v = G(G(η)) - G(η) - r and s = |r|/|v|.

Lengths are taken over log Y, 1/Y, Y, x, x/Y and the squares x_j²/Y, whose rest is wide and says
nothing more. A component that outliers make large, such as E Y, is measured in units of itself, and
one that is infinite stays so and has no length. Whether an extrapolation is taken is for the
likelihood to decide.
"""

from typing import Literal, NamedTuple, Self

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Acceleration = Literal["anderson", "squarem"] | None

_DEPTH = 5  # pairs beside the last
_RANK = 1e-10  # of singular values of the differences
_LONGEST = 64.0  # s of squarem


class Memory(NamedTuple):
    """The last pairs (η, G(η)) in a ring; unused ones do not count."""

    residuals: Float[Array, "m r"]  # G(η) - η, the components lengths are taken over, in `_size`
    outputs: Float[Array, "m k"]  # G(η)
    even: Float[Array, " k"]  # η of the last pair with an even number
    pushes: Int[Array, ""]  # since it was empty

    @classmethod
    def empty(cls, like: Float[Array, " k"], d: int) -> Self:
        m = _DEPTH + 1
        zeros = jnp.zeros_like
        return cls(
            zeros(like, shape=(m, 3 + 3 * d)), zeros(like, shape=(m, like.shape[0])),
            zeros(like), jnp.int32(0),
        )  # fmt: skip

    def pushed(self, eta: Float[Array, " k"], output: Float[Array, " k"]) -> Self:
        """With one more pair, in the place of the oldest."""
        place = self.pushes % self.outputs.shape[0]
        return type(self)(
            self.residuals.at[place].set(_measured(output - eta) / _size(output)),
            self.outputs.at[place].set(output),
            jnp.where(self.pushes % 2 == 0, eta, self.even),
            self.pushes + 1,
        )

    def pushed_or_forgotten(
        self, usable: Array, eta: Float[Array, " k"], output: Float[Array, " k"]
    ) -> Self:
        """With one more pair if it is usable, and empty if not.

        Chosen row by row: a choice between two whole memories would copy both.
        """
        place = self.pushes % self.outputs.shape[0]
        return self.pushed(
            jnp.where(usable, eta, self.even), jnp.where(usable, output, self.outputs[place])
        )._replace(pushes=jnp.where(usable, self.pushes + 1, 0))

    def forgotten_if(self, dropped: Array) -> Self:
        """Empty if `dropped`."""
        return self._replace(pushes=jnp.where(dropped, 0, self.pushes))


def _measured(change: Float[Array, " k"]) -> Float[Array, " r"]:
    d = round((change.shape[0] - 2) ** 0.5) - 1
    squares = jnp.diagonal(change[3 + 2 * d :].reshape(d, d))
    measured = jnp.concatenate([change[: 3 + 2 * d], squares])
    return jnp.where(jnp.isfinite(measured), measured, 0.0)


def _size(eta: Float[Array, " k"]) -> Float[Array, " r"]:
    """What a component is measured in: itself where outliers make it large, else 1."""
    return jnp.maximum(jnp.abs(_measured(eta)), 1.0)


def extrapolated(memory: Memory, kind: Acceleration) -> tuple[Float[Array, " k"], Array]:
    """The next η, and whether it is more than G of the last."""
    m = memory.outputs.shape[0]
    last = (memory.pushes - 1) % m
    plain = memory.outputs[last]
    if kind is None:
        return plain, jnp.asarray(False)
    if kind == "squarem":
        ready = (memory.pushes > 0) & (memory.pushes % 2 == 0)
        middle = memory.outputs[(last - 1) % m]
        r = middle - memory.even
        v = plain - middle - r
        length = jnp.linalg.norm(_measured(v))
        s = jnp.linalg.norm(_measured(r)) / jnp.where(length > 0, length, 1.0)
        s = jnp.clip(s, 1.0, _LONGEST)
        target = memory.even + 2 * s * r + s * s * v
        return jnp.where(ready & jnp.isfinite(plain), target, plain), ready
    places = jnp.arange(m, dtype=memory.pushes.dtype)
    used = (places < memory.pushes) & (places != last)
    differences = jnp.where(used[:, None], memory.residuals - memory.residuals[last][None, :], 0.0)
    c = jnp.linalg.lstsq(differences.T, -memory.residuals[last], rcond=_RANK)[0]
    c = jnp.where(used, c, 0.0)
    target = (1 - jnp.sum(c)) * plain + c @ memory.outputs
    return jnp.where(jnp.isfinite(plain), target, plain), memory.pushes > 1
