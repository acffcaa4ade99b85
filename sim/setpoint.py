"""What the vehicle shall do at one moment, and what gives it: a trajectory, a function of time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Setpoint(NamedTuple):
    """One point of a reference.

    Attributes:
      position_world_m: (3,), m.
      velocity_world_m_s: (3,), m/s.
      acceleration_world_m_s2: (3,), m/s².
      yaw_rad: heading of body x about world z, rad; 0 points along world x.
    """

    position_world_m: Array
    velocity_world_m_s: Array
    acceleration_world_m_s2: Array
    yaw_rad: float


class Trajectory(Protocol):
    """A reference as a function of time; the same time always gives the same setpoint."""

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint at a time (s) since the start of the flight; before it, as at 0."""
