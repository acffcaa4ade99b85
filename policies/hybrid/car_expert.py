"""The law from which the car's controller begins: LQR gains for the speed that the car has, not the reference."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import lqr
from haltere.policies.hybrid.car_mode import DOMAIN
from haltere.policies.plants import car

SPEEDS_M_S = np.concatenate([np.arange(1.0, 6.0, 0.5), np.arange(6.0, 26.0, 1.0)])
FRICTIONS = np.geomspace(0.1, 1.0, 5)
STATE_WEIGHTS = np.array([1.0, 4.0, 0.1, 1.0, 1.0, 0.1, 0.1])
ACTION_WEIGHTS = np.array([0.1, 0.1])


class Schedule(NamedTuple):
    """Gains over speed and friction.

    Attributes:
      gains: (F, S, 2, 7), of actions in their limits by states in half widths.
    """

    gains: jax.Array

    def at(self, state: jax.Array, numbers: jax.Array) -> jax.Array:
        """Gains (2, 7, V) for states (7, V) and configurations (3, V), between those of the grid."""
        speed = jnp.interp(state[3] + numbers[1], jnp.asarray(SPEEDS_M_S), jnp.arange(len(SPEEDS_M_S)))
        friction = jnp.interp(jnp.log(numbers[0]), jnp.log(jnp.asarray(FRICTIONS)), jnp.arange(len(FRICTIONS)))
        row, column = (
            jnp.clip(x.astype(jnp.int32), 0, n - 2) for x, n in zip((friction, speed), self.gains.shape, strict=False)
        )
        right, up = (speed - column)[:, None, None], (friction - row)[:, None, None]
        low, high = ((1 - right) * self.gains[at, column] + right * self.gains[at, column + 1] for at in (row, row + 1))
        return ((1 - up) * low + up * high).transpose(1, 2, 0)


def schedule() -> Schedule:
    """Solves the Riccati equation on the grid."""
    friction, speed = (grid.ravel() for grid in np.meshgrid(FRICTIONS, SPEEDS_M_S, indexing="ij"))
    count = len(speed)
    some = car.configure(jnp.asarray(np.stack([friction, speed, np.zeros(count)]), jnp.float32))
    a, b = lqr.linearise(car, 0, jnp.zeros((7, count)), jnp.zeros((2, count)), some)
    found = lqr.gain(np.asarray(a), np.asarray(b), np.diag(STATE_WEIGHTS), np.diag(ACTION_WEIGHTS), car.PERIOD_S)
    scaled = found * np.array(DOMAIN.state) / np.array(DOMAIN.limit)[:, None]
    return Schedule(jnp.asarray(scaled.reshape(len(FRICTIONS), len(SPEEDS_M_S), 2, 7), jnp.float32))
