"""The reflex: composes the observation from state and setpoint, and steps the policy at its native rate."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from haltere.firmware_bridge.link.messages import Setpoint, State, StatusFlag
from haltere.firmware_bridge.runtime import safety
from haltere.policies.contract import (
    NATIVE_PERIOD_S,
    OBSERVATION_SIZE,
    Policy,
    rotation_from_quaternion,
)

_PERIOD_US = round(NATIVE_PERIOD_S * 1e6)
_PERIOD_TOLERANCE_US = _PERIOD_US // 10
_QUATERNION_TOLERANCE = 0.05
_FARTHEST_M = 1e6
_NONFINITE = int(StatusFlag.NONFINITE_STATE)
_OUT_OF_BOUNDS = int(StatusFlag.STATE_OUT_OF_BOUNDS)
_NO_SETPOINT = int(StatusFlag.NO_SETPOINT)
_SETPOINT_STALE = int(StatusFlag.SETPOINT_STALE)
_STILL = (0.0, 0.0, 0.0)
_write = struct.Struct(f"{OBSERVATION_SIZE}f").pack_into


def elapsed_us(now: int, then: int) -> int:
    """Signed time between two wrapping 32-bit microsecond clocks."""
    return ((now - then + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Reflex:
    """Answers every state with the policy's action.

    The hidden state advances once per native period, however often states come; the previous action of the
    observation is that of the last native period, and at the beginning what the motors have from elsewhere.

    Attributes:
      observation: (22,) the last one composed.
      motor: (4,) the last motor setpoints, in [-1, 1].
      setpoint_timeout_us: a setpoint is extrapolated this long; then its last place is held.

    Args:
      policy: ready to be stepped.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.observation = np.zeros(OBSERVATION_SIZE, np.float32)
        self._buffer = self.observation.data
        self.motor = [0.0, 0.0, 0.0, 0.0]
        self.setpoint_timeout_us = 200_000
        self._setpoint: Setpoint | None = None
        self._setpoint_flag = _NO_SETPOINT
        self._previous: Sequence[float] = (0.0, 0.0, 0.0, 0.0)
        self._advanced_us: int | None = None

    def reset(self) -> None:
        """Begins a new flight: initial hidden state, no setpoint."""
        self._setpoint = None
        self._setpoint_flag = _NO_SETPOINT
        self.forget()

    def forget(self) -> None:
        """Returns to the initial hidden state, and keeps the setpoint: after a gap in the states."""
        self._policy.reset()
        self._advanced_us = None

    def set_setpoint(self, setpoint: Setpoint) -> bool:
        """Takes a setpoint; refuses one that is not finite (returns False)."""
        numbers = (
            *setpoint.position_world_m,
            *setpoint.velocity_world_m_s,
            *setpoint.acceleration_world_m_s2,
            setpoint.yaw_rad,
        )
        if not all(map(math.isfinite, numbers)):
            return False
        self._setpoint = setpoint
        self._setpoint_flag = 0
        return True

    def answer(self, state: State) -> int:
        """Computes `motor` for a state.

        Returns:
          Status flags; if one of `safety.UNUSABLE` is set, `motor` is the one before and not to be flown.
        """
        setpoint = self._target(state)
        status = self._setpoint_flag | self._compose(state, setpoint)
        if not status & safety.UNUSABLE:
            status |= safety.check_observation(self.observation)
        if status & safety.UNUSABLE:
            return status
        self._setpoint = setpoint
        if self._advanced_us is None:
            advance = True
        else:
            since = elapsed_us(state.valid_us, self._advanced_us)
            advance = since < 0 or since >= _PERIOD_US - _PERIOD_TOLERANCE_US
        action = self._policy.step(self.observation, advance)
        status |= safety.limit_action(action, self.motor)
        if status & safety.UNUSABLE:
            self.forget()
        elif advance:
            self._previous = action.tolist()
            self._advanced_us = state.valid_us
        return status

    def _compose(self, state: State, setpoint: Setpoint) -> int:
        """Writes the observation; turns the world so that the yaw setpoint becomes zero yaw."""
        status = 0
        if self._setpoint is None and any(_FARTHEST_M < abs(value) < math.inf for value in state.position_world_m):
            status = _OUT_OF_BOUNDS  # no error would tell, and no place to hold
        position, velocity = _extrapolated(setpoint, elapsed_us(state.valid_us, setpoint.valid_us) * 1e-6)
        yaw = setpoint.yaw_rad
        px, py, pz = state.position_world_m
        vx, vy, vz = state.velocity_world_m_s
        w, x, y, z = state.quat_wxyz
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not abs(norm - 1.0) < _QUATERNION_TOLERANCE:
            status |= _OUT_OF_BOUNDS if math.isfinite(norm) else _NONFINITE
            norm = math.nan
        ex, ey, ez = px - position[0], py - position[1], pz - position[2]
        ux, uy, uz = vx - velocity[0], vy - velocity[1], vz - velocity[2]
        quaternion = (w / norm, x / norm, y / norm, z / norm)
        if yaw != 0.0:
            c, s = math.cos(yaw), math.sin(yaw)
            ex, ey = c * ex + s * ey, c * ey - s * ex
            ux, uy = c * ux + s * uy, c * uy - s * ux
            c, s = math.cos(yaw / 2), math.sin(yaw / 2)
            w, x, y, z = quaternion
            quaternion = (c * w + s * z, c * x + s * y, c * y - s * x, c * z - s * w)
        previous = state.motor if self._advanced_us is None else self._previous
        rotation = rotation_from_quaternion(quaternion)
        try:  # one write: element by element costs as much as the policy
            _write(self._buffer, 0, ex, ey, ez, *rotation, ux, uy, uz, *state.angular_velocity_body_rad_s, *previous)
        except OverflowError:  # beyond single precision
            self.observation.fill(math.nan)
        return status

    def _target(self, state: State) -> Setpoint:
        """The setpoint in force: a late one is held from here on, so that its wrapping age cannot revive it."""
        setpoint = self._setpoint
        if setpoint is None:
            w, x, y, z = state.quat_wxyz
            yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
            return Setpoint(state.valid_us, state.position_world_m, _STILL, _STILL, yaw)
        limit_us = self.setpoint_timeout_us
        age_us = elapsed_us(state.valid_us, setpoint.valid_us)
        if self._setpoint_flag or abs(age_us) <= limit_us:
            return setpoint
        place, _ = _extrapolated(setpoint, min(max(age_us, -limit_us), limit_us) * 1e-6)
        self._setpoint = Setpoint(state.valid_us, place, _STILL, _STILL, setpoint.yaw_rad)
        self._setpoint_flag = _SETPOINT_STALE
        return self._setpoint


def _extrapolated(setpoint: Setpoint, age_s: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Position and velocity of a setpoint of this age."""
    t, p = age_s, setpoint.position_world_m
    v, a = setpoint.velocity_world_m_s, setpoint.acceleration_world_m_s2
    position = tuple(p[i] + t * (v[i] + 0.5 * t * a[i]) for i in range(3))
    return position, tuple(v[i] + t * a[i] for i in range(3))
