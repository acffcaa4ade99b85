"""Differentiable compass-gait walker: two legs, a motor at the hip, a plastic impact at every step.

Pure functions; every array has the walker axis last, `(feature, V)`. The state:

  q1      rad, stance leg from the vertical, positive when it leans back; the hip is at (-sin q1, cos q1)
  q2      rad, swing leg relative to the stance leg; its foot is at the hip + (sin(q1 + q2), -cos(q1 + q2))
  q1_dot  rad/s
  q2_dot  rad/s

The input is the torque (N m) between the legs, within 4 N m. Hip and legs are point masses of 1 kg, the legs' at half
their length of 1 m. The configuration is the gait: the stance angle with which a step begins.

Source: Choi et al. 2022 (RA-L); the simulator's order of operations is that of Meng & Fan 2023, sec. 5.3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.plants.hybrid import Range

STATE_SIZE = 4
INPUT_SIZE = 1
MODES: tuple[str, ...] = ("step",)
RANGES: tuple[Range, ...] = (Range("angle_rad", 0.04, 0.18),)
PERIOD_S = 0.01
SUBSTEPS = 2

GRAVITY_M_S2 = 9.81
LARGEST_TORQUE_N_M = 4.0
LANDING_ANGLE_RAD = -0.03
"""The swing foot may touch the ground only when the stance leg leans forward at least so far."""


class Gait(NamedTuple):
    """Configuration.

    Attributes:
      angle: (V,) rad, q1 just after the impact.
    """

    angle: jax.Array


def configure(numbers: jax.Array) -> Gait:
    """Gaits from their angles (1, V)."""
    return Gait(numbers[0])


def affine(state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Drift and input column of dx/dt = f(x) + g(x) u: (4, V) each."""
    q1, q2, q1_dot, q2_dot = state
    c, s = jnp.cos(q2), jnp.sin(q2)
    m11, m12, m22 = 2.5 - c, 0.25 - 0.5 * c, 0.25
    swing = 0.5 * jnp.sin(q1 + q2)
    push1 = GRAVITY_M_S2 * (2.5 * jnp.sin(q1) - swing) - s * q2_dot * (q1_dot + 0.5 * q2_dot)
    push2 = 0.5 * s * q1_dot**2 - GRAVITY_M_S2 * swing
    determinant = m11 * m22 - m12 * m12
    drift = jnp.stack(
        [q1_dot, q2_dot, (m22 * push1 - m12 * push2) / determinant, (m11 * push2 - m12 * push1) / determinant]
    )
    none = jnp.zeros_like(q1)
    return drift, jnp.stack([none, none, -m12 / determinant, m11 / determinant])


def flow(mode: int, state: jax.Array, action: jax.Array, gait: Gait) -> jax.Array:
    """Time derivative (4, V) while one foot is on the ground; torque `action` (1, V)."""
    return _flow(state, action)


def _flow(state: jax.Array, action: jax.Array) -> jax.Array:
    drift, push = affine(state)
    return drift + push * action


def guard(mode: int, state: jax.Array, action: jax.Array, gait: Gait, time_s: jax.Array) -> jax.Array:
    """Zero where the swing foot meets the ground in front of the stance foot: (V,), negative before.

    With straight legs of equal length the foot's height has the sign of 2 q1 + q2. That it passes below the ground in
    mid-step, while the stance leg is upright, is allowed.
    """
    return jnp.minimum(-(2 * state[0] + state[1]), LANDING_ANGLE_RAD - state[0])


def reset(mode: int, state: jax.Array, action: jax.Array, gait: Gait, following: Gait) -> jax.Array:
    """State (4, V) after the impact, see `collide`."""
    return collide(state)


def collide(state: jax.Array) -> jax.Array:
    """State (4, V) after an impact: the swing foot sticks, the stance foot leaves, and the legs change names.

    Two angular momenta are kept: that of all masses about the new foot, and that of the old stance leg about the hip.
    """
    q1, q2, q1_dot, q2_dot = state
    c = jnp.cos(q2)
    landed = (1.5 * c * q1_dot - 0.25 * (q1_dot + q2_dot)) / (2.25 - c * c)
    freed = 2 * c * landed - q1_dot
    return jnp.stack([q1 + q2, -q2, landed, freed - landed])


def tick(state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Advances by one control period, with two steps of Euler's method and at most one impact.

    Where the foot has met the ground, the state is interpolated back to the impact, and the rest of the period is
    given up, as published.

    Args:
      state: (4, V).
      action: (1, V) torque, held.
    Returns:
      The next state (4, V), and whether there was an impact (V,).
    """
    after = glide(state, action)
    gap, end = 2 * state[0] + state[1], 2 * after[0] + after[1]
    impact = (gap > 0) & (end <= 0) & (after[0] <= LANDING_ANGLE_RAD) & (2 * after[2] + after[3] <= 0)
    share = jnp.where(impact, -end / jnp.where(impact, gap - end, 1.0), 0.0)
    return jnp.where(impact, land(state, after, share), after), impact


def glide(state: jax.Array, action: jax.Array) -> jax.Array:
    """State (4, V) after a control period without impact."""
    return state + PERIOD_S * slope(state, action)


def slope(state: jax.Array, action: jax.Array) -> jax.Array:
    """Mean time derivative (4, V) over a control period without impact."""
    reached, total = state, jnp.zeros_like(state)
    for _ in range(SUBSTEPS):
        rate = _flow(reached, action)
        reached, total = reached + PERIOD_S / SUBSTEPS * rate, total + rate
    return total / SUBSTEPS


def land(before: jax.Array, after: jax.Array, share: jax.Array) -> jax.Array:
    """State (4, V) just after an impact, where `share` (V,) of the way back from `after` to `before` it happened."""
    return collide(share * before + (1 - share) * after)
