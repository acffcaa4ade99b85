"""The walker's published baseline: input-output linearisation and the least correction that lets a CLF decrease.

The output y measures how far the swing leg is from where the gait wants it for this stance angle; V = eta' P eta with
eta = (y / eps, dy/dt). The quadratic program "least v with dV/dt <= -rate V" has one variable and one constraint, so
that its solution is a quotient.

Source: Choi et al. 2022 (RA-L), and the constants of its code.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.plants.walker import LARGEST_TORQUE_N_M, Gait, affine

BETA = (-17.989285913936719, -49.997811456350071, 12.980805798265429, -7.798078525272227)
EPSILON = 0.1
P11, P12, P22 = 1.256779350685494, 0.158113883008419, 0.117586806357096
RATE = 7.822782634523065


def _wanted(q1: jax.Array, gait: Gait) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(q1^2 - angle^2) times the cubic, and its first two derivatives by q1."""
    b0, b1, b2, b3 = BETA
    cubic = b0 + q1 * (b1 + q1 * (b2 + q1 * b3))
    slope, bend = b1 + q1 * (2 * b2 + q1 * 3 * b3), 2 * b2 + 6 * b3 * q1
    span = q1 * q1 - gait.angle**2
    return span * cubic, 2 * q1 * cubic + span * slope, 2 * cubic + 4 * q1 * slope + span * bend


def output(state: jax.Array, gait: Gait) -> tuple[jax.Array, jax.Array]:
    """y and dy/dt, (V,) each, of states (4, V)."""
    q1, q2, q1_dot, q2_dot = state
    wanted, slope, _ = _wanted(q1, gait)
    return q2 + 2 * q1 - wanted, q2_dot + (2 - slope) * q1_dot


def lyapunov(state: jax.Array, gait: Gait) -> jax.Array:
    """V (V,) of states (4, V)."""
    y, y_dot = output(state, gait)
    scaled = y / EPSILON
    return P11 * scaled**2 + 2 * P12 * scaled * y_dot + P22 * y_dot**2


def law(state: jax.Array, gait: Gait) -> jax.Array:
    """Torque (1, V), within 4 N m, for states (4, V)."""
    y, y_dot = output(state, gait)
    _, slope, bend = _wanted(state[0], gait)
    scaled = y / EPSILON
    drift_v = 2 * (P11 * scaled + P12 * y_dot) * y_dot / EPSILON
    push_v = 2 * (P12 * scaled + P22 * y_dot)
    excess = -drift_v - RATE * lyapunov(state, gait)
    needed = (push_v != 0) & (excess < 0)
    least = jnp.where(needed, excess / jnp.where(needed, push_v, 1.0), 0.0)
    drift, push = affine(state)
    y_drift = drift[3] + (2 - slope) * drift[2] - bend * state[2] ** 2
    y_push = push[3] + (2 - slope) * push[2]
    return jnp.clip((least - y_drift) / y_push, -LARGEST_TORQUE_N_M, LARGEST_TORQUE_N_M)[None]
