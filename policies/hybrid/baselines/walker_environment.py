"""The walker for reinforcement learning: from random gaits to random gaits.

As in the published environment, an impact is paid, the more the nearer its angle is to the gait's, and an angle outside
its range is punished and ends the episode; the distance from the gait costs where the measure counts it, just after the
impact. There, an episode goes on when the gait is reached, which pays for many short strides. Here it ends, as in the
benchmark, with a reward that no number of strides is worth. The policy sees the state and the gait's angle, and sets
the torque at every period.

Source: the environment of the published code of Meng & Fan 2023 (`nn_roa_planner`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import walk
from haltere.policies.hybrid.baselines import policy
from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.walk import Law
from haltere.policies.plants.walker import LARGEST_TORQUE_N_M, Gait, tick

OBSERVATION_SIZE = 5
LIMIT = (LARGEST_TORQUE_N_M,)
LONGEST = 400
IMPACT, REACHED, INVALID = 20.0, 200.0, 100.0
DISTANCE_WEIGHT = 10.0
LARGEST_DISTANCE = 5.0
SOURCES, TARGETS = (0.5, 11.5), (0.5, 14.5)
"""Rows of the table of gaits, between which the episodes' are drawn."""


class Walking(NamedTuple):
    """Walkers on their way.

    Attributes:
      state: (4, V).
      angle: (V,) rad, of the gait to reach.
    """

    state: jax.Array
    angle: jax.Array


def observe(state: jax.Array, angle: jax.Array) -> jax.Array:
    """What the policy sees, (o, V): state (4, V), and the angle (V,) of the gait to reach."""
    return jnp.concatenate([state, angle[None]])


def law(weights: Network) -> Law:
    """The policy as a `walk.Law`."""

    def act(state: jax.Array, gait: Gait) -> jax.Array:
        return policy.act(weights, observe(state, gait.angle), LIMIT)

    return act


def gait(row: jax.Array) -> jax.Array:
    """Post-impact states (4, V) of gaits between the rows (V,) of the table."""
    below = jnp.floor(row).astype(jnp.int32)
    table = jnp.asarray(POST_IMPACT.T)
    return table[:, below] + (row - below) * (table[:, below + 1] - table[:, below])


class WalkerEnvironment:
    """Random pairs of gaits; see `environment.Environment`."""

    OBSERVATION_SIZE = OBSERVATION_SIZE
    LIMIT: tuple[float, ...] = LIMIT
    LONGEST = LONGEST

    def begin(self, key: jax.Array, count: int) -> Walking:
        """Starts in the published box around a gait."""
        source, target, push = jax.random.split(key, 3)
        low, high = SOURCES
        around = jnp.asarray(walk.SPREAD)[:, None] * jax.random.uniform(push, (4, count), minval=-1.0)
        state = gait(jax.random.uniform(source, (count,), minval=low, maxval=high)) + around
        low, high = TARGETS
        angle = gait(jax.random.uniform(target, (count,), minval=low, maxval=high))[0]
        return Walking(state.at[0].max(0.01), angle)

    def observe(self, state: Walking) -> jax.Array:
        """See `observe`."""
        return observe(*state)

    def step(self, state: Walking, action: jax.Array) -> tuple[Walking, jax.Array, jax.Array]:
        """One period."""
        after, impact = tick(state.state, action)
        valid = (jnp.abs(after[0]) <= walk.LARGEST_Q1_RAD) & (jnp.abs(after[1]) <= walk.LARGEST_Q2_RAD)
        order = np.argsort(POST_IMPACT[:, 0])
        wanted = jnp.stack([jnp.interp(state.angle, POST_IMPACT[order, 0], row) for row in POST_IMPACT[order].T])
        near = IMPACT * jnp.maximum(1 - jnp.abs(after[0] - state.angle) / state.angle, -1.0)
        away = DISTANCE_WEIGHT * jnp.minimum(jnp.sqrt(((after - wanted) ** 2).sum(0)), LARGEST_DISTANCE)
        reached = impact & valid & (jnp.abs(after[0] - state.angle) < walk.REACHED_RAD)
        reward = jnp.where(impact, near - away, 0.0) + REACHED * reached - jnp.where(valid, 0.0, INVALID)
        return Walking(after, state.angle), reward, reached | ~valid
