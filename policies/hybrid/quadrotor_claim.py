"""What is proved of the foundation policy in closed loop with a given quadrotor: errors contract in a ball.

All of the loop is in it: position, attitude, velocity and rates, four rotors, and the policy's nineteen hidden numbers,
35 in all; the previous action is a function of the hidden state. The plant is the one that the policy is trained on,
sampled as there, in real numbers. A rotor speeds up with one time constant and slows down with another: each of their
combinations is a case, and the same norm shall do for all of them.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.contract import INTEGRAL_FREE_M, INTEGRAL_NEAR_M, INTEGRAL_PERIODS, NATIVE_PERIOD_S, UNITS
from haltere.policies.foundation import evaluate
from haltere.policies.foundation.evaluate import at_rest
from haltere.policies.foundation.line import Depth, clean_line
from haltere.policies.foundation.rollout import Loop, advance, start
from haltere.policies.foundation.student import Weights, fresh, see, step
from haltere.policies.hybrid.curvature import Piece
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState, body_rates, rotation, runge_kutta

STATES = 35
SETTLING = 1500
"""Periods that are flown to find the equilibrium, and as many again, whose mean begins Newton's method."""


class Case(NamedTuple):
    """A smooth piece of the loop.

    Attributes:
      policy: float64.
      vehicle: one vehicle, float64.
      rate: (4, 1) of each rotor's lag, 1/s.
      open: (16, 1) bool; which of the policy's rectifiers let pass.
    """

    policy: Weights
    vehicle: Quadrotor
    rate: jax.Array
    open: jax.Array


def _unpacked(state: jax.Array) -> tuple[QuadrotorState, jax.Array]:
    position, tilt, velocity, rate, rotor, hidden = jnp.split(state[:, None], [3, 6, 9, 12, 16])
    upright = jnp.sqrt(1 - (tilt**2).sum(0, keepdims=True))
    return QuadrotorState(position, jnp.concatenate([upright, tilt]), velocity, rate, rotor), hidden


def _features(case: Case, state: jax.Array) -> jax.Array:
    """What the rectifiers see, (16, 1)."""
    policy, (body, hidden) = case.policy, _unpacked(state)
    units, integral = hidden[:UNITS], hidden[UNITS:]
    previous = policy.output_weight @ units + policy.output_bias[:, None]
    observed = [body.position, rotation(body.quat_wxyz), body.velocity, body.angular_velocity, previous]
    return policy.input_weight @ see(policy, jnp.concatenate(observed), integral) + policy.input_bias[:, None]


def _decided(case: Case, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Action (4, 1), and the next hidden state (19, 1)."""
    body, hidden = _unpacked(state)
    action, units = case.policy.recur(jnp.where(case.open, 1.0, 0.0) * _features(case, state), hidden[:UNITS])
    towards = jnp.tanh(body.position / INTEGRAL_NEAR_M) - hidden[UNITS:]
    return action, jnp.concatenate([units, hidden[UNITS:] + towards / INTEGRAL_PERIODS])


def after(case: Case, state: jax.Array) -> jax.Array:
    """One period, (35,) -> (35,): position, vector part of the attitude, velocity, rates, rotors, hidden state."""
    body, _ = _unpacked(state)
    action, hidden = _decided(case, state)
    setpoint = (action + 1) / 2

    def rate(now: QuadrotorState) -> QuadrotorState:
        return QuadrotorState(*body_rates(case.vehicle, now), (setpoint - now.rotor) * case.rate)

    moved = runge_kutta(rate, body, NATIVE_PERIOD_S)
    tilt = moved.quat_wxyz[1:] / jnp.sqrt((moved.quat_wxyz**2).sum(0))
    return jnp.concatenate([moved.position, tilt, moved.velocity, moved.angular_velocity, moved.rotor, hidden])[:, 0]


def guards(case: Case, state: jax.Array) -> jax.Array:
    """Positive where this is the piece in force: no rectifier turns, the integral is free, nothing is limited."""
    action, _ = _decided(case, state)
    turns = jnp.where(case.open, 1.0, -1.0) * _features(case, state)
    position, rotor = state[:3, None], state[12:16, None]
    near = [INTEGRAL_FREE_M - position, INTEGRAL_FREE_M + position]  # nearer than where what is seen is limited
    return jnp.concatenate([turns, *near, 1 - action, 1 + action, rotor, 1 - rotor])[:, 0]


PIECE = Piece(after, guards)


@jax.jit
def _settle(policy: Weights, vehicle: Quadrotor) -> jax.Array:
    """Flies on from a rest at the setpoint, (35,); the mean of the later half, as some go on in circles."""
    begin, still = at_rest(vehicle), evaluate.still(1)
    exact = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), begin)
    loop = start(exact.state, exact.action, fresh(policy, 1), still, Depth(0, 0))

    def period(loop: Loop, _: None) -> tuple[Loop, jax.Array]:
        quiet = jnp.zeros((18, 1))
        loop = advance(partial(step, policy), vehicle, clean_line(1), still, loop, quiet, evaluate.LOST_M)
        body = loop.state
        tilt = body.quat_wxyz[1:] * jnp.sign(body.quat_wxyz[:1])
        parts = [body.position, tilt, body.velocity, body.angular_velocity, body.rotor, loop.hidden]
        return loop, jnp.concatenate(parts)[:, 0]

    states: jax.Array = jax.lax.scan(period, loop, None, length=2 * SETTLING)[1]
    return states[SETTLING:].mean(0)


_SLOPE = jax.jit(jax.jacfwd(after, argnums=1))
_AFTER = jax.jit(after)


def cases_of(policy: Weights, vehicle: Quadrotor, steps: int = 20) -> tuple[list[Case], np.ndarray]:
    """The cases around the equilibrium of one vehicle, and the equilibrium (35,), by flight and Newton's method.

    Args:
      policy: its weights.
      vehicle: a batch of one.
      steps: of Newton's method.
    """
    policy, vehicle = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (policy, vehicle))
    case = Case(policy, vehicle, jnp.full((4, 1), 1 / vehicle.motor_rise[0]), jnp.ones((16, 1), bool))
    state = _settle(policy, vehicle)
    for _ in range(steps):
        case = case._replace(open=_features(case, state) > 0)
        state = state - jnp.linalg.solve(_SLOPE(case, state) - jnp.eye(STATES), _AFTER(case, state) - state)
    rates = sorted({1 / float(vehicle.motor_rise[0]), 1 / float(vehicle.motor_fall[0])})
    every = itertools.product(rates, repeat=4) if len(rates) > 1 else [rates * 4]
    return [case._replace(rate=jnp.asarray(one)[:, None]) for one in every], np.asarray(state)


def slope_of(case: Case, state: np.ndarray) -> np.ndarray:
    """The Jacobian (35, 35)."""
    return np.asarray(_SLOPE(case, jnp.asarray(state)))
