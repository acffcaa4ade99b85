"""The closed loop: vehicle, line and policy over time, vectorised over vehicles, differentiable.

Training and evaluation run the same function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.foundation.population import Line
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
      seen: (late + 1, 18, V) latest measurements, newest first.
      time: (V,) s since this vehicle was drawn.
      alive: (V,) bool; a vehicle that left the allowed box is frozen.
    """

    state: QuadrotorState
    hidden: jax.Array
    action: jax.Array
    seen: jax.Array
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


def start(state: QuadrotorState, action: jax.Array, hidden: jax.Array, reference: Reference, depth: int) -> Loop:
    """Begins the loop: at first, all measurements are the present one.

    Args:
      state: physical state.
      action: (4, V) previous action.
      hidden: (16, V).
      reference: trajectory.
      depth: largest latency in control periods.
    """
    vehicles = action.shape[-1]
    time = jnp.zeros(vehicles)
    seen = jnp.broadcast_to(measure(state, reference, time), (depth + 1, 18, vehicles))
    return Loop(state, hidden, action, seen, time, jnp.ones(vehicles, bool))


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
      line: latency and noise of the observation.
      reference: trajectory to follow.
      loop: from `start` or the previous call.
      noise: (18, V) standard normal.
      box_m: position error, per axis, beyond which a vehicle is lost.
    Returns:
      The loop one period later. The previous action is never late: the policy knows it.
    """
    now = measure(loop.state, reference, loop.time) + line.noise[:, None] * noise
    seen = jnp.concatenate([now[None], loop.seen[:-1]])
    index = jnp.minimum(line.latency, seen.shape[0] - 1)
    pick = index[None] == jnp.arange(seen.shape[0])[:, None]
    observed = (seen * pick[:, None].astype(seen.dtype)).sum(0)
    action, hidden = policy(jnp.concatenate([observed, loop.action]), loop.hidden)
    state = step(vehicle, loop.state, action, NATIVE_PERIOD_S)
    time = loop.time + NATIVE_PERIOD_S
    position, _ = reference.at(time)
    alive = (
        loop.alive
        & (jnp.abs(state.position - position).max(0) < box_m)
        & (jnp.abs(state.velocity).max(0) < 30.0)
        & (jnp.abs(state.angular_velocity).max(0) < 80.0)
    )
    state = jax.tree.map(lambda new, old: jnp.where(alive, new, jax.lax.stop_gradient(old)), state, loop.state)
    return Loop(state, hidden, action, seen, time, alive)
