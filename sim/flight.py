"""A flight that was flown, as arrays: one row for each control period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Flight:
    """What was recorded of a flight; n rows.

    Attributes:
      vehicle: name of the vehicle.
      time_s: (n,) s.
      position_world_m: (n, 3), m.
      quat_wxyz: (n, 4) body to world.
      velocity_world_m_s: (n, 3), m/s.
      angular_velocity_body_rad_s: (n, 3), rad/s.
      rotor_speed: (n, 4) in [0, 1], motor order.
      reference_position_world_m: (n, 3), m.
      reference_velocity_world_m_s: (n, 3), m/s.
      reference_yaw_rad: (n,), rad.
      action: (n, 4) normalised motor setpoints.
      mode: (n) `FAST`, `SLOW`, `SAFE`, or whatever flew.
      round_trip_s: (n,) from state sent to action received, s; NaN where unknown.
      finished: whether the log was closed properly, or the process ended before.
    """

    vehicle: str
    time_s: Array
    position_world_m: Array
    quat_wxyz: Array
    velocity_world_m_s: Array
    angular_velocity_body_rad_s: Array
    rotor_speed: Array
    reference_position_world_m: Array
    reference_velocity_world_m_s: Array
    reference_yaw_rad: Array
    action: Array
    mode: tuple[str, ...]
    round_trip_s: Array
    finished: bool = True

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.time_s)

    @property
    def tracking_error_m(self) -> Array:
        """(n,) distance from the reference, m."""
        return np.asarray(np.linalg.norm(self.position_world_m - self.reference_position_world_m, axis=1))

    def rms_error_m(self, from_s: float = 0.0) -> float:
        """Returns the root mean square of the distance from the reference, from a time (s) on, m."""
        late = self.tracking_error_m[self.time_s >= from_s]
        return float(np.sqrt(np.mean(late**2))) if len(late) else float("nan")

    def recovered_s(self, from_s: float = 0.0, within_m: float = 0.2) -> float:
        """Returns the time after which the distance from the reference stays below `within_m`, s after `from_s`.

        Infinite where it does not.
        """
        late = self.time_s >= from_s
        time, outside = self.time_s[late], np.flatnonzero(self.tracking_error_m[late] >= within_m)
        if not len(outside):
            return 0.0
        return float(time[outside[-1] + 1] - from_s) if outside[-1] + 1 < len(time) else float("inf")

    def spans(self) -> list[tuple[float, float, str]]:
        """Returns (start s, end s, mode) for each stretch of one mode."""
        spans: list[tuple[float, float, str]] = []
        for i, mode in enumerate(self.mode):
            end = float(self.time_s[min(i + 1, len(self) - 1)])
            if spans and spans[-1][2] == mode:
                spans[-1] = (spans[-1][0], end, mode)
            else:
                spans.append((float(self.time_s[i]), end, mode))
        return spans
