"""Where a mode's controller and Lyapunov function are learned: a box of states and a box of configurations."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Domain(NamedTuple):
    """Box around the equilibrium, and the configurations in use.

    Attributes:
      state: (n,) half widths, in the state's units.
      low: (c,) least numbers of a configuration, in the order of the plant's `RANGES`.
      high: (c,) largest; equal to `low` where a number is not used.
      limit: (m,) largest action.
      period_s: of the controller.
      free: whether the equilibrium needs no action.
    """

    state: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    limit: tuple[float, ...]
    period_s: float
    free: bool = True

    def scaled(self, state: jax.Array) -> jax.Array:
        """States (n, V) in half widths."""
        return state / jnp.asarray(self.state)[:, None]

    def features(self, numbers: jax.Array) -> jax.Array:
        """Configurations (c, V), mapped to [-1, 1]."""
        low, high = jnp.asarray(self.low)[:, None], jnp.asarray(self.high)[:, None]
        return (2 * numbers - low - high) / jnp.where(high > low, high - low, 1.0)

    def inputs(self, state: jax.Array, numbers: jax.Array) -> jax.Array:
        """What the networks see, (n + c, V)."""
        return jnp.concatenate([self.scaled(state), self.features(numbers)])

    def inside(self, state: jax.Array) -> jax.Array:
        """Whether states (n, V) lie in the box: (V,) bool."""
        return (jnp.abs(self.scaled(state)) <= 1).all(0)

    def uniform(self, key: jax.Array, count: int) -> jax.Array:
        """States (n, count), uniform in the box."""
        half = jnp.asarray(self.state)[:, None]
        return half * jax.random.uniform(key, (len(self.state), count), minval=-1.0)

    def configurations(self, key: jax.Array, count: int) -> jax.Array:
        """Numbers (c, count), uniform, but half of those of each number at one of its ends."""
        low, high = jnp.asarray(self.low)[:, None], jnp.asarray(self.high)[:, None]
        where, ends = jax.random.split(key)
        share = jax.random.uniform(where, (len(self.low), count))
        at_end = jax.random.bernoulli(ends, 0.5, share.shape)
        return low + (high - low) * jnp.where(at_end, jnp.round(share), share)
