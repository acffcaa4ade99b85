"""What the hybrid plants have in common: modes that flow, guards that end them, resets into the next.

A plant is a module of pure functions on arrays `(feature, V)`, and the module itself satisfies this Protocol:
`system: HybridSystem[Road] = car`. The modes follow each other in a circle; a plant with one mode comes back to it
through its reset, with another configuration (a set-point, a gait, a road piece).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

import jax

Configuration = TypeVar("Configuration")


class Range(NamedTuple):
    """One number of a configuration, and where it is used.

    Attributes:
      name: with its unit.
      low: smallest value.
      high: largest value.
    """

    name: str
    low: float
    high: float


class HybridSystem(Protocol[Configuration]):
    """dx/dt = flow(x, u; p) until the guard is reached, then x = reset(x, u; p, p of the next mode).

    Attributes:
      STATE_SIZE: rows of the state.
      INPUT_SIZE: rows of the action.
      MODES: names, in the order in which they follow each other.
      RANGES: the numbers by which configurations differ, as a controller or planner sees them.
    """

    STATE_SIZE: int
    INPUT_SIZE: int
    MODES: tuple[str, ...]
    RANGES: tuple[Range, ...]

    def configure(self, numbers: jax.Array, /) -> Configuration:
        """The configurations of V systems from their numbers (c, V), in the order of `RANGES`."""

    def flow(self, mode: int, state: jax.Array, action: jax.Array, configuration: Configuration, /) -> jax.Array:
        """Time derivative of the state, (n, V), in this mode."""

    def guard(
        self, mode: int, state: jax.Array, action: jax.Array, configuration: Configuration, time_s: jax.Array, /
    ) -> jax.Array:
        """Signed distance to the end of the mode, (V,): negative inside; the mode ends where it reaches zero.

        `time_s` (V,) has passed since the mode began.
        """

    def reset(
        self, mode: int, state: jax.Array, action: jax.Array, configuration: Configuration, following: Configuration, /
    ) -> jax.Array:
        """The state (n, V) with which the next mode begins, after this mode has ended with `state` (n, V)."""
