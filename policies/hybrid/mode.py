"""What learning needs to know of a hybrid system's mode; a module of pure functions satisfies it."""

from __future__ import annotations

from typing import Protocol

import jax

from haltere.policies.hybrid.domain import Domain


class Mode(Protocol):
    """One mode in closed loop, and what begins it.

    Attributes:
      DOMAIN: states, configurations and actions in use.
    """

    DOMAIN: Domain

    def step(self, numbers: jax.Array, state: jax.Array, action: jax.Array, /) -> jax.Array:
        """One period of the plant: (n, V) -> (n, V), for configurations of `numbers` (c, V)."""

    def cost(self, state: jax.Array, /) -> jax.Array:
        """What the controller is to keep small, (V,)."""

    def danger(self, state: jax.Array, /) -> jax.Array:
        """What V sums up, (V,) 1/s: like the square of the state near zero, large where it must not go."""

    def safe(self, state: jax.Array, /) -> jax.Array:
        """(V,) bool; a trajectory through other states has failed."""

    def scatter(self, key: jax.Array, count: int, /) -> jax.Array:
        """States (n, count) in which a mode may begin."""

    def switch(self, key: jax.Array, numbers: jax.Array, state: jax.Array, /) -> tuple[jax.Array, jax.Array]:
        """A random next configuration (c, V), and the state (n, V) in which it begins after this one's `state`."""
