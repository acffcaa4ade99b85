"""What changes about a vehicle in flight: payload, propellers, battery, wind.

A change never adds up: it is drawn anew and applied to the vehicle as it was built, so that a long flight
does not wander out of the population.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.foundation.population import Population
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor

LEAST_THRUST_TO_WEIGHT = 1.25
"""With less a vehicle has little left to hold its height and its attitude at once; benches stay above it."""


class Condition(NamedTuple):
    """How V vehicles differ from how they were built.

    Attributes:
      payload: (V,) mass as a multiple of the built one.
      efficiency: (4, V) thrust of each rotor as a share of the built one.
      charge: (V,) thrust of all rotors as a share of that with a full battery.
      gust: (3, V) N, force beside the built-in one, world.
    """

    payload: jax.Array
    efficiency: jax.Array
    charge: jax.Array
    gust: jax.Array


def as_built(vehicles: int) -> Condition:
    """V vehicles to which nothing has happened."""
    ones = jnp.ones(vehicles)
    return Condition(ones, jnp.ones((4, vehicles)), ones, jnp.zeros((3, vehicles)))


def apply(vehicle: Quadrotor, condition: Condition) -> Quadrotor:
    """The vehicle in its present condition. A payload sits in the centre of mass and adds no inertia."""
    return vehicle._replace(
        mass=vehicle.mass * condition.payload,
        thrust_curve=vehicle.thrust_curve * condition.efficiency * condition.charge,
        force=vehicle.force + condition.gust,
    )


def thrust_to_weight(vehicle: Quadrotor) -> jax.Array:
    """Thrust at which all rotors are equal, so that no torque is left, over the weight: (V,).

    With rotors of unequal strength, the weakest sets it.
    """
    weakest = vehicle.thrust_curve.sum(0).min(0)
    return 4 * weakest / (vehicle.mass * GRAVITY_M_S2)


def change(
    key: jax.Array, vehicle: Quadrotor, condition: Condition, population: Population, duration_s: float
) -> Condition:
    """Lets time pass: the battery sags, and to some vehicles something happens.

    Args:
      key: random key.
      vehicle: as built.
      condition: present.
      population: how often, and how much.
      duration_s: time that passes, s.
    Returns:
      The condition afterwards.
    """
    count = vehicle.mass.shape[0]
    k = jax.random.split(key, 7)
    happens = jax.random.uniform(k[0], (count,)) < 1 - jnp.exp(-population.changes_per_s * duration_s)
    kind = jnp.where(happens, jax.random.randint(k[1], (count,), 0, 3), 3)

    sag = jax.random.uniform(k[2], (count,), maxval=2 * population.sag_per_s) * duration_s
    charge = jnp.maximum(condition.charge - sag, population.least_charge)

    spread = population.payload_spread
    payload = jax.random.uniform(k[3], (count,), minval=1 - spread, maxval=1 + spread)
    payload = jnp.where(kind == 0, payload, condition.payload)

    broken = jax.nn.one_hot(jax.random.randint(k[4], (count,), 0, 4), 4, axis=0, dtype=bool)
    left = jax.random.uniform(k[5], (count,), minval=population.worn_efficiency)
    efficiency = jnp.where((kind == 1) & broken, left, jnp.where(kind == 1, 1.0, condition.efficiency))

    strength = population.gust_spread * jnp.maximum(thrust_to_weight(vehicle) - 1, 0) * vehicle.mass * GRAVITY_M_S2
    gust = jnp.where(kind == 2, strength * jax.random.normal(k[6], (3, count)), condition.gust)

    least = population.least_thrust_to_weight
    # What would leave too little thrust is made milder: first the payload, then the propellers and the battery.
    spare = thrust_to_weight(apply(vehicle, Condition(jnp.ones(count), efficiency, charge, gust)))
    payload = jnp.minimum(payload, jnp.maximum(spare / least, 1.0))
    weak = thrust_to_weight(apply(vehicle, Condition(payload, efficiency, charge, gust))) < least
    return Condition(
        payload,
        jnp.where(weak, 1.0, efficiency),
        jnp.where(weak, 1.0, charge),
        gust,
    )
