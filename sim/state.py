"""The state of a vehicle at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class State:
    """One state, true or measured.

    Attributes:
      time_s: time of validity since the start of the flight, s.
      position_world_m: (3,) centre of mass of the empty vehicle, m.
      quat_wxyz: (4,) unit quaternion, body to world.
      velocity_world_m_s: (3,), m/s.
      angular_velocity_body_rad_s: (3,), rad/s.
      rotor_speed: (4,) in [0, 1], motor order. Not measured: a policy never sees it.
    """

    time_s: float
    position_world_m: Array
    quat_wxyz: Array
    velocity_world_m_s: Array
    angular_velocity_body_rad_s: Array
    rotor_speed: Array

    def finite(self) -> bool:
        """Tells whether every number is finite."""
        return all(
            bool(np.all(np.isfinite(part)))
            for part in (
                self.position_world_m,
                self.quat_wxyz,
                self.velocity_world_m_s,
                self.angular_velocity_body_rad_s,
                self.rotor_speed,
            )
        )
