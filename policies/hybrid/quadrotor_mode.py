"""The quadrotor's modes under the foundation policy: what begins each, what is dangerous, and when it has come back.

A mode begins where a switch leaves a vehicle that hovers: let go of (hover), sent to a new setpoint (transit), thrown
(recover), with a payload attached or dropped (payload), with a weaker rotor (rotor). Vehicles are random; the policy
knows neither the vehicle nor the mode. The state is what the policy sees: observation and hidden state.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import HIDDEN_SIZE, OBSERVATION_SIZE
from haltere.policies.foundation import evaluate
from haltere.policies.foundation.condition import LEAST_THRUST_TO_WEIGHT, Condition, apply, as_built, thrust_to_weight
from haltere.policies.foundation.line import Depth
from haltere.policies.foundation.population import Population, sample
from haltere.policies.foundation.rollout import Loop, start
from haltere.policies.foundation.student import Policy, fresh
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState, rotation

MODES = ("hover", "transit", "recover", "payload", "rotor")
HOVER, TRANSIT, RECOVER, PAYLOAD, ROTOR = range(len(MODES))
SEEN = OBSERVATION_SIZE + HIDDEN_SIZE
"""Numbers of a state: observation (22), hidden state (19)."""
DEPTH = Depth(whole=3)
ANGLE_RAD = {HOVER: 0.5, RECOVER: jnp.pi / 2}
"""Largest angle, about a random axis, of those modes that begin tilted."""
PUSH_M_S, THROW_M_S = 1.0, 4.0
"""Largest speed of a mode's beginning; and rate, in rad/s."""
NEAR_M, FAR_M = 0.5, 2.0
"""Largest distance at which a mode begins: of hover and recover, and of transit."""
PAYLOAD_SPREAD, LEAST_EFFICIENCY = 0.3, 0.7
FRESH_SHARE = 0.25
"""Of vehicles in hover and recover are those whose policy has just been switched on."""
SAFE_M, BACK_M, BACK_M_S = 3.0, 0.2, 0.5
"""A vehicle farther away has failed; one that is nearer and slower has come back."""
SIZE_M, SIZE_M_S, SIZE_RAD, SIZE_RAD_S = 0.5, 1.0, 0.5, 3.0
"""Errors of size one."""
SETTLED = 0.1
"""Square of the size below which nothing is dangerous."""
MOST_DANGER = 50.0


class Flight(NamedTuple):
    """V vehicles in flight: as built, what has become of them, and their closed loops."""

    built: Quadrotor
    condition: Condition
    loop: Loop

    def vehicle(self) -> Quadrotor:
        """As they are now."""
        return apply(self.built, self.condition)


def at_rest(key: jax.Array, vehicles: int, population: Population, weights: Policy) -> Flight:
    """Draws V vehicles in calm air, that hover, with a policy that has just been switched on."""
    built = sample(key, vehicles, population)
    built = built._replace(force=jnp.zeros_like(built.force))
    initial = evaluate.at_rest(built)
    loop = start(initial.state, initial.action, fresh(weights, vehicles), evaluate.still(vehicles), DEPTH)
    return Flight(built, as_built(vehicles), loop)


def _ball(key: jax.Array, radius: jax.Array) -> jax.Array:
    """Vectors (3, V) in random directions, of lengths uniform up to `radius` (V,)."""
    towards, share = jax.random.split(key)
    vector = jax.random.normal(towards, (3, radius.shape[0]))
    length = radius * jax.random.uniform(share, radius.shape)
    found: jax.Array = vector / jnp.linalg.norm(vector, axis=0) * length
    return found


def turned(quat_wxyz: jax.Array, by_rad: jax.Array) -> jax.Array:
    """Attitudes (4, V), turned by rotation vectors (3, V) of the world."""
    angle = jnp.sqrt((by_rad**2).sum(0) + 1e-12)
    a, (b, c, d) = jnp.cos(angle / 2), by_rad / angle * jnp.sin(angle / 2)
    w, x, y, z = quat_wxyz
    return jnp.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ]
    )


def displaced(loop: Loop, by: jax.Array) -> Loop:
    """The loop with another state: (12, V) moved by m, turned by rad (world), faster by m/s and by rad/s (body)."""
    state = loop.state
    moved = QuadrotorState(
        state.position + by[:3],
        turned(state.quat_wxyz, by[3:6]),
        state.velocity + by[6:9],
        state.angular_velocity + by[9:],
        state.rotor,
    )
    return loop._replace(state=moved)


def switch(key: jax.Array, mode: jax.Array, reach: jax.Array, flight: Flight, weights: Policy) -> Flight:
    """Begins a mode: what happens to vehicles in flight.

    Args:
      key: random.
      mode: (V,) which.
      reach: (V,) how far, as a multiple of what is usual.
      flight: before.
      weights: the policy's, for those in which it has just been switched on.
    """
    k = jax.random.split(key, 8)
    vehicles = mode.shape[0]
    let_go = (mode == HOVER) | (mode == RECOVER)
    distance = jnp.where(let_go, NEAR_M, jnp.where(mode == TRANSIT, FAR_M, 0.0))
    angle = jnp.where(mode == HOVER, ANGLE_RAD[HOVER], jnp.where(mode == RECOVER, ANGLE_RAD[RECOVER], 0.0))
    speed = jnp.where(mode == HOVER, PUSH_M_S, jnp.where(mode == RECOVER, THROW_M_S, 0.0))
    by = [_ball(sub, reach * most) for sub, most in zip(k[:4], (distance, angle, speed, speed), strict=True)]
    loop = displaced(flight.loop, jnp.concatenate(by))

    anew = let_go & (jax.random.uniform(k[4], (vehicles,)) < FRESH_SHARE)
    loop = loop._replace(hidden=jnp.where(anew, fresh(weights, vehicles), loop.hidden))

    condition = flight.condition
    carried = 1 + jnp.minimum(reach * PAYLOAD_SPREAD, 0.9) * jax.random.uniform(k[5], (vehicles,), minval=-1)
    one = jax.nn.one_hot(jax.random.randint(k[6], (vehicles,), 0, 4), 4, axis=0, dtype=bool)
    left = 1 - jnp.minimum(reach * (1 - LEAST_EFFICIENCY), 0.9) * jax.random.uniform(k[7], (vehicles,))
    # What would leave too little thrust is made milder: first the rotor, then the payload.
    spare = thrust_to_weight(apply(flight.built, condition._replace(efficiency=jnp.ones_like(condition.efficiency))))
    left = jnp.maximum(left, jnp.minimum(LEAST_THRUST_TO_WEIGHT / spare, 1.0))
    condition = condition._replace(efficiency=jnp.where((mode == ROTOR) & one, left, condition.efficiency))
    spare = thrust_to_weight(apply(flight.built, condition._replace(payload=jnp.ones(vehicles))))
    carried = jnp.minimum(carried, jnp.maximum(spare / LEAST_THRUST_TO_WEIGHT, 1.0))
    condition = condition._replace(payload=jnp.where(mode == PAYLOAD, carried, condition.payload))
    return Flight(flight.built, condition, loop)


def size(seen: jax.Array) -> jax.Array:
    """Square of the error (V,) of states (41, V): distance, speed, tilt and rate, each over its size."""
    tilt = 2 * (1 - seen[11])
    parts = [
        (seen[:3] ** 2).sum(0) / SIZE_M**2,
        (seen[12:15] ** 2).sum(0) / SIZE_M_S**2,
        jnp.maximum(tilt, 0.0) / SIZE_RAD**2,
        (seen[15:18] ** 2).sum(0) / SIZE_RAD_S**2,
    ]
    total: jax.Array = sum(parts[1:], parts[0])
    return total


def see(loop: Loop) -> jax.Array:
    """The state (41, V): observation, without noise or latency, and hidden state."""
    state = loop.state
    return jnp.concatenate(
        [
            state.position - loop.target.position,
            rotation(state.quat_wxyz),
            state.velocity - loop.target.velocity,
            state.angular_velocity,
            loop.action,
            loop.hidden,
        ]
    )


def settled(loop: Loop) -> jax.Array:
    """(V,) bool: alive, near the setpoint, and slow; a mode begins only from there."""
    return loop.alive & back(see(loop))


def back(seen: jax.Array) -> jax.Array:
    """Whether states (41, V) have come back: (V,) bool."""
    return ((seen[:3] ** 2).sum(0) < BACK_M**2) & ((seen[12:15] ** 2).sum(0) < BACK_M_S**2)


def danger(seen: jax.Array) -> jax.Array:
    """What V sums up, (V,) 1/s, of states (41, V)."""
    return jnp.minimum(jnp.maximum(size(seen) - SETTLED, 0.0), MOST_DANGER)
