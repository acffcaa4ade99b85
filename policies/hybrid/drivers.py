"""Who drives the car: the learned law with its region of attraction, and the published LQR over planned speeds."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import car_mode, controller, learned, lqr
from haltere.policies.hybrid.drive import LQR_LIMIT
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.road_planner import Driver
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

SHARE = 0.9
"""Of the region's level, below which a switch is to land."""
SPEEDS_M_S = np.arange(3.0, 19.01, 0.25)


def numbers_of(road: Road) -> jax.Array:
    """The numbers (3, V) of a configuration, in the order of the plant's `RANGES`."""
    return jnp.stack([road.friction, road.speed, road.yaw_rate])


def learned_law(weights: Learned, error: jax.Array, road: Road) -> jax.Array:
    """The neural controller."""
    return controller.act(weights.controller, car_mode.DOMAIN, error, numbers_of(road))


def learned_excess(weights: Learned, error: jax.Array, road: Road) -> jax.Array:
    """How far outside the learned region of attraction."""
    return learned.excess(weights, car_mode, error, numbers_of(road), SHARE)


LEARNED = Driver(learned_law, learned_excess)


class Table(NamedTuple):
    """The published LQR's gains on dry road and on ice.

    Attributes:
      dry: (S, 2, 7) over `SPEEDS_M_S` of the reference.
      icy: (S, 2, 7).
    """

    dry: jax.Array
    icy: jax.Array


def lqr_table() -> Table:
    """Solves the published LQR on a grid of speeds."""

    def gains(friction: float) -> jax.Array:
        count = len(SPEEDS_M_S)
        numbers = np.stack([np.full(count, friction), SPEEDS_M_S, np.zeros(count)])
        some = car.configure(jnp.asarray(numbers, jnp.float32))
        a, b = lqr.linearise(car, 0, jnp.zeros((7, count)), jnp.zeros((2, count)), some)
        return jnp.asarray(lqr.gain(np.asarray(a), np.asarray(b), np.eye(7), np.eye(2), car.PERIOD_S), jnp.float32)

    return Table(gains(1.0), gains(0.1))


def table_law(table: Table, error: jax.Array, road: Road) -> jax.Array:
    """The published LQR for any speed of the reference, its gains between those of the table."""
    place = (road.speed - SPEEDS_M_S[0]) / (SPEEDS_M_S[1] - SPEEDS_M_S[0])
    below = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, len(SPEEDS_M_S) - 2)
    share = (place - below)[:, None, None]
    dry = (road.friction > 0.5)[:, None, None]
    low, high = (jnp.where(dry, table.dry[at], table.icy[at]) for at in (below, below + 1))
    return lqr.regulate((1 - share) * low + share * high, error, LQR_LIMIT)


LQR = Driver(table_law)
