"""Flies the quadrotor's modes in closed loop with the policy, and keeps what V is learned from and judged by."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.foundation import student
from haltere.policies.foundation.evaluate import still
from haltere.policies.foundation.line import Line
from haltere.policies.foundation.population import Population
from haltere.policies.foundation.rollout import Loop, advance
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.quadrotor_mode import Flight
from haltere.policies.plants.quadrotor import Quadrotor

EVERY = 10
"""Control periods between two states that are kept."""
TICK_S = EVERY * NATIVE_PERIOD_S
HORIZON, LAST, WARM = 50, 10, 20
"""In ticks: a flight; its end, in which a vehicle must be back; the hover before a mode begins."""
BOX_M = 20.0


class Flown(NamedTuple):
    """T ticks of V vehicles.

    Attributes:
      seen: (T, 41, V) states at the beginning of each tick.
      danger: (T, V) that a tick adds to V.
      safe: (T, V) bool; not failed up to the beginning of the tick.
      back: (V,) bool; safe throughout, and back at the end.
      begun: (V,) bool; the vehicle had settled before, so that it counts.
    """

    seen: jax.Array
    danger: jax.Array
    safe: jax.Array
    back: jax.Array
    begun: jax.Array

    def to_come(self, lost: float) -> jax.Array:
        """Danger (T, V) that is still met after each tick's beginning, and `lost` where a vehicle does not return."""
        ahead = jnp.cumsum(self.danger[::-1], axis=0)[::-1]
        return ahead + jnp.where(self.back, 0.0, lost)


def _period(weights: student.Policy, vehicle: Quadrotor, line: Line, loop: Loop) -> Loop:
    vehicles = vehicle.mass.shape[0]
    decide = partial(student.step, weights)
    return advance(decide, vehicle, line, still(vehicles), loop, jnp.zeros((18, vehicles)), BOX_M)


def ahead(weights: student.Policy, vehicle: Quadrotor, line: Line, loop: Loop, periods: int) -> Loop:
    """The loop some control periods later."""
    return jax.lax.scan(lambda loop, _: (_period(weights, vehicle, line, loop), None), loop, None, length=periods)[0]


@partial(jax.jit, static_argnames=("vehicles", "population"))
def hovering(weights: student.Policy, key: jax.Array, vehicles: int, population: Population, line: Line) -> Flight:
    """V random vehicles in hover, with a policy that has come to know them."""
    flight = modes.at_rest(key, vehicles, population, weights)
    return flight._replace(loop=ahead(weights, flight.built, line, flight.loop, WARM * EVERY))


def fly(weights: student.Policy, flight: Flight, line: Line) -> tuple[Flown, Flight]:
    """Flies V vehicles over the horizon; returns what was seen, and where they are at the end."""
    vehicle = flight.vehicle()

    def period(carry: tuple[Loop, jax.Array, jax.Array], _: None) -> tuple[tuple[Loop, jax.Array, jax.Array], None]:
        loop, total, safe = carry
        seen = modes.see(loop)
        safe = safe & loop.alive & ((seen[:3] ** 2).sum(0) < modes.SAFE_M**2)
        total = total + jnp.where(safe, modes.danger(seen) * NATIVE_PERIOD_S, 0.0)
        return (_period(weights, vehicle, line, loop), total, safe), None

    def tick(carry: tuple[Loop, jax.Array], _: None) -> tuple[tuple[Loop, jax.Array], tuple[jax.Array, ...]]:
        loop, safe = carry
        begin = (loop, jnp.zeros(safe.shape), safe)
        (after, total, still_safe), _ = jax.lax.scan(period, begin, None, length=EVERY)
        seen = modes.see(loop)
        return (after, still_safe), (seen, total, safe, modes.back(seen))

    everyone = jnp.ones(vehicle.mass.shape[0], bool)
    (loop, safe), (seen, total, safes, back) = jax.lax.scan(tick, (flight.loop, everyone), None, length=HORIZON)
    flown = Flown(seen, total, safes, safe & back[-LAST:].all(0), everyone)
    return flown, flight._replace(loop=loop)


@jax.jit
def flown_from(
    weights: student.Policy, key: jax.Array, flight: Flight, mode: jax.Array, reach: jax.Array, line: Line
) -> tuple[Flown, Flight]:
    """Begins modes (V,) in flight, and flies on; `reach` as of `switch`."""
    flown, end = fly(weights, modes.switch(key, mode, reach, flight, weights), line)
    return flown._replace(begun=modes.settled(flight.loop)), end
