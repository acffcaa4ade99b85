"""How the walker makes a stride: the swing leg is held ahead until the stance leg is nearly upright, then set down.

The wanted angle of the swing leg is a function of the stance leg's: constant at first, then a cubic that ends at the
landing. Held far ahead, the leg pulls a slow walker over its stance foot; the slope with which it is set down gives the
next stride its swing. The law linearises the wanted motion's error, within the motor's torque.

Source: virtual constraints as of Westervelt et al. 2007, Feedback Control of Dynamic Bipedal Robot Locomotion, ch. 5.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.plants.walker import LARGEST_TORQUE_N_M, affine

FREQUENCY_RAD_S = 20.0
"""Of the error's motion, which is critically damped."""
LEAST_PUSH = 1.0
"""Of the acceleration that a newton metre gives to the error, rad/s^2; it would vanish where the cubic is steep."""
LEAST_LANDING_RAD = 0.04
"""The foot cannot touch the ground nearer (`walker.LANDING_ANGLE_RAD`)."""


class Swing(NamedTuple):
    """One stride.

    Attributes:
      lead: (V,) rad, q2 at which the swing leg is held.
      landing: (V,) rad, -q1 at which the foot is to touch the ground.
      slope: (V,) rad, slope of q2 there, by the share of the way from `hold`.
      hold: (V,) rad, q1 down to which the leg is held.
    """

    lead: jax.Array
    landing: jax.Array
    slope: jax.Array
    hold: jax.Array


def wanted(q1: jax.Array, swing: Swing) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The wanted q2 at q1 (V,), and its first two derivatives by q1."""
    down = q1 < swing.hold
    angle, slope, bend = set_down(jnp.where(down, q1, swing.hold), swing)
    return angle, slope, jnp.where(down, bend, 0.0)


def set_down(q1: jax.Array, swing: Swing) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same after `hold`: the cubic."""
    way = -1 / (swing.hold + swing.landing)
    share = (q1 - swing.hold) * way
    down, slope = 2 * swing.landing - swing.lead, swing.slope
    angle = swing.lead + share**2 * ((3 - 2 * share) * down + (share - 1) * slope)
    first = share * (6 * (1 - share) * down + (3 * share - 2) * slope)
    second = 6 * (1 - 2 * share) * down + (6 * share - 2) * slope
    return angle, first * way, second * way**2


def law(state: jax.Array, swing: Swing) -> jax.Array:
    """Torque (1, V), within 4 N m, for states (4, V)."""
    return torque(state, *wanted(state[0], swing))


def torque(state: jax.Array, angle: jax.Array, slope: jax.Array, bend: jax.Array) -> jax.Array:
    """Torque (1, V) that leads q2 to `angle` (V,), which changes with q1 by `slope`, and that by `bend`."""
    return jnp.clip(unlimited(state, angle, slope, bend), -LARGEST_TORQUE_N_M, LARGEST_TORQUE_N_M)[None]


def unlimited(state: jax.Array, angle: jax.Array, slope: jax.Array, bend: jax.Array) -> jax.Array:
    """The same (V,), were the motor stronger.

    The least push is a choice, not a minimum: so its slope is known wherever it is known which of them holds.
    """
    _, q2, q1_dot, q2_dot = state
    error, rate = q2 - angle, q2_dot - slope * q1_dot
    drift, push = affine(state)
    drifting = drift[3] - slope * drift[2] - bend * q1_dot**2
    pushing = push[3] - slope * push[2]
    pushing = jnp.where(pushing > LEAST_PUSH, pushing, LEAST_PUSH)
    pull = FREQUENCY_RAD_S**2 * error + 2 * FREQUENCY_RAD_S * rate
    free: jax.Array = -(pull + drifting) / pushing
    return free
