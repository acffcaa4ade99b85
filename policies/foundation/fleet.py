"""Vehicles in flight, as training sees them: each with its own condition, line and reference."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import HIDDEN_SIZE
from haltere.policies.foundation import evaluate
from haltere.policies.foundation.condition import Condition, as_built
from haltere.policies.foundation.line import Depth, Line, sample_line
from haltere.policies.foundation.population import Population, sample
from haltere.policies.foundation.rollout import Loop, Reference, start
from haltere.policies.foundation.student import Policy, fresh
from haltere.policies.plants.quadrotor import Quadrotor

BOX_M = 6.0
MOVING_SHARE = 0.6
BEGINNINGS = {"code": 0.36, "paper": 0.36, "thrown": 0.08, "rest": 0.2}
"""Shares of the flights by their initial states; see `evaluate.scatter` and, of `rest`, `evaluate.at_rest`."""


class Fleet(NamedTuple):
    """V vehicles in flight, each with its own condition, line and reference."""

    built: Quadrotor
    condition: Condition
    line: Line
    reference: Reference
    loop: Loop


def wandering(key: jax.Array, vehicles: int, acceleration_m_s2: float) -> Reference:
    """Draws references: some at rest, the others a sinusoid per axis with periods of 1.5 to 12 s."""
    k = jax.random.split(key, 5)
    rate = 2 * jnp.pi / jnp.exp(jax.random.uniform(k[0], (3, vehicles), minval=jnp.log(1.5), maxval=jnp.log(12.0)))
    share = jax.random.uniform(k[1], (3, vehicles)) * jnp.array([[1.0], [1.0], [0.4]])
    moving = jax.random.uniform(k[2], (vehicles,)) < MOVING_SHARE
    amplitude = jnp.minimum(acceleration_m_s2 * share / rate**2, 1.5) * moving
    phase = jax.random.uniform(k[3], (3, vehicles), maxval=2 * jnp.pi)
    return Reference(amplitude, rate, phase, jnp.ones(vehicles))


def launch(
    key: jax.Array,
    vehicles: int,
    population: Population,
    acceleration_m_s2: float,
    remember: Depth,
    hidden: int = HIDDEN_SIZE,
    again: tuple[jax.Array, Fleet] | None = None,
) -> Fleet:
    """Draws V vehicles at the start of their flight, with room for latencies up to `remember`.

    `again`: which of V others, (V,) bool, are not to be drawn, and begin another flight as they were built.
    """
    k = jax.random.split(key, 6)
    vehicle = sample(k[0], vehicles, population)
    line = sample_line(k[1], vehicles, population)
    if again is not None:
        which, fleet = again
        vehicle, line = jax.tree.map(
            lambda old, new: jnp.where(which, old, new), (fleet.built, fleet.line), (vehicle, line)
        )
    return take_off(k[2:5], vehicle, line, remember, acceleration_m_s2, hidden)


def take_off(
    keys: jax.Array,
    vehicle: Quadrotor,
    line: Line,
    remember: Depth,
    acceleration_m_s2: float,
    hidden: int = HIDDEN_SIZE,
) -> Fleet:
    """Puts given vehicles, as built, at the start of a flight; their hidden states are to be set by `switched_on`.

    Args:
      keys: three random keys.
      vehicle: V vehicles.
      line: of each.
      remember: largest latencies.
      acceleration_m_s2: largest acceleration of the references.
      hidden: size of the policy's hidden state.
    """
    vehicles = vehicle.mass.shape[0]
    reference = wandering(keys[0], vehicles, acceleration_m_s2)
    which = jax.random.choice(keys[2], len(BEGINNINGS), (vehicles,), p=jnp.array(list(BEGINNINGS.values())))
    initial = jax.tree.map(
        lambda *kinds: jnp.choose(which, kinds, mode="clip"),
        *(
            evaluate.at_rest(vehicle) if kind == "rest" else evaluate.scatter(keys[1], vehicle, kind)
            for kind in BEGINNINGS
        ),
    )
    loop = start(
        initial.state,
        initial.action,
        jnp.zeros((hidden, vehicles)),
        reference,
        remember,
    )
    return Fleet(vehicle, as_built(vehicles), line, reference, loop)


def switched_on(loop: Loop, policy: Policy) -> Loop:
    """Gives those that have not flown yet the policy's initial hidden state, which can so be learned."""
    return loop._replace(hidden=jnp.where(loop.time > 0, loop.hidden, fresh(policy, loop.time.shape[0])))


@partial(jax.jit, static_argnames="remember")
def grounded(vehicle: Quadrotor, line: Line, remember: Depth) -> Fleet:
    """V vehicles that count as lost, so that the next update begins all their flights; arguments as of `take_off`."""
    flying = jax.eval_shape(lambda: take_off(jax.random.split(jax.random.key(0), 3), vehicle, line, remember, 1.0))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), flying)
    fleet: Fleet = nothing._replace(built=vehicle, condition=as_built(vehicle.mass.shape[0]), line=line)
    return fleet
