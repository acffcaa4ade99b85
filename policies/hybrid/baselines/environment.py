"""What reinforcement learning is told of a hybrid system: episodes of many systems at once."""

from __future__ import annotations

from typing import Any, Protocol

import jax


class Environment(Protocol):
    """Episodes of V systems, the system axis last; pure functions.

    Attributes:
      OBSERVATION_SIZE: rows of what the policy sees.
      LIMIT: (m,) largest action, in the plant's units; the policy's is in [-1, 1].
      LONGEST: steps of an episode.
    """

    OBSERVATION_SIZE: int
    LIMIT: tuple[float, ...]
    LONGEST: int

    def begin(self, key: jax.Array, count: int) -> Any:
        """Random beginnings of `count` episodes."""

    def observe(self, state: Any) -> jax.Array:
        """What the policy sees, (o, V)."""

    def step(self, state: Any, action: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        """One step with actions (m, V) in the plant's units.

        Returns:
          The next states, rewards (V,), and whether the episode ends here for good (V,): not for want of time.
        """
