"""Differentiable quadrotor: a rigid body with rotor lag, vectorised over vehicles.

Pure functions on two pytrees, `Quadrotor` (parameters) and `QuadrotorState`. Every array has the vehicle
axis last, `(feature, vehicle)`, which keeps a batch contiguous; a single vehicle is a batch of one.

Frames: world z up, body FLU, quaternion wxyz body to world. SI units. Rotor order: front-right,
back-right, back-left, front-left.

Source: Eschmann et al. 2025 (RAPTOR) and the L2F simulator: same equations where both have a term.
Disturbance torque and linear drag are additions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY_M_S2 = 9.81
ROTOR_DIRECTION = (-1.0, 1.0, -1.0, 1.0)
"""Sign of each rotor's reaction torque about body z."""


class Quadrotor(NamedTuple):
    """Parameters of V vehicles.

    Attributes:
      mass: (V,) kg.
      inertia: (3, V) kg m^2, principal moments, body axes.
      rotor_x: (4, V) m, forward.
      rotor_y: (4, V) m, left.
      thrust_curve: (3, 4, V) N; rotor thrust is c0 + c1 w + c2 w^2, w in [0, 1].
      torque_constant: (V,) m; reaction torque per thrust.
      motor_rise: (V,) s, time constant while speeding up.
      motor_fall: (V,) s, time constant while slowing down.
      drag: (V,) N per m/s, isotropic, against the velocity.
      force: (3, V) N, constant disturbance, world.
      torque: (3, V) N m, constant disturbance, body.
    """

    mass: jax.Array
    inertia: jax.Array
    rotor_x: jax.Array
    rotor_y: jax.Array
    thrust_curve: jax.Array
    torque_constant: jax.Array
    motor_rise: jax.Array
    motor_fall: jax.Array
    drag: jax.Array
    force: jax.Array
    torque: jax.Array


class QuadrotorState(NamedTuple):
    """State of V vehicles.

    Attributes:
      position: (3, V) m, world.
      quat_wxyz: (4, V) unit quaternion, body to world.
      velocity: (3, V) m/s, world.
      angular_velocity: (3, V) rad/s, body.
      rotor: (4, V) rotor speed as a fraction of full speed, [0, 1].
    """

    position: jax.Array
    quat_wxyz: jax.Array
    velocity: jax.Array
    angular_velocity: jax.Array
    rotor: jax.Array


def rotation(quat_wxyz: jax.Array) -> jax.Array:
    """Rotation matrix, body to world, row-major: (4, V) -> (9, V)."""
    w, x, y, z = jnp.unstack(quat_wxyz)
    return jnp.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ]
    )


def rotor_thrust(vehicle: Quadrotor, rotor: jax.Array) -> jax.Array:
    """Thrust of each rotor: (4, V) speed fraction -> (4, V) N."""
    c0, c1, c2 = vehicle.thrust_curve
    thrust: jax.Array = c0 + rotor * (c1 + rotor * c2)
    return thrust


def accelerate(
    vehicle: Quadrotor, thrust: jax.Array, quat_wxyz: jax.Array, velocity: jax.Array, angular_velocity: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Linear (3, V) m/s^2, world, and angular (3, V) rad/s^2, body, acceleration by the rotors' thrust (4, V) N."""
    w, x, y, z = jnp.unstack(quat_wxyz)
    p, q, r = jnp.unstack(angular_velocity)
    acceleration = thrust.sum(0) / vehicle.mass
    body_z = jnp.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    linear = body_z * acceleration + (vehicle.force - vehicle.drag * velocity) / vehicle.mass
    linear = linear - jnp.array([0.0, 0.0, GRAVITY_M_S2], linear.dtype)[:, None]

    jx, jy, jz = vehicle.inertia
    direction = jnp.array(ROTOR_DIRECTION, thrust.dtype)[:, None]
    roll = (vehicle.rotor_y * thrust).sum(0) + vehicle.torque[0]
    pitch = -(vehicle.rotor_x * thrust).sum(0) + vehicle.torque[1]
    yaw = vehicle.torque_constant * (direction * thrust).sum(0) + vehicle.torque[2]
    angular = jnp.stack(
        [
            (roll - (jz - jy) * q * r) / jx,
            (pitch - (jx - jz) * r * p) / jy,
            (yaw - (jy - jx) * p * q) / jz,
        ]
    )
    return linear, angular


def spin(quat_wxyz: jax.Array, angular_velocity: jax.Array) -> jax.Array:
    """Time derivative (4, V) of the quaternion."""
    w, x, y, z = jnp.unstack(quat_wxyz)
    p, q, r = jnp.unstack(angular_velocity)
    return 0.5 * jnp.stack(
        [
            -x * p - y * q - z * r,
            w * p + y * r - z * q,
            w * q - x * r + z * p,
            w * r + x * q - y * p,
        ]
    )


def body_rates(vehicle: Quadrotor, state: QuadrotorState) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Time derivatives of position, attitude, velocity and angular velocity, in the state's own layout."""
    thrust = rotor_thrust(vehicle, state.rotor)
    forces = accelerate(vehicle, thrust, state.quat_wxyz, state.velocity, state.angular_velocity)
    return state.velocity, spin(state.quat_wxyz, state.angular_velocity), *forces


def derivative(vehicle: Quadrotor, state: QuadrotorState, setpoint: jax.Array) -> QuadrotorState:
    """Time derivative of the state.

    Args:
      vehicle: parameters.
      state: state.
      setpoint: (4, V) rotor speed setpoints in [0, 1].
    Returns:
      The derivative, in the state's own layout.
    """
    lag = setpoint - state.rotor
    rotor = lag / jnp.where(lag > 0, vehicle.motor_rise, vehicle.motor_fall)
    return QuadrotorState(*body_rates(vehicle, state), rotor)


def _advance(state: QuadrotorState, slope: QuadrotorState, dt: float) -> QuadrotorState:
    return QuadrotorState(*(value + dt * rate for value, rate in zip(state, slope, strict=True)))


def runge_kutta(rate: Callable[[QuadrotorState], QuadrotorState], state: QuadrotorState, dt_s: float) -> QuadrotorState:
    """Advances by `dt_s` along a time derivative, of order four, without the constraints."""
    k1 = rate(state)
    k2 = rate(_advance(state, k1, dt_s / 2))
    k3 = rate(_advance(state, k2, dt_s / 2))
    k4 = rate(_advance(state, k3, dt_s))
    slope = QuadrotorState(*((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)))
    return _advance(state, slope, dt_s)


def _constrain(state: QuadrotorState) -> QuadrotorState:
    return state._replace(
        quat_wxyz=state.quat_wxyz * jax.lax.rsqrt((state.quat_wxyz**2).sum(0)),
        rotor=jnp.clip(state.rotor, 0.0, 1.0),
    )


def _setpoint(action: jax.Array) -> jax.Array:
    return (jnp.clip(action, -1.0, 1.0) + 1.0) * 0.5


def step(vehicle: Quadrotor, state: QuadrotorState, action: jax.Array, dt_s: float = 0.01) -> QuadrotorState:
    """Advances by one control period with classical Runge-Kutta of order four.

    Args:
      vehicle: parameters.
      state: state.
      action: (4, V) normalised motor setpoints; clipped to [-1, 1].
      dt_s: period, s.
    Returns:
      The next state; the quaternion is normalised and rotor speeds are kept in [0, 1].
    Source: L2F, `step` (one sub-step of RK4, then the constraints).
    """
    setpoint = _setpoint(action)
    return _constrain(runge_kutta(lambda now: derivative(vehicle, now, setpoint), state, dt_s))


def short_step(vehicle: Quadrotor, state: QuadrotorState, action: jax.Array, dt_s: float) -> QuadrotorState:
    """`step` at half the price, to train in: rotors exactly, thrust by Simpson's rule, the body by the midpoint rule.

    The linear acceleration is evaluated once and the angular twice. Arguments and result as of `step`; of order two in
    the body's motion.
    """
    setpoint = _setpoint(action)
    lag = setpoint - state.rotor
    half = jnp.exp(-0.5 * dt_s / jnp.where(lag > 0, vehicle.motor_rise, vehicle.motor_fall))
    rotor = (state.rotor, setpoint - lag * half, setpoint - lag * half * half)
    thrust = [rotor_thrust(vehicle, speed) for speed in rotor]
    early, whole = _mean_of_first_half(*thrust), _mean(*thrust)

    attitude, velocity, rate = state.quat_wxyz, state.velocity, state.angular_velocity
    _, angular = accelerate(vehicle, early, attitude, velocity, rate)
    middle = rate + 0.5 * dt_s * angular
    _, angular = accelerate(vehicle, whole, attitude, velocity, middle)
    last = rate + dt_s * angular
    half_turned = attitude + 0.5 * dt_s * spin(attitude, _mean_of_first_half(rate, middle, last))
    turned = attitude + dt_s * spin(half_turned, _mean(rate, middle, last))
    linear, _ = accelerate(vehicle, whole, half_turned, velocity, middle)
    moved = state.position + dt_s * (velocity + 0.5 * dt_s * linear)
    return _constrain(QuadrotorState(moved, turned, velocity + dt_s * linear, last, rotor[-1]))


def _mean(first: jax.Array, middle: jax.Array, last: jax.Array) -> jax.Array:
    return (first + 4 * middle + last) / 6


def _mean_of_first_half(first: jax.Array, middle: jax.Array, last: jax.Array) -> jax.Array:
    return (5 * first + 8 * middle - last) / 12
