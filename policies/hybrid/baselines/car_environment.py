"""The car on icy roads for reinforcement learning: random published maps, references that take a second a half piece.

The reward is minus the norm of the seven errors, and the bounds of the actions are 12 rad/s and 12 m/s^2, as in the
published environment; there, a car with an error above one gains by leaving its lane, since that ends the episode.
Here leaving costs what the largest error that is counted costs in a second, and so never pays. The policy sees the
reference now and those of the three half pieces ahead, of which the published environment shows one.

Source: the environment of the published code of Meng & Fan 2023 (`nn_roa_planner`).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import drive, roads
from haltere.policies.hybrid.baselines import policy
from haltere.policies.hybrid.network import Network
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

AHEAD = 3
OBSERVATION_SIZE = 10 + 3 * AHEAD
LIMIT = (12.0, 12.0)
LONGEST = 500
STEPS = round(drive.HALF_S / car.PERIOD_S)
"""Periods for each half piece."""
LARGEST_ERROR = 30.0
FAILED = 100 * LARGEST_ERROR
MAPS = 1024
FROM_START = 0.25
"""Share of the episodes that begin as the published journeys do."""
AROUND = (1.0, 1.0, 0.2, 3.0, 0.5, 0.5, 0.2)
"""Half widths of the errors of the others."""


class Ahead(NamedTuple):
    """The references of the half pieces ahead.

    Attributes:
      friction: (A, V).
      speed: (A, V) m/s.
      turn: (A, V) rad, from the heading now.
    """

    friction: jax.Array
    speed: jax.Array
    turn: jax.Array


class Guided(NamedTuple):
    """Parameters of `law`; of each half piece, where they have a leading axis of half pieces.

    Attributes:
      weights: of the policy.
      ahead: leaves (A, V).
    """

    weights: Network
    ahead: Ahead


class Driving(NamedTuple):
    """Cars on their way.

    Attributes:
      error: (7, V) against the reference.
      road: (V,) which of the maps.
      half: (V,) which half piece.
      tick: (V,) periods since its beginning.
    """

    error: jax.Array
    road: jax.Array
    half: jax.Array
    tick: jax.Array


def observe(error: jax.Array, road: Road, ahead: Ahead) -> jax.Array:
    """What the policy sees, (o, V): errors (7, V), the rest of the reference now, and those ahead."""
    rows = [*error, road.friction, road.speed, road.length / road.speed, *ahead.friction, *ahead.speed, *ahead.turn]
    return jnp.stack(rows)


def law(guided: Guided, error: jax.Array, road: Road) -> jax.Array:
    """The policy as a `drive.Law`."""
    return policy.act(guided.weights, observe(error, road, guided.ahead), LIMIT)


def extended(references: Road) -> Road:
    """References (2K, V), and `AHEAD` more that go on as the last one."""
    ends = np.minimum(np.arange(len(references.speed) + AHEAD), len(references.speed) - 1)
    longer: Road = jax.tree.map(lambda leaf: leaf[ends], references)
    return longer


def guide(weights: Network, references: Road) -> Guided:
    """The policy's parameters for each half piece of references (2K, V): leading axis 2K."""
    longer, count = extended(references), len(references.speed)
    at = np.arange(count)[:, None] + np.arange(1, AHEAD + 1)
    turn = car.wrap(longer.heading[at] - references.heading[:, None])
    every = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), weights)
    return Guided(every, Ahead(longer.friction[at], longer.speed[at], turn))


class CarEnvironment:
    """Random roads; see `environment.Environment`."""

    OBSERVATION_SIZE = OBSERVATION_SIZE
    LIMIT: tuple[float, ...] = LIMIT
    LONGEST = LONGEST

    def __init__(self, maps: int = MAPS, seed: int = roads.SEED + 1) -> None:
        self._halves = 2 * roads.PIECES
        self._roads = extended(drive.timed(roads.published(maps, seed).halves()))

    def begin(self, key: jax.Array, count: int) -> Driving:
        """Beginnings of roads, and beginnings of other half pieces with an error."""
        which, where, how, push = jax.random.split(key, 4)
        road = jax.random.randint(which, (count,), 0, self._roads.speed.shape[1])
        start = jax.random.bernoulli(how, FROM_START, (count,))
        half = jnp.where(start, 0, jax.random.randint(where, (count,), 0, self._halves))
        around = jnp.asarray(AROUND)[:, None] * jax.random.uniform(push, (7, count), minval=-1.0)
        error = jnp.where(start, car.to_error(drive.start(count), self._at(road, half)), around)
        return Driving(error, road, half, jnp.zeros(count, jnp.int32))

    def observe(self, state: Driving) -> jax.Array:
        """See `observe`."""
        here = self._at(state.road, state.half)
        ahead = jax.vmap(partial(self._at, state.road))(state.half + jnp.arange(1, AHEAD + 1)[:, None])
        left = car.at(here, car.PERIOD_S * state.tick)
        turn = car.wrap(ahead.heading - here.heading)
        return observe(state.error, left, Ahead(ahead.friction, ahead.speed, turn))

    def step(self, state: Driving, action: jax.Array) -> tuple[Driving, jax.Array, jax.Array]:
        """One period; at the end of a half piece, the errors are those against the next one."""
        here = self._at(state.road, state.half)
        error, tick = car.step(here, state.error, action), state.tick + 1
        outside = ~(jnp.abs(error[1]) < drive.LANE_M)
        over = tick == STEPS
        half, following = state.half + over, self._at(state.road, state.half + 1)
        switched = car.to_error(car.to_world(error, car.at(here, jnp.asarray(drive.HALF_S))), following)
        error = jnp.where(over, switched, error)
        outside |= ~(jnp.abs(error[1]) < drive.LANE_M)
        size = jnp.nan_to_num(jnp.sqrt((error**2).sum(0)), nan=LARGEST_ERROR)
        reward = -jnp.minimum(size, LARGEST_ERROR) - FAILED * outside
        after = Driving(error, state.road, half, jnp.where(over, 0, tick))
        return after, reward, outside | (half == self._halves)

    def _at(self, road: jax.Array, half: jax.Array) -> Road:
        """References (V,) of half pieces (V,) of maps (V,)."""
        found: Road = jax.tree.map(lambda leaf: leaf[half, road], self._roads)
        return found
