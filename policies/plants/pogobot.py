"""Differentiable pogobot: a point mass on a massless springy leg, from one apex to the next.

Pure functions; every array has the robot axis last, `(feature, V)`. The state, in a frame whose floor is at y = 0:

  x, x_dot  m, m/s, along the corridor
  y, y_dot  m, m/s, up
  foot      m, x of the foot

The input is given once per hop: the angle (rad) at which the leg is held in the air, forward positive, and the force
(N) along the leg, in addition to the spring's, while the spring is compressed further: a positive one takes energy, a
negative one gives it. The foot in flight is at (x + sin angle, y - cos angle); it lands when that is on the floor. Leg
1 m, mass 80 kg, spring 32 kN/m.

`tick` and `hop` are the published simulator, step for step. `apex_map` is the same hop with events at their true time
and a better integrator: cheaper, and its gradient is that of the hop.

Source: Meng & Fan 2023, sec. 5.2, and its published simulator.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.plants.hybrid import Range

STATE_SIZE = 5
INPUT_SIZE = 2
MODES: tuple[str, ...] = ("falling", "compression", "extension", "rising")
RANGES: tuple[Range, ...] = (Range("speed_m_s", -2.0, 2.0), Range("height_m", 1.5, 4.0))
FALLING, COMPRESSION, EXTENSION, RISING = range(4)
APEX, LOST = 4, 5
"""Where a hop ends: at the next apex, or with the mass below the floor."""

GRAVITY_M_S2 = 10.0
LEG_M = 1.0
MASS_KG = 80.0
SPRING_N_M = 32000.0
FLIGHT_PERIOD_S = 1e-3
STANCE_PERIOD_S = 1e-4
TICKS = 3000
"""Largest number of steps of a hop."""


class Apex(NamedTuple):
    """Configuration: the apex to reach.

    Attributes:
      speed: (V,) m/s.
      height: (V,) m above the floor.
      floor: (V,) m, world.
    """

    speed: jax.Array
    height: jax.Array
    floor: jax.Array


class Hop(NamedTuple):
    """How a hop ended.

    Attributes:
      state: (5, V) at the next apex.
      mode: (V,) `APEX`, or `LOST`, or the mode in which the time was up.
      lowest: (V,) m, least height on the way.
    """

    state: jax.Array
    mode: jax.Array
    lowest: jax.Array


def configure(numbers: jax.Array) -> Apex:
    """Apexes above a floor at zero, from their speed and height (2, V)."""
    speed, height = numbers
    return Apex(speed, height, jnp.zeros_like(speed))


def _flight(state: jax.Array) -> jax.Array:
    _, x_dot, _, y_dot, _ = state
    return jnp.stack([x_dot, jnp.zeros_like(x_dot), y_dot, jnp.full_like(x_dot, -GRAVITY_M_S2), x_dot])


def stance(state: jax.Array, force: jax.Array) -> jax.Array:
    """Time derivative (5, V) on the ground, with `force` (V,)."""
    x, x_dot, y, y_dot, foot = state
    leg = jnp.sqrt((x - foot) ** 2 + y * y)
    push = (force + SPRING_N_M * (LEG_M - leg)) / (MASS_KG * leg)
    return jnp.stack([x_dot, (x - foot) * push, y_dot, y * push - GRAVITY_M_S2, jnp.zeros_like(x)])


def flow(mode: int, state: jax.Array, action: jax.Array, apex: Apex) -> jax.Array:
    """Time derivative (5, V) in the mode; `action` (2, V)."""
    if mode in (FALLING, RISING):
        return _flight(state)
    return stance(state, action[1] if mode == COMPRESSION else jnp.zeros_like(action[1]))


def guard(mode: int, state: jax.Array, action: jax.Array, apex: Apex, time_s: jax.Array) -> jax.Array:
    """Landing (m), lowest point (m/s), lift-off (m) or apex (m/s): (V,), negative before."""
    return _guards(state, action)[mode]


def _guards(state: jax.Array, action: jax.Array) -> jax.Array:
    x, _, y, y_dot, foot = state
    leg = jnp.sqrt((x - foot) ** 2 + y * y)
    return jnp.stack([LEG_M * jnp.cos(action[0]) - y, y_dot, leg - LEG_M, -y_dot])


def reset(mode: int, state: jax.Array, action: jax.Array, apex: Apex, following: Apex) -> jax.Array:
    """At landing and lift-off the leg has the held angle; at the apex, heights become those above the next floor."""
    x, x_dot, y, y_dot, foot = state
    if mode in (FALLING, EXTENSION):
        foot = x + LEG_M * jnp.sin(action[0])
    if mode == RISING:
        y = y + apex.floor - following.floor
    return jnp.stack([x, x_dot, y, y_dot, foot])


def tick(mode: jax.Array, state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step of the published simulator: Euler's method, 1 ms in the air and 0.1 ms on the ground.

    Args:
      mode: (V,) int; robots whose hop is over stay where they are.
      state: (5, V).
      action: (2, V).
    Returns:
      The next mode and state. A mode ends with the first step that is past its guard.
    """
    air = (mode == FALLING) | (mode == RISING)
    ground = (mode == COMPRESSION) | (mode == EXTENSION)
    force = jnp.where(mode == COMPRESSION, action[1], 0.0)
    flown = state + FLIGHT_PERIOD_S * _flight(state)
    flown = flown.at[4].set(flown[0] + LEG_M * jnp.sin(action[0]))
    stood = state + STANCE_PERIOD_S * stance(state, force)
    after = jnp.where(air, flown, jnp.where(ground, stood, state))
    guards = _guards(after, action)
    over = jnp.take_along_axis(guards, jnp.minimum(mode, RISING)[None], axis=0)[0] >= 0
    following = jnp.where((mode < APEX) & over, mode + 1, mode)
    return jnp.where(ground & (after[2] < 0), LOST, following), after


def hop(state: jax.Array, action: jax.Array, ticks: int = TICKS) -> Hop:
    """One hop of the published simulator, from an apex (5, V); no reverse-mode gradient (see `apex_map`)."""

    def going(carry: tuple[jax.Array, Hop]) -> jax.Array:
        return (carry[0] < ticks) & (carry[1].mode < APEX).any()

    def one(carry: tuple[jax.Array, Hop]) -> tuple[jax.Array, Hop]:
        count, before = carry
        mode, after = tick(before.mode, before.state, action)
        return count + 1, Hop(after, mode, jnp.minimum(before.lowest, after[2]))

    begin = Hop(state, jnp.full(state.shape[-1], FALLING), state[2])
    return jax.lax.while_loop(going, one, (jnp.zeros((), jnp.int32), begin))[1]


def apex_map(state: jax.Array, action: jax.Array, period_s: float = 1e-3, longest_s: float = 0.3) -> Hop:
    """One hop, differentiable: parabolas in the air, Runge-Kutta on the ground, events where the guard is zero.

    Args:
      state: (5, V) at an apex.
      action: (2, V).
      period_s: step on the ground.
      longest_s: for which the foot may be on the ground.
    """
    x, x_dot, y, y_dot, _ = state
    drop = jnp.maximum(y - LEG_M * jnp.cos(action[0]), 0.0)
    fall = (y_dot + _root(y_dot**2 + 2 * GRAVITY_M_S2 * drop)) / GRAVITY_M_S2
    x = x + x_dot * fall
    landed = jnp.stack([x, x_dot, y - drop, y_dot - GRAVITY_M_S2 * fall, x + LEG_M * jnp.sin(action[0])])
    begin = Hop(landed, jnp.full(x.shape, COMPRESSION), landed[2])

    def one(before: Hop, _: None) -> tuple[Hop, None]:
        return _stand(before, action, period_s), None

    left, _ = jax.lax.scan(one, begin, None, length=round(longest_s / period_s))
    x, x_dot, y, y_dot, _ = left.state
    rise = jnp.maximum(y_dot, 0.0) / GRAVITY_M_S2
    x = x + x_dot * rise
    foot = x + LEG_M * jnp.sin(action[0])
    top = jnp.stack([x, x_dot, y + y_dot * rise / 2, y_dot - GRAVITY_M_S2 * rise, foot])
    up = left.mode == RISING
    return Hop(jnp.where(up, top, left.state), jnp.where(up, APEX, left.mode), left.lowest)


def _root(square: jax.Array) -> jax.Array:
    """Square root, zero with a finite slope where there is none."""
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def ride(state: jax.Array, force: jax.Array, span: jax.Array) -> jax.Array:
    """State (5, V) on the ground after a step of Runge and Kutta of `span` (V,) s, with `force` (V,)."""
    k1 = stance(state, force)
    k2 = stance(state + span / 2 * k1, force)
    k3 = stance(state + span / 2 * k2, force)
    k4 = stance(state + span * k3, force)
    return state + span / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _stand(before: Hop, action: jax.Array, period_s: float) -> Hop:
    """One step on the ground, shortened to where the guard is zero."""
    force = jnp.where(before.mode == COMPRESSION, action[1], 0.0)
    start = _leg_guard(before.mode, before.state)

    def advance(span: jax.Array) -> jax.Array:
        return ride(before.state, force, span)

    full = jnp.full_like(start, period_s)
    end = _leg_guard(before.mode, advance(full))
    over = (before.mode < RISING) & (end >= 0)
    span = jnp.where(over, jnp.clip(start / jnp.where(over, start - end, 1.0), 0.0, 1.0) * period_s, full)
    after = advance(span)
    on = before.mode < RISING
    mode = jnp.where(on & (after[2] < 0), LOST, jnp.where(over, before.mode + 1, before.mode))
    state = jnp.where(on, after, before.state)
    return Hop(state, mode, jnp.minimum(before.lowest, state[2]))


def _leg_guard(mode: jax.Array, state: jax.Array) -> jax.Array:
    x, _, y, y_dot, foot = state
    return jnp.where(mode == COMPRESSION, y_dot, jnp.sqrt((x - foot) ** 2 + y * y) - LEG_M)
