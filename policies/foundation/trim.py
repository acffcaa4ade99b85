"""Trims a trained policy, as a pilot trims an aircraft: takes out the offset at which all vehicles hover alike.

The loss hardly feels the last millimetres that all vehicles have in common, and the gradient leaves them. They are
measured, and subtracted in the bias of the first layer; no parameter is added.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from haltere.policies.foundation import student
from haltere.policies.foundation.evaluate import LOST_M, at_rest, still
from haltere.policies.foundation.line import Depth, clean_line
from haltere.policies.foundation.population import Population, sample
from haltere.policies.foundation.rollout import Loop, advance, start

VEHICLES = 512
STEPS = 800
JUDGED = 400
ROUNDS = 3


def trim(weights: student.Weights, population: Population, seed: int) -> student.Weights:
    """Moves the point that the policy holds to where it should be, for the median vehicle.

    Args:
      weights: a trained policy.
      population: its vehicles hover, calm, over a clean line.
      seed: of them.
    """
    vehicle = sample(jax.random.key(seed), VEHICLES, population)
    vehicle = vehicle._replace(force=jnp.zeros_like(vehicle.force), torque=jnp.zeros_like(vehicle.torque))
    reference, line, initial = still(VEHICLES), clean_line(VEHICLES), at_rest(vehicle)

    nothing = jnp.zeros((18, VEHICLES))

    @jax.jit
    def held(weights: student.Weights) -> jax.Array:
        decide = partial(student.step, weights)

        def tick(loop: Loop, _: None) -> tuple[Loop, jax.Array]:
            loop = advance(decide, vehicle, line, reference, loop, nothing, LOST_M)
            return loop, loop.state.position

        hidden = jnp.zeros((weights.initial_hidden_state.size, VEHICLES))
        loop = start(initial.state, initial.action, hidden, reference, Depth(0, 0))
        _, position = jax.lax.scan(tick, loop, None, length=STEPS)
        return jnp.median(position[JUDGED:].mean(0), axis=1)

    for _ in range(ROUNDS):
        offset = held(weights)
        weights = weights._replace(input_bias=weights.input_bias + weights.input_weight[:, :3] @ offset)
    return weights
