"""What the flight controller's estimator says: the true state, late and noisy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError
from haltere.sim.state import State

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SensorConfig:
    """Noise (standard deviation of each component, new at each measurement) and latency.

    Attributes:
      position_noise_m: position, m.
      velocity_noise_m_s: velocity, m/s.
      attitude_noise_rad: rotation about each body axis, rad.
      angular_velocity_noise_rad_s: angular velocity, rad/s.
      latency_s: age of the whole state when it is measured, s; need not be whole control periods.
    Raises:
      ConfigError: a value is out of range.
    """

    position_noise_m: float = 0.0
    velocity_noise_m_s: float = 0.0
    attitude_noise_rad: float = 0.0
    angular_velocity_noise_rad_s: float = 0.0
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            high = 1.0 if item.name == "latency_s" else 10.0
            if not 0.0 <= value <= high:
                raise ConfigError(f"{item.name} = {value!r}: outside the allowed range 0 to {high:g}")


class Sensors:
    """Measures states; keeps those of the last `latency_s`."""

    def __init__(self, config: SensorConfig, generator: np.random.Generator) -> None:
        """Args:
        config: noise and latency.
        generator: source of the noise, as from `World.spawn_generator`.
        """
        self._config = config
        self._generator = generator
        self._past: deque[State] = deque()

    def reset(self) -> None:
        """Forgets the past, as before the first measurement."""
        self._past.clear()

    def measure(self, state: State) -> State:
        """Takes the true state of now and returns the measured one.

        Until the latency has passed, the first state is returned; between two states it interpolates.

        Args:
          state: true state, later than the one before.
        Returns:
          Measured state; its `time_s` is its time of validity, `latency_s` ago.
        """
        if self._past and state.time_s <= self._past[-1].time_s:
            self._past.pop()
        self._past.append(state)
        when = state.time_s - self._config.latency_s
        while len(self._past) > 1 and self._past[1].time_s <= when + 1e-9:
            self._past.popleft()
        seen = self._past[0]
        if len(self._past) > 1 and when > seen.time_s + 1e-9:
            seen = _between(seen, self._past[1], when)
        return self._noisy(seen)

    def _noisy(self, state: State) -> State:
        config, normal = self._config, self._generator.standard_normal
        noise = normal((4, 3))
        half = 0.5 * config.attitude_noise_rad * noise[2]
        return State(
            state.time_s,
            state.position_world_m + config.position_noise_m * noise[0],
            _unit(_product(state.quat_wxyz, np.array([1.0, *half]))),
            state.velocity_world_m_s + config.velocity_noise_m_s * noise[1],
            state.angular_velocity_body_rad_s + config.angular_velocity_noise_rad_s * noise[3],
            state.rotor_speed,
        )


def _between(a: State, b: State, time_s: float) -> State:
    """Interpolates linearly; the quaternion is normalised afterwards."""
    u = (time_s - a.time_s) / (b.time_s - a.time_s)
    sign = 1.0 if float(a.quat_wxyz @ b.quat_wxyz) >= 0 else -1.0
    return State(
        time_s,
        a.position_world_m + u * (b.position_world_m - a.position_world_m),
        _unit(a.quat_wxyz + u * (sign * b.quat_wxyz - a.quat_wxyz)),
        a.velocity_world_m_s + u * (b.velocity_world_m_s - a.velocity_world_m_s),
        a.angular_velocity_body_rad_s + u * (b.angular_velocity_body_rad_s - a.angular_velocity_body_rad_s),
        a.rotor_speed + u * (b.rotor_speed - a.rotor_speed),
    )


def _unit(quat: Array) -> Array:
    return quat / float(np.linalg.norm(quat))


def _product(p: Array, q: Array) -> Array:
    """Hamilton product of two wxyz quaternions."""
    w = p[0] * q[0] - p[1:] @ q[1:]
    return np.array([w, *(p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:]))])
