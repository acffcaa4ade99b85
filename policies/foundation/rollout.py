"""The closed loop: vehicle, line and policy over time, vectorised over vehicles, differentiable.

Training and evaluation run the same function. A latency of the whole observation is flown as a delay of the
action: seen from inside the loop both are the same (the policy answers o(t) with an action that takes effect
at t + k), and a delayed action is four numbers to remember instead of eighteen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.foundation.line import Depth, Line
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState, rotation, step

PolicyStep = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(observation (22, V), hidden state (19, V)) -> (action (4, V), next hidden state)."""

PlantStep = Callable[[Quadrotor, QuadrotorState, jax.Array, float], QuadrotorState]
"""(vehicle, state, action (4, V), period, s) -> next state: `step`, or `short_step`, which training flies."""


class Reference(NamedTuple):
    """A trajectory per vehicle: a sinusoid on each axis, at rest where the amplitude is zero.

    The clock runs up smoothly over `ramp` seconds, so that a vehicle can start at rest.

    Attributes:
      amplitude: (3, V) m.
      rate: (3, V) rad/s.
      phase: (3, V) rad.
      ramp: (V,) s.
    """

    amplitude: jax.Array
    rate: jax.Array
    phase: jax.Array
    ramp: jax.Array

    def at(self, time_s: jax.Array) -> Target:
        """The target at `time_s` (V,)."""
        begun = jnp.clip(time_s / self.ramp, 0.0, 1.0)
        clock = time_s - self.ramp * jnp.where(begun < 1, begun - begun * begun / 2, 0.5)
        angle = self.rate * clock + self.phase
        start = self.amplitude * jnp.sin(self.phase)
        return Target(self.amplitude * jnp.sin(angle) - start, self.amplitude * self.rate * begun * jnp.cos(angle))


class Target(NamedTuple):
    """Where the trajectory is now.

    Attributes:
      position: (3, V) m.
      velocity: (3, V) m/s, world.
    """

    position: jax.Array
    velocity: jax.Array


class Loop(NamedTuple):
    """All that one vehicle's closed loop carries from one control period to the next.

    Attributes:
      state: physical state.
      target: where the vehicle should be.
      hidden: (19, V) the policy's hidden state.
      action: (4, V) previous action.
      pending: actions (4, V) that have not yet taken effect, newest first.
      velocity: measured velocity errors (3, V) of the periods before, newest first.
      time: (V,) s since this vehicle was drawn.
      alive: (V,) bool; a vehicle that left the allowed box is frozen.
    """

    state: QuadrotorState
    target: Target
    hidden: jax.Array
    action: jax.Array
    pending: tuple[jax.Array, ...]
    velocity: tuple[jax.Array, ...]
    time: jax.Array
    alive: jax.Array


def measure(state: QuadrotorState, target: Target, late_velocity: jax.Array | None = None) -> jax.Array:
    """The first 18 numbers of the observation, without noise: (18, V).

    Args:
      state: physical state.
      target: where the vehicle should be.
      late_velocity: (3, V) m/s, velocity error as it was measured; default that of now.
    """
    velocity = state.velocity - target.velocity if late_velocity is None else late_velocity
    return jnp.concatenate(
        [state.position - target.position, rotation(state.quat_wxyz), velocity, state.angular_velocity]
    )


def start(state: QuadrotorState, action: jax.Array, hidden: jax.Array, reference: Reference, depth: Depth) -> Loop:
    """Begins the loop, as if the initial action had been given, and the velocity measured, for ever.

    Args:
      state: physical state.
      action: (4, V) previous action.
      hidden: (19, V).
      reference: trajectory.
      depth: largest latencies.
    """
    vehicles = action.shape[-1]
    time = jnp.zeros(vehicles)
    target = reference.at(time)
    velocity = state.velocity - target.velocity
    return Loop(
        state,
        target,
        hidden,
        action,
        (action,) * depth.whole,
        (velocity,) * depth.velocity,
        time,
        jnp.ones(vehicles, bool),
    )


def _late(
    newest: jax.Array, before: tuple[jax.Array, ...], latency: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Picks the value of `latency` periods ago, the oldest at most: (n, V), and what to remember."""
    picked = newest
    for periods, value in enumerate(before):
        picked = jnp.where(latency > periods, value, picked)
    return picked, (newest, *before)[: len(before)]


@jax.custom_vjp
def fade(state: QuadrotorState, factor: jax.Array, limit: jax.Array) -> QuadrotorState:
    """Identity that multiplies the gradient by `factor`: the horizon of the analytic policy gradient.

    Before that each vehicle's gradient is shortened to the norm `limit` (of cost by SI units), so that no vehicle that
    is about to crash outweighs the others; one that is not finite is dropped.
    """
    return state


def _fade_forward(
    state: QuadrotorState, factor: jax.Array, limit: jax.Array
) -> tuple[QuadrotorState, tuple[jax.Array, jax.Array]]:
    return state, (factor, limit)


def _fade_backward(scale: tuple[jax.Array, jax.Array], gradient: QuadrotorState) -> tuple[QuadrotorState, None, None]:
    factor, limit = scale
    norm = jnp.sqrt(sum((leaf**2).sum(0) for leaf in jax.tree.leaves(gradient)))
    factor = factor * jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-30))
    kept = jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(norm), leaf * factor, 0.0), gradient)
    return kept, None, None


fade.defvjp(_fade_forward, _fade_backward)


def advance(
    policy: PolicyStep,
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    loop: Loop,
    noise: jax.Array,
    box_m: float,
    plant: PlantStep = step,
) -> Loop:
    """One control period: observe, decide, move.

    Args:
      policy: the policy's step.
      vehicle: parameters.
      line: latencies, noise and bias of the observation.
      reference: trajectory to follow.
      loop: from `start` or the previous call.
      noise: (18, V) standard normal.
      box_m: position error, per axis, beyond which a vehicle is lost.
      plant: the physics.
    Returns:
      The loop one period later. The previous action is never late: the policy knows it.
    """
    observation, velocity = observe(line, loop, noise)
    action, hidden = policy(observation, loop.hidden)
    return move(vehicle, line, reference, loop._replace(hidden=hidden, velocity=velocity), action, box_m, plant)


def observe(line: Line, loop: Loop, noise: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """What the policy sees: the observation (22, V), and the velocities to remember, as in `Loop`.

    The latency of the whole observation is not in it; `move` flies that.
    """
    late, velocity = _late(loop.state.velocity - loop.target.velocity, loop.velocity, line.velocity_latency)
    observed = measure(loop.state, loop.target, late) + line.noise * noise + line.bias
    return jnp.concatenate([observed, loop.action]), velocity


def move(
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    loop: Loop,
    action: jax.Array,
    box_m: float,
    plant: PlantStep = step,
) -> Loop:
    """Gives the action (4, V) to the line and lets one control period pass; see `advance`."""
    effective, pending = _late(action, loop.pending, line.latency)
    state = plant(vehicle, loop.state, effective, NATIVE_PERIOD_S)
    time = loop.time + NATIVE_PERIOD_S
    target = reference.at(time)
    alive = (
        loop.alive
        & (jnp.abs(state.position - target.position).max(0) < box_m)
        & (jnp.abs(state.velocity).max(0) < 30.0)
        & (jnp.abs(state.angular_velocity).max(0) < 80.0)
    )
    state = jax.tree.map(lambda new, old: jnp.where(alive, new, jax.lax.stop_gradient(old)), state, loop.state)
    return Loop(state, target, loop.hidden, action, pending, loop.velocity, time, alive)
