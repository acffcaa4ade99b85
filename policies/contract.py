"""The words that all parts share: observation, action, hidden state. NumPy only.

Frames: the world is z up (ENU-like), the body is x forward, y left, z up (FLU). Quaternions are wxyz
and rotate body vectors into the world. SI units. Motor order: front-right, back-right, back-left,
front-left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

CONTRACT = "haltere.quadrotor/5"
"""Name and version of the contract. A file with another one is refused."""

NATIVE_RATE_HZ = 100.0
NATIVE_PERIOD_S = 1.0 / NATIVE_RATE_HZ

OBSERVATION_SIZE = 22
ACTION_SIZE = 4
UNITS = 16
INTEGRAL_SIZE = 3
HIDDEN_SIZE = UNITS + INTEGRAL_SIZE
"""The learned units come first, then the integral of the position error on each axis."""

INTEGRAL_PERIODS = 1000.0
"""Native periods that the integral takes to follow: each moves it by this part of the way to tanh(error / near)."""
INTEGRAL_NEAR_M = 0.03
INTEGRAL_FREE_M = 0.05
"""Where an axis is farther off than this, all three integrals slow down,"""
INTEGRAL_HOLD_M = 0.1
"""and here they stand still: what is on its way has no steady error to take away."""
INTEGRAL_HELD = 20.0
"""Argument at which the logistic function is 0 or 1, and tanh 1, in single precision."""
INTEGRAL_KEEP = math.log(INTEGRAL_PERIODS - 1)
INTEGRAL_SLOPE_1_M = (INTEGRAL_HELD - INTEGRAL_KEEP) / (INTEGRAL_HOLD_M - INTEGRAL_FREE_M)
"""An integral is a unit of the same GRU with fixed weights: it keeps the share logistic(keep + slope x excess) of
itself, where the excess is the sum over the axes of what the error has beyond `INTEGRAL_FREE_M`."""

MOTOR_ORDER = ("front-right", "back-right", "back-left", "front-left")


@dataclass(frozen=True)
class Field:
    """One slice of a flat array.

    Attributes:
      name: the field's name.
      size: how many numbers.
      unit: SI unit.
      frame: frame in which it is expressed, or "-".
      bound: largest magnitude that is plausible; more is a fault, not an input.
    """

    name: str
    size: int
    unit: str
    frame: str
    bound: float


OBSERVATION_SPEC = (
    Field("position_error", 3, "m", "world", 1000.0),
    Field("rotation_body_to_world_row_major", 9, "1", "world", 1.01),
    Field("velocity_error", 3, "m/s", "world", 200.0),
    Field("angular_velocity", 3, "rad/s", "body", 200.0),
    Field("previous_action", 4, "normalised motor setpoint", "-", 10.0),
)
ACTION_SPEC = (Field("motor_setpoint", 4, "normalised motor setpoint", "-", 1.0),)

OBSERVATION_BOUND: FloatArray = np.repeat(
    np.array([field.bound for field in OBSERVATION_SPEC], np.float32),
    [field.size for field in OBSERVATION_SPEC],
)

UNLIMITED: FloatArray = np.full(OBSERVATION_SIZE, 1e30, np.float32)
"""Limits of an observation that limit nothing."""


class Policy(Protocol):
    """One recurrent policy, ready to be stepped; holds its own hidden state."""

    def reset(self) -> None:
        """Returns to the initial hidden state."""

    def step(self, observation: FloatArray, advance: bool = True) -> FloatArray:
        """Answers one observation.

        Args:
          observation: (22,) float32, SI units; layout in `OBSERVATION_SPEC`.
          advance: keep the next hidden state. A caller faster than the native rate passes False in
            between native periods.
        Returns:
          Action (4,), nominally in [-1, 1]; the array is reused by the next call.
        """


def rotation_from_quaternion(quat_wxyz: Sequence[float] | FloatArray) -> tuple[float, ...]:
    """Returns the rotation matrix (body to world) of a unit quaternion, row by row.

    Args:
      quat_wxyz: (4,) unit quaternion, body to world.
    """
    w, x, y, z = float(quat_wxyz[0]), float(quat_wxyz[1]), float(quat_wxyz[2]), float(quat_wxyz[3])
    return (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )
