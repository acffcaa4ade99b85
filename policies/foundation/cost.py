"""The cost of flying: what analytic policy gradient makes small."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.foundation.recipe import Stage
from haltere.policies.foundation.rollout import Loop

COST_CAP = 3.0
ACTION_STEP = 0.2
"""Steps of the action that are much smaller count in proportion, larger ones ever less: jitter, not manoeuvres."""


def cost(loop: Loop, before: Loop, stage: Stage) -> jax.Array:
    """Cost of one control period per vehicle, (V,), at most `COST_CAP`.

    Distances count by their norm rounded off near zero, so that the last centimetre still matters.
    """

    def distance(difference: jax.Array, soft: float) -> jax.Array:
        return jnp.sqrt((difference**2).sum(0) + soft**2) - soft

    w, x, y, z = jnp.unstack(loop.state.quat_wxyz)
    heading = 1 - (1 - 2 * (y * y + z * z)) / jnp.sqrt(
        (1 - 2 * (y * y + z * z)) ** 2 + (2 * (x * y + w * z)) ** 2 + 1e-4
    )
    if stage.heading_soft_rad:  # twice one less the cosine is the square of a small angle
        heading = jnp.sqrt(2 * heading + stage.heading_soft_rad**2) - stage.heading_soft_rad
    overshoot = jax.nn.relu(jnp.abs(loop.action) - 1.0)
    off = distance(loop.state.position - loop.target.position, stage.position_soft_m)
    total = (
        off
        + stage.precision_weight * jnp.log1p(off / stage.position_soft_m)
        + stage.velocity_weight * distance(loop.state.velocity - loop.target.velocity, stage.velocity_soft_m_s)
        + 0.02 * distance(loop.state.angular_velocity, 0.5)
        + 0.1 * heading
        + stage.action_weight * jnp.log1p(distance(loop.action - before.action, 0.05) / ACTION_STEP)
        + 0.05 * (overshoot**2).sum(0)
    )
    return jnp.where(loop.alive & (total < COST_CAP), total, COST_CAP)  # what is not a number costs as much as a loss
