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
"""(observation (22, V), hidden state (16, V)) -> (action (4, V), next hidden state)."""


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

    def at(self, time_s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Position (3, V) in m and velocity (3, V) in m/s, world, at `time_s` (V,)."""
        begun = jnp.clip(time_s / self.ramp, 0.0, 1.0)
        clock = time_s - self.ramp * jnp.where(begun < 1, begun - begun * begun / 2, 0.5)
        angle = self.rate * clock + self.phase
        start = self.amplitude * jnp.sin(self.phase)
        return self.amplitude * jnp.sin(angle) - start, self.amplitude * self.rate * begun * jnp.cos(angle)


class Loop(NamedTuple):
    """All that one vehicle's closed loop carries from one control period to the next.

    Attributes:
      state: physical state.
      hidden: (16, V) the policy's hidden state.
      action: (4, V) previous action.
      pending: (late, 4, V) actions that have not yet taken effect, newest first.
      velocity: (late, 3, V) measured velocity errors of the periods before, newest first.
      time: (V,) s since this vehicle was drawn.
      alive: (V,) bool; a vehicle that left the allowed box is frozen.
    """

    state: QuadrotorState
    hidden: jax.Array
    action: jax.Array
    pending: jax.Array
    velocity: jax.Array
    time: jax.Array
    alive: jax.Array


def measure(state: QuadrotorState, reference: Reference, time_s: jax.Array) -> jax.Array:
    """The first 18 numbers of the observation, without noise or latency: (18, V)."""
    position, velocity = reference.at(time_s)
    return jnp.concatenate(
        [
            state.position - position,
            rotation(state.quat_wxyz),
            state.velocity - velocity,
            state.angular_velocity,
        ]
    )


def start(state: QuadrotorState, action: jax.Array, hidden: jax.Array, reference: Reference, depth: Depth) -> Loop:
    """Begins the loop, as if the initial action had been given, and the velocity measured, for ever.

    Args:
      state: physical state.
      action: (4, V) previous action.
      hidden: (16, V).
      reference: trajectory.
      depth: largest latencies.
    """
    vehicles = action.shape[-1]
    time = jnp.zeros(vehicles)
    velocity = state.velocity - reference.at(time)[1]
    return Loop(
        state,
        hidden,
        action,
        jnp.broadcast_to(action, (depth.whole, 4, vehicles)),
        jnp.broadcast_to(velocity, (depth.velocity, 3, vehicles)),
        time,
        jnp.ones(vehicles, bool),
    )


def _late(newest: jax.Array, before: jax.Array, latency: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Picks the value of `latency` periods ago: (n, V), and what to remember: (late, n, V)."""
    if not before.shape[0]:
        return newest, before
    all_of_them = jnp.concatenate([newest[None], before])
    index = jnp.minimum(latency, before.shape[0])
    pick = index[None] == jnp.arange(before.shape[0] + 1)[:, None]
    return (all_of_them * pick[:, None].astype(newest.dtype)).sum(0), all_of_them[:-1]


@jax.custom_vjp
def fade(state: QuadrotorState, factor: jax.Array) -> QuadrotorState:
    """Identity whose gradient is multiplied by `factor`: the horizon of the analytic policy gradient."""
    return state


def _fade_forward(state: QuadrotorState, factor: jax.Array) -> tuple[QuadrotorState, jax.Array]:
    return state, factor


def _fade_backward(factor: jax.Array, gradient: QuadrotorState) -> tuple[QuadrotorState, None]:
    return jax.tree.map(lambda leaf: leaf * factor, gradient), None


fade.defvjp(_fade_forward, _fade_backward)


def advance(
    policy: PolicyStep,
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    loop: Loop,
    noise: jax.Array,
    box_m: float,
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
    Returns:
      The loop one period later. The previous action is never late: the policy knows it.
    """
    observation, velocity = observe(line, reference, loop, noise)
    action, hidden = policy(observation, loop.hidden)
    return move(vehicle, line, reference, loop._replace(hidden=hidden, velocity=velocity), action, box_m)


def observe(line: Line, reference: Reference, loop: Loop, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the policy sees: the observation (22, V), and the velocities to remember, as in `Loop`.

    The latency of the whole observation is not in it; `move` flies that.
    """
    now = measure(loop.state, reference, loop.time)
    late, velocity = _late(now[12:15], loop.velocity, line.velocity_latency)
    observed = jnp.concatenate([now[:12], late, now[15:]]) + line.noise * noise + line.bias
    return jnp.concatenate([observed, loop.action]), velocity


def move(vehicle: Quadrotor, line: Line, reference: Reference, loop: Loop, action: jax.Array, box_m: float) -> Loop:
    """Gives the action (4, V) to the line and lets one control period pass; see `advance`."""
    effective, pending = _late(action, loop.pending, line.latency)
    state = step(vehicle, loop.state, effective, NATIVE_PERIOD_S)
    time = loop.time + NATIVE_PERIOD_S
    position, _ = reference.at(time)
    alive = (
        loop.alive
        & (jnp.abs(state.position - position).max(0) < box_m)
        & (jnp.abs(state.velocity).max(0) < 30.0)
        & (jnp.abs(state.angular_velocity).max(0) < 80.0)
    )
    state = jax.tree.map(lambda new, old: jnp.where(alive, new, jax.lax.stop_gradient(old)), state, loop.state)
    return Loop(state, loop.hidden, action, pending, loop.velocity, time, alive)
