"""Drives cars whose references are planned just before each switch."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import drive
from haltere.policies.hybrid.drive import Law, Trace
from haltere.policies.hybrid.references import References, along
from haltere.policies.hybrid.roads import Roads
from haltere.policies.plants import car

LONGEST = 410
"""Periods of the longest half piece: 18.8 m at 4.7 m/s."""


class Planner(Protocol):
    """Chooses references; a pytree, so that a journey is one compiled program."""

    @property
    def ahead(self) -> int:
        """Half pieces that it looks at."""

    def begin(self, cars: int) -> Any:
        """What it remembers before the first half piece."""

    def plan(self, halves: References, world: jax.Array, memory: Any) -> tuple[jax.Array, Any]:
        """Chooses the next reference.

        Args:
          halves: leaves (ahead, ..., V), the next one first.
          world: (7, V) now.
          memory: from the half piece before.
        Returns:
          The choice (2, V) for `References.choose`, and what it remembers.
        """


class Journey(NamedTuple):
    """What was planned, and what came of it.

    Attributes:
      trace: as of `drive.drive`.
      speed: (K, V) m/s of the references.
      entry: (K, 7, V) errors with which each half piece began.
      friction: (K, V).
      duration_s: (V,) s.
    """

    trace: Trace
    speed: np.ndarray
    entry: np.ndarray
    friction: np.ndarray
    duration_s: np.ndarray


def travel(planner: Planner, law: Law, parameters: Any, roads: Roads, free: bool = False) -> Journey:
    """Drives all roads, from the origin, at 5 m/s along world x.

    Args:
      planner: of the references.
      law: the controller.
      parameters: of the law.
      roads: of V cars.
      free: allow any speed from 5 to 15 m/s.
    """
    pieces = 2 * (len(roads.knots) - 1)
    halves = along(roads, planner.ahead, free)
    trace, speed = jax.device_get(_travel(law, pieces, planner, parameters, halves))
    duration = (trace.driven.sum((0, 1)) - pieces) * car.PERIOD_S
    return Journey(trace, speed, trace.error[:, 0], np.asarray(halves.friction[:pieces]), duration)


@partial(jax.jit, static_argnums=(0, 1))
def _travel(law: Law, pieces: int, planner: Planner, parameters: Any, halves: References) -> tuple[Trace, jax.Array]:
    """The trace, and the speeds (K, V), of K pieces, in one program."""

    def one(carry: tuple[jax.Array, Any], piece: jax.Array) -> tuple[tuple[jax.Array, Any], tuple[Trace, jax.Array]]:
        world, memory = carry
        view = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, piece, planner.ahead), halves)
        choice, memory = planner.plan(view, world, memory)
        road = jax.tree.map(lambda leaf: leaf[0], view).choose(choice)
        steps = (road.length / road.speed / car.PERIOD_S).astype(jnp.int32)
        world, trace = drive.follow(road, law, parameters, world, steps, LONGEST)
        return (world, memory), (trace, road.speed)

    cars = halves.friction.shape[-1]
    return jax.lax.scan(one, (drive.start(cars), planner.begin(cars)), jnp.arange(pieces))[1]
