"""The references among which a planner chooses on a road: a speed for each half piece, and where it leads to.

Each half begins at its place on the road, and ends up to a metre beside the next one's. Speeds are those of the
published planner (Meng & Fan 2023, as in its code): a half takes at most 1.2 s at the lowest speed, the next half at
least 0.8 s at the highest, and neither is outside 5 to 15 m/s; where these bounds cross, all between them is allowed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.roads import Roads
from haltere.policies.plants.car import Road

LONGEST_S, SHORTEST_S = 1.2, 0.8
SLOWEST_M_S, FASTEST_M_S = 5.0, 15.0
OFFSET_M = 1.0


class References(NamedTuple):
    """K half pieces for V cars; those behind the end of a road go straight on, and weigh nothing.

    Attributes:
      friction: (K, V).
      begin: (K, 2, V) m, world.
      end: (K, 2, V) m, world, in the middle of the road.
      aside: (K, 2, V) unit vector of the offset at the end; zero at the end of the road.
      slowest: (K, V) m/s.
      fastest: (K, V) m/s.
      weight: (K, V) one or zero.
    """

    friction: jax.Array
    begin: jax.Array
    end: jax.Array
    aside: jax.Array
    slowest: jax.Array
    fastest: jax.Array
    weight: jax.Array

    def choose(self, choice: jax.Array) -> Road:
        """References from any numbers (2, V), for one half (leaves (V,) and (2, V)): speed and offset."""
        return self.lead(*self.within(choice))

    def within(self, choice: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Any numbers (2, V), as a speed (V,), m/s, and an offset (V,), m, in their limits."""
        speed = self.slowest + (self.fastest - self.slowest) * jax.nn.sigmoid(choice[0])
        return speed, OFFSET_M * jnp.tanh(choice[1])

    def lead(self, speed: jax.Array, offset: jax.Array) -> Road:
        """References of this speed (V,), m/s, whose ends are so far (V,), m, beside the middle of the road."""
        way = self.end + offset * self.aside - self.begin
        straight, length = jnp.zeros_like(speed), jnp.hypot(way[0], way[1])
        heading = jnp.arctan2(way[1], way[0])
        return Road(self.friction, speed, straight, self.begin[0], self.begin[1], heading, length)


def along(roads: Roads, ahead: int, free: bool = False) -> References:
    """The references of all halves of roads, and `ahead` more.

    Args:
      roads: of V cars.
      ahead: halves behind the end.
      free: any speed from 5 to 15 m/s on every half.
    """
    halves = roads.halves()
    end = np.concatenate([halves.start[1:], roads.knots[-1:]])
    way = end[-1] - halves.start[-1]
    begin = np.concatenate([halves.start, [end[-1] + k * way for k in range(ahead)]])
    end = np.concatenate([end, [end[-1] + (k + 1) * way for k in range(ahead)]])
    length = np.hypot(*(end - begin).transpose(1, 0, 2))
    following = np.concatenate([length[1:], length[-1:]])
    bounds = np.maximum(length / LONGEST_S, SLOWEST_M_S), np.minimum(following / SHORTEST_S, FASTEST_M_S)
    slowest, fastest = np.minimum(*bounds), np.maximum(*bounds)
    if free:
        slowest, fastest = np.full_like(slowest, SLOWEST_M_S), np.full_like(fastest, FASTEST_M_S)
    chord = np.concatenate([end[1:], end[-1:] + way]) - begin
    aside = np.stack([-chord[:, 1], chord[:, 0]], axis=1) / np.hypot(chord[:, 0], chord[:, 1])[:, None]
    last = len(halves.start) - 1
    aside[last:] = 0.0
    weight = np.ones_like(length)
    weight[last + 1 :] = 0.0
    friction = np.concatenate([halves.friction, np.repeat(halves.friction[-1:], ahead, axis=0)])
    leaves = (friction, begin, end, aside, slowest, fastest, weight)
    return References(*(jnp.asarray(leaf, jnp.float32) for leaf in leaves))
