"""One control Lyapunov function for all roads, and the least action that lets it decrease: a baseline of the car.

V = x' P x from the Riccati equation of a dry road at 10 m/s, with the published LQR's weights. Its rate of decrease is
to be what LQR gives near the equilibrium, x' (Q + K' R K) x in each period. The quadratic program "least |u| with
dV/dt <= -rate" has one constraint, so that its solution is a quotient.

Source: Ames et al. 2017 (IEEE TAC 62(8)), eq. 19, and the single CLF of Meng & Fan 2023, sec. 5.1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_discrete_are

from haltere.policies.hybrid import lqr
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

FRICTION, SPEED_M_S = 1.0, 10.0
LIMIT = 12.0
"""Of both actions, as of the published controllers."""
TINY = 1e-9


class Clf(NamedTuple):
    """The function.

    Attributes:
      shape: (..., 7, 7) P.
      decay: (..., 7, 7) W, 1/s: dV/dt is to be -x' W x.
    """

    shape: jax.Array
    decay: jax.Array


def solve() -> Clf:
    """Solves the Riccati equation."""
    some = car.configure(jnp.array([[FRICTION], [SPEED_M_S], [0.0]]))
    slopes = lqr.linearise(car, 0, jnp.zeros((7, 1)), jnp.zeros((2, 1)), some)
    a, b = (np.asarray(slope[0], np.float64) for slope in slopes)
    step, hold = np.eye(7) + car.PERIOD_S * a, car.PERIOD_S * b
    shape = solve_discrete_are(step, hold, np.eye(7), np.eye(2))
    gain = lqr.gain(a[None], b[None], np.eye(7), np.eye(2), car.PERIOD_S)[0]
    decay = (np.eye(7) + gain.T @ gain) / car.PERIOD_S
    return Clf(jnp.asarray(shape, jnp.float32), jnp.asarray(decay, jnp.float32))


def rates(clf: Clf, error: jax.Array, road: Road) -> tuple[jax.Array, jax.Array]:
    """dV/dt without action, plus what it is to decrease by, (V,); and what each action adds, (2, V)."""
    slope = 2 * clf.shape @ error
    drift = car.flow(0, error, jnp.zeros((2, error.shape[1])), road)
    push = [(slope * (car.flow(0, error, one, road) - drift)).sum(0) for one in _units(error.shape[1])]
    return (slope * drift).sum(0) + (error * (clf.decay @ error)).sum(0), jnp.stack(push)


def _units(count: int) -> tuple[jax.Array, jax.Array]:
    unit = jnp.eye(2)
    return jnp.tile(unit[:, :1], (1, count)), jnp.tile(unit[:, 1:], (1, count))


def law(clf: Clf, error: jax.Array, road: Road) -> jax.Array:
    """Actions (2, V) for errors (7, V): the least that V needs, within the limits."""
    excess, push = rates(clf, error, road)
    least = -jnp.maximum(excess, 0.0) * push / ((push**2).sum(0) + TINY)
    return jnp.clip(least, -LIMIT, LIMIT)
