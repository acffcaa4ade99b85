"""One-hop predictive control of the pogobot: Newton's method on the apex map, through its gradient.

A baseline that knows the model: it looks for the angle and the force after which the next apex has the wanted speed
and height.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.hopping import Segment
from haltere.policies.plants.pogobot import LEG_M, apex_map

LARGEST_ANGLE_RAD = 0.5
LARGEST_FORCE_N = 5000.0
ITERATIONS = 6
FORCE_SCALE_N = 1000.0
LARGEST_STEP = 0.3
HOP_S = 1.2
"""About how long a hop takes; where it may end behind the segment's end, the gap between both is aimed at."""
CLEARANCE_M = 0.1
LEAST_HEIGHT_M = 1.15
SPEED_CHANGE_M_S = 0.5
"""Largest change of speed asked of one hop."""


def aim(state: jax.Array, speed: jax.Array, height: jax.Array) -> jax.Array:
    """Action (2, V) that leads from an apex (5, V) to one with this speed and height (V,), as nearly as found."""
    start = jnp.clip(0.09 * state[1], -LARGEST_ANGLE_RAD, LARGEST_ANGLE_RAD)
    scale = jnp.array([1.0, FORCE_SCALE_N])

    def miss(u: jax.Array, x: jax.Array, wanted: jax.Array) -> jax.Array:
        return apex_map(x[:, None], (u * scale)[:, None]).state[1:3, 0] - wanted

    def refine(u: jax.Array, x: jax.Array, wanted: jax.Array) -> jax.Array:
        slope = jax.jacfwd(miss)(u, x, wanted)
        damped = slope.T @ slope + 1e-4 * jnp.eye(2)
        step = jnp.linalg.solve(damped, slope.T @ miss(u, x, wanted))
        limit = jnp.array([LARGEST_ANGLE_RAD, LARGEST_FORCE_N / FORCE_SCALE_N])
        return jnp.clip(u - jnp.clip(step, -LARGEST_STEP, LARGEST_STEP), -limit, limit)

    wanted = jnp.stack([speed, height])
    each = jax.vmap(refine, in_axes=-1, out_axes=-1)

    def iterate(u: jax.Array, _: None) -> tuple[jax.Array, None]:
        return each(u, state, wanted), None

    found, _ = jax.lax.scan(iterate, jnp.stack([start, jnp.zeros_like(start)]), None, length=ITERATIONS)
    return found * scale[:, None]


def target(state: jax.Array, here: Segment, ahead: Segment) -> tuple[jax.Array, jax.Array]:
    """Speed and height (V,), world, of the next apex: the segment's, and before its end in the gap to the next."""
    crossing = state[0] + HOP_S * jnp.maximum(state[1], here.speed) > here.end
    low = jnp.where(crossing, jnp.maximum(here.floor, ahead.floor), here.floor) + LEG_M + CLEARANCE_M
    high = jnp.where(crossing, jnp.minimum(here.ceiling, ahead.ceiling), here.ceiling) - CLEARANCE_M
    height = jnp.where(crossing, (low + high) / 2, jnp.clip(here.height, low, high))
    return jnp.clip(here.speed, state[1] - SPEED_CHANGE_M_S, state[1] + SPEED_CHANGE_M_S), height


def law(state: jax.Array, here: Segment, ahead: Segment) -> jax.Array:
    """Aims at the apex of `target`."""
    speed, height = target(state, here, ahead)
    card = state.at[2].add(-here.floor)
    return aim(card, speed, jnp.maximum(height - here.floor, LEAST_HEIGHT_M))
