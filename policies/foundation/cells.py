"""Policies of other build and size, trained in the student's place to see what its recurrence and size are worth."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from haltere.policies.contract import ACTION_SIZE, OBSERVATION_SIZE
from haltere.policies.errors import ConfigError
from haltere.policies.foundation.student import INTEGRAL_REACH_M, Policy, Student, observation_limits

CELLS = ("gru", "world", "liquid", "none")


class Liquid(NamedTuple):
    """A closed-form continuous-time cell in the GRU's place: two states, and between them a gate that is time.

    Attributes:
      input_weight: (n, 22).
      input_bias: (n,).
      head_weight: (3 n, 2 n); heads stacked: first state, second state, gate.
      head_bias: (3 n,).
      initial_hidden_state: (n,).
      output_weight: (4, n).
      output_bias: (4,).
      observation_limit: (22,), not learned.
      integral_reach: (), not learned.
      body_axes: (), not learned.
    Source: Hasani et al. 2022. With a constant period, rate and offset of the gate are one head.
    """

    input_weight: jax.Array
    input_bias: jax.Array
    head_weight: jax.Array
    head_bias: jax.Array
    initial_hidden_state: jax.Array
    output_weight: jax.Array
    output_bias: jax.Array
    observation_limit: jax.Array
    integral_reach: jax.Array
    body_axes: jax.Array

    def decide(self, observation: jax.Array, units: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `student.Policy`."""
        n = units.shape[0]
        x = jax.nn.relu(self.input_weight @ observation + self.input_bias[:, None])
        heads = self.head_weight @ jnp.concatenate([x, units]) + self.head_bias[:, None]
        first, second = jnp.tanh(heads[:n]), jnp.tanh(heads[n : 2 * n])
        passed = jax.nn.sigmoid(heads[2 * n :])
        after = first * (1 - passed) + passed * second
        return self.output_weight @ after + self.output_bias[:, None], after


class Memoryless(NamedTuple):
    """Two layers without recurrence; the hidden state stays as it is.

    Attributes:
      first_weight: (m, 22).
      first_bias: (m,).
      second_weight: (m, m).
      second_bias: (m,).
      initial_hidden_state: (1,), not used.
      output_weight: (4, m).
      output_bias: (4,).
      observation_limit: (22,), not learned.
      integral_reach: (), not learned.
      body_axes: (), not learned.
    """

    first_weight: jax.Array
    first_bias: jax.Array
    second_weight: jax.Array
    second_bias: jax.Array
    initial_hidden_state: jax.Array
    output_weight: jax.Array
    output_bias: jax.Array
    observation_limit: jax.Array
    integral_reach: jax.Array
    body_axes: jax.Array

    def decide(self, observation: jax.Array, units: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `student.Policy`."""
        x = jax.nn.relu(self.first_weight @ observation + self.first_bias[:, None])
        x = jnp.tanh(self.second_weight @ x + self.second_bias[:, None])
        return self.output_weight @ x + self.output_bias[:, None], units


def draw(cell: str, size: int, seed: int) -> Policy:
    """Draws an untrained policy.

    Args:
      cell: `gru`; `world`, one that sees the errors in the world's axes; `liquid` or `none`.
      size: of its hidden layers.
      seed: of the weights.
    Raises:
      ConfigError: there is no such cell, or the size is not positive.
    """
    if size < 1:
        raise ConfigError(f"cell {cell} of size {size}: expected at least 1")
    if cell in ("gru", "world"):
        return Student(nnx.Rngs(seed), size).weights()._replace(body_axes=jnp.float32(cell == "gru"))
    glorot = nnx.initializers.glorot_uniform()
    small = nnx.initializers.variance_scaling(0.01, "fan_avg", "uniform")
    k = jax.random.split(jax.random.key(seed), 3)
    first, output = glorot(k[0], (size, OBSERVATION_SIZE)), small(k[2], (ACTION_SIZE, size))
    zero, still = jnp.zeros(size), jnp.zeros(ACTION_SIZE)
    if cell == "liquid":
        return Liquid(
            first,
            zero,
            glorot(k[1], (3 * size, 2 * size)),
            jnp.zeros(3 * size),
            zero,
            output,
            still,
            observation_limits(),
            jnp.float32(INTEGRAL_REACH_M),
            jnp.float32(1.0),
        )
    if cell == "none":
        return Memoryless(
            first,
            zero,
            glorot(k[1], (size, size)),
            zero,
            jnp.zeros(1),
            output,
            still,
            observation_limits(),
            jnp.float32(INTEGRAL_REACH_M),
            jnp.float32(1.0),
        )
    raise ConfigError(f"cell {cell}: expected {', '.join(CELLS)}")
