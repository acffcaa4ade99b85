"""Differentiable car on dry and icy road: single-track model in the frame of a moving reference.

Pure functions; every array has the car axis last, `(feature, V)`. The state is seven errors against a reference that
drives along a road piece:

  s_x, s_y   m, position in the reference's frame (along, to the left)
  delta      rad, steering angle
  v_e        m/s, speed minus the reference's
  psi_e      rad, heading minus the reference's
  psi_dot_e  rad/s, yaw rate minus the reference's
  beta       rad, side slip

The input is the steering rate (rad/s) and the acceleration (m/s^2). A world state has the same layout with x, y,
delta, v, psi, psi_dot, beta; z is up, angles are counted from x to y.

Source: Meng & Fan 2023, sec. 5.1; the single-track model and its fallback at low speed are CommonRoad's.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.plants.hybrid import Range

STATE_SIZE = 7
INPUT_SIZE = 2
MODES: tuple[str, ...] = ("road",)
RANGES: tuple[Range, ...] = (
    Range("friction", 0.1, 1.0),
    Range("speed_m_s", 3.0, 30.0),
    Range("yaw_rate_rad_s", 0.0, 0.0),
)
PERIOD_S = 0.01

GRAVITY_M_S2 = 9.81
STIFFNESS = 21.92
"""Cornering stiffness over load, 1/rad, where the friction factor is one."""
FRONT_M = 0.3048 * 3.793293
"""Centre of mass to front axle."""
REAR_M = 0.3048 * 4.667707
"""Centre of mass to rear axle."""
BASE_M = FRONT_M + REAR_M
HEIGHT_M = 0.3048 * 2.01355
"""Centre of mass above the ground."""
MASS_KG = 4.4482216152605 / 0.3048 * 74.91452
INERTIA_KG_M2 = 4.4482216152605 * 0.3048 * 1321.416
SLOW_M_S = 0.1
"""Below this speed the single-track model is singular, and the kinematic one is used."""
LARGEST_YAW_RATE_RAD_S = 100.0


class Road(NamedTuple):
    """Configuration: a road piece, and the reference that drives along it; one for each of V cars.

    Attributes:
      friction: (V,) factor; 1 is dry, 0.1 is ice.
      speed: (V,) m/s, of the reference.
      yaw_rate: (V,) rad/s, of the reference; zero on a straight piece.
      x: (V,) m, where the piece begins, world.
      y: (V,) m.
      heading: (V,) rad, at the beginning.
      length: (V,) m.
    """

    friction: jax.Array
    speed: jax.Array
    yaw_rate: jax.Array
    x: jax.Array
    y: jax.Array
    heading: jax.Array
    length: jax.Array


def configure(numbers: jax.Array) -> Road:
    """Roads that begin at the origin, along x, and last one second, from friction, speed and yaw rate (3, V)."""
    friction, speed, yaw_rate = numbers
    zero = jnp.zeros_like(speed)
    return Road(friction, speed, yaw_rate, zero, zero, zero, speed)


def wrap(angle: jax.Array) -> jax.Array:
    """The same angle in [-pi, pi)."""
    return (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi


def flow(mode: int, state: jax.Array, action: jax.Array, road: Road) -> jax.Array:
    """Time derivative of the errors.

    Args:
      mode: 0.
      state: (7, V) errors.
      action: (2, V) steering rate, rad/s, and acceleration, m/s^2.
      road: configuration.
    Returns:
      (7, V). Below 0.1 m/s that of the kinematic model, which alone has no division by the speed. (There the
      published loop keeps the single-track model's effect of the acceleration on the side slip, which is singular;
      CommonRoad's model, and this one, do not.)
    """
    s_x, s_y, delta, v_e, psi_e, psi_dot_e, beta = state
    speed = v_e + road.speed
    slow = jnp.abs(speed) < SLOW_M_S
    along = speed * jnp.cos(psi_e + beta) - road.speed + road.yaw_rate * s_y
    across = speed * jnp.sin(psi_e + beta) - road.yaw_rate * s_x
    dynamic = _single_track(jnp.where(slow, 1.0, speed), psi_dot_e + road.yaw_rate, delta, beta, action, road.friction)
    kinematic = _kinematic(speed, jnp.where(slow, delta, 0.0), jnp.where(slow, beta, 0.0), action)
    turn, swerve, slip = jnp.where(
        slow,
        jnp.stack([kinematic[0] - road.yaw_rate, kinematic[1], kinematic[2]]),
        jnp.stack([psi_dot_e, *dynamic]),
    )
    return jnp.stack([along, across, action[0], action[1], turn, swerve, slip])


def rolling(state: jax.Array, action: jax.Array, road: Road) -> jax.Array:
    """The same above 0.1 m/s: (7, V) -> (7, V), without the model for slower cars."""
    s_x, s_y, delta, v_e, psi_e, psi_dot_e, beta = state
    speed = v_e + road.speed
    along = speed * jnp.cos(psi_e + beta) - road.speed + road.yaw_rate * s_y
    across = speed * jnp.sin(psi_e + beta) - road.yaw_rate * s_x
    swerve, slip = _single_track(speed, psi_dot_e + road.yaw_rate, delta, beta, action, road.friction)
    return jnp.stack([along, across, action[0], action[1], psi_dot_e, swerve, slip])


def _single_track(
    speed: jax.Array, yaw_rate: jax.Array, delta: jax.Array, beta: jax.Array, action: jax.Array, friction: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Yaw acceleration and rate of the side slip, (V,) each, with the load that braking shifts to the front."""
    stiffness = STIFFNESS * friction
    grip = stiffness * GRAVITY_M_S2
    lever = MASS_KG / INERTIA_KG_M2 * FRONT_M
    swerve = grip * lever * REAR_M * (delta / BASE_M - yaw_rate / speed)
    slip = -yaw_rate - grip * (beta - REAR_M * delta / BASE_M) / speed
    shift = action[1] * stiffness * HEIGHT_M / BASE_M
    uneven = -(REAR_M**2 - FRONT_M**2) * yaw_rate / speed + BASE_M * beta - FRONT_M * delta
    swerve = swerve + shift * MASS_KG / INERTIA_KG_M2 * uneven
    slip = slip + shift / speed * (BASE_M * yaw_rate / speed - delta)
    return swerve, slip


def _kinematic(
    speed: jax.Array, delta: jax.Array, beta: jax.Array, action: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Yaw rate, its derivative and the rate of the side slip, (V,) each, of wheels that do not slip."""
    tangent, secant = jnp.tan(delta), 1 / jnp.cos(delta) ** 2
    follow = REAR_M / BASE_M * secant / (1 + (tangent * REAR_M / BASE_M) ** 2)
    turn = speed * jnp.cos(beta) * tangent / BASE_M
    steered = speed * (jnp.cos(beta) * secant - jnp.sin(beta) * tangent * follow)
    swerve = (action[1] * jnp.cos(beta) * tangent + action[0] * steered) / BASE_M
    return turn, swerve, follow * action[0]


def step(road: Road, state: jax.Array, action: jax.Array, dt_s: float | jax.Array = PERIOD_S) -> jax.Array:
    """Advances the errors by one period with Euler's method: (7, V) -> (7, V).

    The angles are wrapped to [-pi, pi), and the yaw rate is kept within 100 rad/s: a car that spins stays finite.
    """
    s_x, s_y, delta, v_e, psi_e, psi_dot_e, beta = state + dt_s * flow(0, state, action, road)
    spin = jnp.clip(psi_dot_e, -LARGEST_YAW_RATE_RAD_S, LARGEST_YAW_RATE_RAD_S)
    return jnp.stack([s_x, s_y, wrap(delta), v_e, wrap(psi_e), spin, wrap(beta)])


def guard(mode: int, state: jax.Array, action: jax.Array, road: Road, time_s: jax.Array) -> jax.Array:
    """How far (m) the reference is past the end of its piece, `time_s` (V,) after the beginning: (V,)."""
    return road.speed * time_s - road.length


def reset(mode: int, state: jax.Array, action: jax.Array, road: Road, following: Road) -> jax.Array:
    """The errors (7, V) at the end of `road`, as errors against the reference at the beginning of `following`."""
    return to_error(to_world(state, at(road, road.length / road.speed)), following)


def at(road: Road, time_s: jax.Array) -> Road:
    """The part of the piece that is left `time_s` (V,) after its beginning; its beginning is the reference's pose."""
    done = road.speed * time_s
    turn = road.yaw_rate * time_s
    chord = done * jnp.sinc(turn / (2 * jnp.pi))
    return road._replace(
        x=road.x + chord * jnp.cos(road.heading + turn / 2),
        y=road.y + chord * jnp.sin(road.heading + turn / 2),
        heading=road.heading + turn,
        length=road.length - done,
    )


def to_world(state: jax.Array, road: Road) -> jax.Array:
    """World state (7, V) of a car with these errors (7, V) against the reference at the beginning of `road`."""
    s_x, s_y, delta, v_e, psi_e, psi_dot_e, beta = state
    cosine, sine = jnp.cos(road.heading), jnp.sin(road.heading)
    x = road.x + s_x * cosine - s_y * sine
    y = road.y + s_x * sine + s_y * cosine
    return jnp.stack([x, y, delta, v_e + road.speed, psi_e + road.heading, psi_dot_e + road.yaw_rate, beta])


def to_error(world: jax.Array, road: Road) -> jax.Array:
    """Errors (7, V) of a world state (7, V) against the reference at the beginning of `road`."""
    x, y, delta, speed, psi, psi_dot, beta = world
    cosine, sine = jnp.cos(road.heading), jnp.sin(road.heading)
    s_x = (x - road.x) * cosine + (y - road.y) * sine
    s_y = (y - road.y) * cosine - (x - road.x) * sine
    return jnp.stack([s_x, s_y, delta, speed - road.speed, wrap(psi - road.heading), psi_dot - road.yaw_rate, beta])
