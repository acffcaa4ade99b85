"""Teachers: one feed-forward policy per vehicle, which sees that vehicle's whole state. N of them are one program.

A teacher is a multilayer perceptron with two layers of 64 (tanh). The weights of N teachers are stacked on a
leading axis, (N, out, in). Vehicles are laid out as everywhere, (feature, V), with V = N E: the E vehicles of
a teacher, all alike, are neighbours.

Source: Eschmann et al. 2025 (RAPTOR), whose teachers see the rotor speeds beside the observation. Ours also see
the disturbance and, as their vehicle obeys late, the actions that it has not yet obeyed.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import ACTION_SIZE, OBSERVATION_SIZE
from haltere.policies.foundation.evaluate import at_rest
from haltere.policies.foundation.line import Line
from haltere.policies.foundation.rollout import Loop, measure
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor

HIDDEN = 64
SCALE = (2.0,) * 3 + (1.0,) * 9 + (0.5,) * 3 + (0.3,) * 3
"""Makes the first 18 numbers of the observation about as large as the others."""
FORCE_SCALE = 4.0


class Teachers(NamedTuple):
    """Weights of N teachers.

    Attributes:
      first_weight: (N, 64, inputs).
      first_bias: (N, 64).
      second_weight: (N, 64, 64).
      second_bias: (N, 64).
      output_weight: (N, 4, 64).
      output_bias: (N, 4).
    """

    first_weight: jax.Array
    first_bias: jax.Array
    second_weight: jax.Array
    second_bias: jax.Array
    output_weight: jax.Array
    output_bias: jax.Array


def inputs(late: int) -> int:
    """How many numbers a teacher sees, where the longest latency is `late` control periods."""
    return OBSERVATION_SIZE + 4 + 3 + ACTION_SIZE * late


@partial(jax.jit, static_argnames="late")
def untrained(key: jax.Array, vehicle: Quadrotor, late: int) -> Teachers:
    """Draws the weights of one teacher per vehicle; each begins near its vehicle's hover setpoint.

    Args:
      key: random key.
      vehicle: N vehicles.
      late: longest latency in the population, control periods.
    """
    count = vehicle.mass.shape[0]
    k = jax.random.split(key, 3)
    glorot = jax.nn.initializers.glorot_uniform(in_axis=-1, out_axis=-2, batch_axis=0)
    return Teachers(
        glorot(k[0], (count, HIDDEN, inputs(late))),
        jnp.zeros((count, HIDDEN)),
        glorot(k[1], (count, HIDDEN, HIDDEN)),
        jnp.zeros((count, HIDDEN)),
        0.1 * glorot(k[2], (count, ACTION_SIZE, HIDDEN)),
        jnp.clip(at_rest(vehicle).action.T, -1.0, 1.0),
    )


def features(vehicle: Quadrotor, line: Line, loop: Loop) -> jax.Array:
    """What the teachers see of V vehicles: (inputs, V), exact, and late by nothing.

    The observation, the rotor speeds, the constant force in weights, and the actions that the vehicle has not
    yet obeyed, newest first, zero beyond its latency.
    """
    pending = [
        jnp.where(periods < line.latency, jnp.clip(action, -1.0, 1.0), 0.0)
        for periods, action in enumerate(loop.pending)
    ]
    return jnp.concatenate(
        [
            measure(loop.state, loop.target) * jnp.array(SCALE)[:, None],
            jnp.clip(loop.action, -1.0, 1.0),
            2 * loop.state.rotor - 1,
            FORCE_SCALE * vehicle.force / (vehicle.mass * GRAVITY_M_S2),
            *pending,
        ]
    )


def decide(teachers: Teachers, seen: jax.Array) -> jax.Array:
    """Motor setpoints, not clipped: (inputs, N E) -> (4, N E)."""
    count = teachers.output_bias.shape[0]
    x = seen.reshape(seen.shape[0], count, -1).transpose(1, 0, 2)
    x = jnp.tanh(teachers.first_weight @ x + teachers.first_bias[:, :, None])
    x = jnp.tanh(teachers.second_weight @ x + teachers.second_bias[:, :, None])
    x = teachers.output_weight @ x + teachers.output_bias[:, :, None]
    return x.transpose(1, 0, 2).reshape(ACTION_SIZE, -1)
