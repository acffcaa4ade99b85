"""The car's mode as its controller is learned: domain, one closed-loop period, cost, and how a switch begins it.

Each half of a road piece is one stay in the mode, with another configuration: friction, and speed of the reference.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.domain import Domain
from haltere.policies.plants import car

DOMAIN = Domain(
    state=(8.0, 3.0, 2.0, 10.0, 1.4, 12.0, 1.5),
    low=(0.1, 4.5, 0.0),
    high=(1.0, 16.0, 0.0),
    limit=(12.0, 12.0),
    period_s=car.PERIOD_S,
)
"""The lane is 3 m to both sides; the action (rad/s, m/s^2) has the limits of the published controller."""
LANE_M = 3.0
NEAR_M = 2.0
DEVIATION_WEIGHT = 3.0
NEAR_WEIGHT = 30.0
LARGEST_STEERING_RAD, STEERING_WEIGHT = 1.0, 10.0
"""No wheel turns further; the linear tyres of the model would reward one that winds through half a circle."""
LARGEST_COST = 500.0
WALL, WALL_WEIGHT, LARGEST_DANGER = 0.7, 30.0, 60.0
STARTS, START_M_S, START_RAD, LARGEST_LAG_M_S = 0.1, 5.0, 1.1, 9.9
"""Share of the switches that begin a road; there the speed, the angle to the road, and how much slower than it."""
TURN_RAD = jnp.pi / 12
LARGEST_TURNS = 3
"""Turns of the published roads are up to three times 15 degrees."""


def step(numbers: jax.Array, state: jax.Array, action: jax.Array) -> jax.Array:
    """One period of the plant, (7, V) -> (7, V), for configurations of `numbers` (3, V)."""
    return car.step(car.configure(numbers), state, action)


def cost(state: jax.Array) -> jax.Array:
    """What is measured on the road, (V,): the squared error, the lane deviation, and coming near the lane's edge.

    Beside these, steering further than wheels turn.
    """
    beside = jnp.abs(state[1])
    over = jnp.maximum(beside - NEAR_M, 0.0)
    total = (state**2).sum(0) + DEVIATION_WEIGHT * jnp.sqrt(beside**2 + 0.01) + NEAR_WEIGHT * over**2
    wound = jnp.maximum(jnp.abs(state[2]) - LARGEST_STEERING_RAD, 0.0)
    total = total + STEERING_WEIGHT * wound**2
    return jnp.minimum(total, LARGEST_COST)


def scatter(key: jax.Array, count: int) -> jax.Array:
    """States (7, count) in which a switch may leave a car."""
    half = jnp.array([3.0, 1.5, 0.4, 8.0, 1.0, 2.0, 0.4])[:, None]
    return half * jax.random.uniform(key, (7, count), minval=-1.0)


def switch(key: jax.Array, numbers: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Random next half pieces: every second time a bend, or another friction, or another speed; some begin a road.

    Args:
      key: random.
      numbers: (3, V) of the configuration that ends.
      state: (7, V) with which it ends.
    Returns:
      Numbers and state with which the next one begins.
    """
    k = jax.random.split(key, 8)
    count = state.shape[1]
    other = DOMAIN.configurations(k[0], count)
    change = jax.random.bernoulli(k[1], 0.5, (3, count))
    following = jnp.where(change, other, numbers)
    turns = jax.random.randint(k[2], (count,), -LARGEST_TURNS, LARGEST_TURNS + 1)
    turn = jnp.where(jax.random.bernoulli(k[3], 0.5, (count,)), TURN_RAD * turns, 0.0)
    shift = jax.random.uniform(k[4], (count,), minval=-1.0)
    here = car.configure(numbers)
    there = car.configure(following)._replace(x=here.length, y=shift, heading=turn)
    after = car.reset(0, state, jnp.zeros((2, count)), here, there)
    towards = jax.random.uniform(k[6], (count,), minval=-START_RAD, maxval=START_RAD)
    slow = jnp.maximum(START_M_S - following[1], -LARGEST_LAG_M_S)
    begin = jnp.zeros_like(after).at[3].set(slow).at[4].set(towards)
    return following, jnp.where(jax.random.bernoulli(k[7], STARTS, (count,)), begin, after)


def danger(state: jax.Array) -> jax.Array:
    """Squared errors, each over the time in which it decays, and a wall at the lane's edge."""
    weight = jnp.array([0.016, 0.22, 10.0, 0.014, 1.7, 0.27, 6.7])[:, None]
    wall = jnp.maximum(jnp.abs(state[1]) / LANE_M - WALL, 0.0) / (1 - WALL)
    return jnp.minimum((weight * state**2).sum(0) + WALL_WEIGHT * wall**2, LARGEST_DANGER)


def safe(state: jax.Array) -> jax.Array:
    """In the lane, and inside the domain."""
    return (jnp.abs(state[1]) < LANE_M) & DOMAIN.inside(state)
