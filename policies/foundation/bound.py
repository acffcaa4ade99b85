"""How well a vehicle could be flown by one that knows all of it: actions optimised for each flight, in hindsight.

No policy that has to find out what it flies, from what it is shown, can be expected to do better; where even this does
not reach a number, the vehicles do not allow it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.foundation.evaluate import Initial
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState, step

WITHIN_M = 0.2
MARGIN_M = 0.01
SOFT_M = 0.02
ITERATIONS = 400
LEARNING_RATE = (0.1, 0.002)


def flown(vehicle: Quadrotor, initial: Initial, actions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flies V vehicles by given actions.

    Args:
      vehicle: V vehicles, not changing.
      initial: where they begin.
      actions: (T, 4, V) in [-1, 1].
    Returns:
      Distance from the origin, m, and speed, m/s, after each control period: (T, V) each.
    """

    @jax.checkpoint
    def tick(state: QuadrotorState, action: jax.Array) -> tuple[QuadrotorState, tuple[jax.Array, jax.Array]]:
        after = step(vehicle, state, action, NATIVE_PERIOD_S)
        distance = jnp.sqrt((after.position**2).sum(0) + 1e-8)
        return after, (distance, jnp.sqrt((after.velocity**2).sum(0) + 1e-8))

    _, (distance, speed) = jax.lax.scan(tick, initial.state, actions)
    return distance, speed


@partial(jax.jit, static_argnames="iterations")
def improve(vehicle: Quadrotor, initial: Initial, actions: jax.Array, iterations: int = ITERATIONS) -> jax.Array:
    """Improves the actions of V flights, each for itself, so that the vehicle is soon at the origin, and stays.

    Args:
      vehicle: V vehicles.
      initial: where they begin.
      actions: (T, 4, V) to begin with, such as those of a policy.
      iterations: of gradient descent.
    Returns:
      The distance from the origin, m, of the best flight that was found for each: (T, V).
    """

    def costs(free: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        distance, speed = flown(vehicle, initial, free)
        outside = jnp.log1p(jax.nn.relu(distance - (WITHIN_M - MARGIN_M)) / SOFT_M)
        each = outside.sum(0) + 0.1 * speed[-1]
        return jnp.where(jnp.isfinite(each), each, 0.0).sum(), (each, distance)

    first, last = LEARNING_RATE
    optimiser = optax.sgd(optax.cosine_decay_schedule(first, iterations, last / first), momentum=0.9)
    free = jnp.clip(actions, -1.0, 1.0)

    def iterate(carry: Any, _: None) -> tuple[Any, None]:
        free, state, best, distance_of_best = carry
        slope, (each, distance) = jax.grad(costs, has_aux=True)(free)
        # Each flight has a gradient of its own length: a chaotic one does not spoil the others, nor itself.
        norm = jnp.sqrt((slope**2).sum((0, 1)))
        slope = jnp.where(jnp.isfinite(norm), slope / jnp.maximum(norm, 1e-6), 0.0)
        delta, state = optimiser.update(slope, state)
        # First by when it is there for good, then by the cost.
        outside = (distance >= WITHIN_M) | ~jnp.isfinite(distance)
        rank = (outside * jnp.arange(1, distance.shape[0] + 1)[:, None]).max(0) + 1e-4 * jnp.nan_to_num(each, nan=1e3)
        better = rank < best
        kept = (jnp.where(better, rank, best), jnp.where(better, distance, distance_of_best))
        return (jnp.clip(free + delta, -1.0, 1.0), state, *kept), None

    nothing = jnp.full(actions.shape[-1], jnp.inf)
    begin = (free, optimiser.init(free), nothing, jnp.full(actions.shape[::2], jnp.inf))
    end, _ = jax.lax.scan(iterate, begin, None, length=iterations)
    distance: jax.Array = end[3]
    return distance
