"""Judges a policy over many vehicles at once: hover, figure-eights, late and noisy observations.

Every policy that fits `PolicyWith` is judged by the same compiled functions, on the same vehicles, from the
same initial states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.contract import NATIVE_RATE_HZ
from haltere.policies.foundation.line import Depth, Line
from haltere.policies.foundation.rollout import Loop, Reference, advance, start
from haltere.policies.foundation.student import fresh
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState

NOISE = (0.01, 0.0, 0.05, 0.05)
"""The noise of the robustness bench: position m, rotation, velocity m/s, angular velocity rad/s."""


class Initial(NamedTuple):
    """Initial physical state and previous action of V vehicles."""

    state: QuadrotorState
    action: jax.Array


class Trace(NamedTuple):
    """What a roll-out left, T control periods of V vehicles.

    Attributes:
      error: (T, V) m, distance to the reference.
      speed: (T, V) m/s, relative to the reference.
      vertical_speed: (T, V) m/s, relative to the reference.
      action_step: (T, V) root mean square over the motors of the change of the (clipped) action.
      alive: (V,) the vehicle never left the box.
      hidden: (T / CHUNK, 19, V) hidden state at the end of each chunk.
    """

    error: np.ndarray
    speed: np.ndarray
    vertical_speed: np.ndarray
    action_step: np.ndarray
    alive: np.ndarray
    hidden: np.ndarray


@partial(jax.jit, static_argnames="kind")
def scatter(key: jax.Array, vehicle: Quadrotor, kind: str = "code") -> Initial:
    """Draws initial states.

    Args:
      key: random key.
      vehicle: V vehicles.
      kind: `paper` (position within ten arm lengths, angle to 90 degrees), `code` (position within 0.5 m, angle
        to 1 rad) or `thrown` (as `code`, but angle to 120 degrees), all about random axes; velocities within
        1 m/s and 1 rad/s, thrown ones 4 m/s and 4 rad/s; one in ten starts at the target. Rotors at 0 to 0.5 of
        full speed.
    Source: Eschmann et al. 2025, and the released distillation; `thrown` is ours.
    """
    count = vehicle.mass.shape[0]
    k = jax.random.split(key, 7)
    arm = jnp.hypot(vehicle.rotor_x[0], vehicle.rotor_y[0])
    reach = 10 * arm if kind == "paper" else jnp.full(count, 0.5, jnp.float32)
    largest = {"paper": jnp.pi / 2, "code": 1.0, "thrown": 2 * jnp.pi / 3}[kind]
    fastest = 4.0 if kind == "thrown" else 1.0
    axis = jax.random.normal(k[0], (3, count))
    axis = axis / jnp.linalg.norm(axis, axis=0)
    half = jax.random.uniform(k[1], (count,), maxval=largest) / 2
    away = (jax.random.uniform(k[2], (count,)) >= 0.1).astype(jnp.float32)

    def signed(sub: jax.Array) -> jax.Array:
        return jax.random.uniform(sub, (3, count), minval=-1, maxval=1) * away

    half = half * away
    rotor = jax.random.uniform(k[6], (4, count), maxval=0.5)
    state = QuadrotorState(
        position=signed(k[3]) * reach,
        quat_wxyz=jnp.concatenate([jnp.cos(half)[None], axis * jnp.sin(half)]),
        velocity=signed(k[4]) * fastest,
        angular_velocity=signed(k[5]) * fastest,
        rotor=rotor,
    )
    return Initial(state, 2 * rotor - 1)


def at_rest(vehicle: Quadrotor) -> Initial:
    """Starts on the reference, level, each rotor at the speed at which it carries a quarter of the weight."""
    count = vehicle.mass.shape[0]
    c0, c1, c2 = vehicle.thrust_curve
    need = vehicle.mass * 9.81 / 4 - c0
    safe = jnp.where(jnp.abs(c2) < 1e-9, 1.0, c2)
    root = jnp.where(jnp.abs(c2) < 1e-9, need / c1, (-c1 + jnp.sqrt(c1**2 + 4 * safe * need)) / (2 * safe))
    rotor = jnp.where(jnp.isfinite(root), jnp.clip(root, 0.0, 1.0), 1.0)
    zero = jnp.zeros((3, count))
    state = QuadrotorState(zero, jnp.zeros((4, count)).at[0].set(1.0), zero, zero, rotor)
    return Initial(state, 2 * rotor - 1)


def still(vehicles: int) -> Reference:
    """Hover at the origin."""
    zero = jnp.zeros((3, vehicles))
    return Reference(zero, zero, zero, jnp.ones(vehicles))


def figure_eight(vehicles: int, period_s: float, amplitude_m: float = 1.0) -> Reference:
    """x = A sin(phi), y = A/2 sin(2 phi), with a start-up ramp of 1 s."""
    rate = 2 * jnp.pi / period_s
    ones = jnp.ones((1, vehicles))
    zero = jnp.zeros((3, vehicles))
    return Reference(
        amplitude=jnp.concatenate([amplitude_m * ones, amplitude_m / 2 * ones, 0 * ones]),
        rate=jnp.concatenate([rate * ones, 2 * rate * ones, 0 * ones]),
        phase=zero,
        ramp=jnp.ones(vehicles),
    )


PolicyWith = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(weights, observation (22, V), hidden state (19, V)) -> (action (4, V), next hidden state)."""

DEPTH = Depth(whole=4, velocity=3)
LOST_M = 20.0
"""Error per axis, in m, beyond which a vehicle is lost."""
CHUNK = 50
"""Control periods that are compiled as one program; longer flights call it again."""


def watch(before: Loop, after: Loop) -> tuple[jax.Array, ...]:
    """The row of a `Trace` that one control period leaves: error, speed, vertical speed, action step."""
    error = jnp.linalg.norm(after.state.position - after.target.position, axis=0)
    relative = after.state.velocity - after.target.velocity
    change = jnp.clip(after.action, -1, 1) - jnp.clip(before.action, -1, 1)
    action_step = jnp.sqrt((change**2).mean(0))
    return error, jnp.linalg.norm(relative, axis=0), relative[2], action_step


@partial(jax.jit, static_argnames=("policy",))
def _chunk(
    policy: PolicyWith,
    parameters: Any,
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    loop: Loop,
    key: jax.Array,
    first: int,
) -> tuple[Loop, tuple[jax.Array, ...]]:
    def decide(observation: jax.Array, hidden: jax.Array) -> tuple[jax.Array, jax.Array]:
        return policy(parameters, observation, hidden)

    def tick(loop: Loop, index: jax.Array) -> tuple[Loop, tuple[jax.Array, ...]]:
        noise = jax.random.normal(jax.random.fold_in(key, index), (18, vehicle.mass.shape[0]))
        after = advance(decide, vehicle, line, reference, loop, noise, LOST_M)
        return after, watch(loop, after)

    return jax.lax.scan(tick, loop, first + jnp.arange(CHUNK))


def roll_out(
    policy: PolicyWith,
    parameters: Any,
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    initial: Initial,
    key: jax.Array,
    steps: int,
    changes: Mapping[int, Quadrotor] = MappingProxyType({}),
) -> Trace:
    """Flies V vehicles for `steps` control periods.

    Args:
      policy: function (parameters, observation, hidden state) -> (action, hidden state).
      parameters: the policy's weights, a pytree with an `initial_hidden_state`.
      vehicle: V vehicles.
      line: latencies (of the whole at most 4 periods, of the velocity 3 more), noise, bias.
      reference: trajectory.
      initial: initial states.
      key: random key of the noise.
      steps: control periods of 10 ms, a multiple of `CHUNK`.
      changes: what the vehicles become in flight, by the step at which they do, a multiple of `CHUNK`.
    """
    for step in (steps, *changes):
        if step % CHUNK:
            raise ValueError(f"{step} steps: expected a multiple of {CHUNK}")
    hidden_state = fresh(parameters, vehicle.mass.shape[0])
    loop = start(initial.state, initial.action, hidden_state, reference, DEPTH)
    rows, hidden = [], []
    for first in range(0, steps, CHUNK):
        vehicle = changes.get(first, vehicle)
        loop, row = _chunk(policy, parameters, vehicle, line, reference, loop, key, first)
        rows.append(row)
        hidden.append(loop.hidden)
    error, speed, vertical_speed, action_step = map(np.concatenate, zip(*rows, strict=True))
    return Trace(error, speed, vertical_speed, action_step, np.asarray(loop.alive), np.stack(hidden))


class Hover(NamedTuple):
    """Scores of a hover, each an array over vehicles unless said otherwise.

    Attributes:
      stable: mean distance over the last second below 0.5 m.
      stabilised: all of the last second within 0.5 m and 0.5 m/s.
      error_m: mean distance over the last second.
      settle_s: time after which the distance stays below 0.2 m.
      action_step: root mean square change of the action over the last second.
      vertical_rms_m_s: root mean square vertical speed over the last second.
    """

    stable: np.ndarray
    stabilised: np.ndarray
    error_m: np.ndarray
    settle_s: np.ndarray
    action_step: np.ndarray
    vertical_rms_m_s: np.ndarray


def settled_s(error: np.ndarray, within_m: float = 0.2) -> np.ndarray:
    """Time in s after which each error (T, V) stays below `within_m`; infinite where it does not: (V,)."""
    outside = error >= within_m
    time = (error.shape[0] - np.argmax(outside[::-1], axis=0)) * outside.any(0) / NATIVE_RATE_HZ
    return np.where(outside[-1], np.inf, time)


def hover_scores(trace: Trace) -> Hover:
    """Summarises a hover."""
    last = int(NATIVE_RATE_HZ)
    error, speed, alive = trace.error, trace.speed, trace.alive
    stable = alive & (error[-last:].mean(0) < 0.5)
    stabilised = alive & (error[-last:] < 0.5).all(0) & (speed[-last:] < 0.5).all(0)
    return Hover(
        stable,
        stabilised,
        error[-last:].mean(0),
        settled_s(error),
        np.sqrt((trace.action_step[-last:] ** 2).mean(0)),
        np.sqrt((trace.vertical_speed[-last:] ** 2).mean(0)),
    )


def tracking_rmse_m(trace: Trace, after_s: float = 1.0) -> np.ndarray:
    """Root mean square distance to the reference per vehicle, after the ramp; infinite where lost."""
    error = trace.error[int(after_s * NATIVE_RATE_HZ) :]
    rmse = np.sqrt((error**2).mean(0))
    return np.where(trace.alive, rmse, np.inf)
