"""A reference through waypoints from a CSV file: `t,x,y,z[,yaw]` in s, m, m, m, rad (world)."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from haltere.policies.errors import ConfigError
from haltere.sim.setpoint import Array, Setpoint

COLUMNS = ("t", "x", "y", "z", "yaw")


class Waypoints:
    """A cubic spline through waypoints, at rest at both ends; outside them it holds the nearest end."""

    def __init__(self, time_s: Array, position_m: Array, yaw_rad: Array | None = None) -> None:
        """Args:
          time_s: (n,) rising, n at least 2.
          position_m: (n, 3) world.
          yaw_rad: (n,); without it 0. Turns of more than half a circle are taken the short way.

        Raises:
          ConfigError: shapes disagree, a number is not finite, or time does not rise.
        """
        time = np.asarray(time_s, np.float64)
        yaw = np.zeros(len(time)) if yaw_rad is None else np.unwrap(np.asarray(yaw_rad, np.float64))
        position = np.asarray(position_m, np.float64)
        if len(time) < 2 or position.shape != (len(time), 3) or yaw.shape != time.shape:
            raise ConfigError(
                f"waypoints: expected at least two, with time (n,), position (n, 3) and yaw (n,); got "
                f"{time.shape}, {position.shape} and {yaw.shape}"
            )
        self._time = time
        self._value = np.column_stack([position, yaw])
        if not (np.all(np.isfinite(self._value)) and np.all(np.diff(time) > 0)):
            raise ConfigError("waypoints: expected finite numbers and rising times")
        self._slope = _clamped_slopes(time, self._value)

    @classmethod
    def from_csv(cls, path: str | Path) -> Waypoints:
        """Reads waypoints; a first line of column names and lines starting with `#` are skipped.

        Raises:
          ConfigError: the file is missing or wrong; the message names file and line.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(
                f"waypoint file {path}: cannot be read ({reason}); expected a CSV file with columns t,x,y,z[,yaw]"
            ) from None
        rows: list[list[float]] = []
        first = True
        for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1):
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if first and [cell.lower() for cell in cells] in (list(COLUMNS), list(COLUMNS[:4])):
                first = False
                continue
            first = False
            row = _row(f"waypoint file {path}, line {number}", cells)
            if rows and len(row) != len(rows[0]):
                raise ConfigError(
                    f"waypoint file {path}, line {number}: {len(row)} columns where the lines before have "
                    f"{len(rows[0])}"
                )
            if rows and row[0] <= rows[-1][0]:
                raise ConfigError(
                    f"waypoint file {path}, line {number}: t = {row[0]:g} is not after the {rows[-1][0]:g} "
                    "before it; times must rise"
                )
            rows.append(row)
        if len(rows) < 2:
            raise ConfigError(f"waypoint file {path}: has {len(rows)} waypoints, expected at least two")
        table = np.array(rows)
        return cls(table[:, 0], table[:, 1:4], table[:, 4] if table.shape[1] == 5 else None)

    @property
    def duration_s(self) -> float:
        """Time of the last waypoint, s."""
        return float(self._time[-1])

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint at a time (s)."""
        inside = self._time[0] <= time_s <= self._time[-1]
        t = min(max(time_s, float(self._time[0])), float(self._time[-1]))
        i = min(int(np.searchsorted(self._time, t, side="right")) - 1, len(self._time) - 2)
        h = self._time[i + 1] - self._time[i]
        u = (t - self._time[i]) / h
        x0, x1 = self._value[i], self._value[i + 1]
        m0, m1 = self._slope[i] * h, self._slope[i + 1] * h
        a = 2 * (x0 - x1) + m0 + m1
        b = 3 * (x1 - x0) - 2 * m0 - m1
        value = x0 + u * (m0 + u * (b + u * a))
        velocity = (m0 + u * (2 * b + u * 3 * a))[:3] / h
        acceleration = (2 * b + 6 * a * u)[:3] / h**2
        if not inside:
            velocity, acceleration = np.zeros(3), np.zeros(3)
        return Setpoint(value[:3], velocity, acceleration, float(value[3]))


def _row(where: str, cells: list[str]) -> list[float]:
    """Reads one line's numbers."""
    if len(cells) not in (4, 5):
        raise ConfigError(f"{where}: {len(cells)} columns, expected 4 (t,x,y,z) or 5 (t,x,y,z,yaw)")
    row: list[float] = []
    for name, cell in zip(COLUMNS, cells, strict=False):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ConfigError(f"{where}: {name} = {cell!r}: expected a finite number")
        row.append(value)
    return row


def _clamped_slopes(time: Array, value: Array) -> Array:
    """Solves the spline's tridiagonal system (Thomas) for the slope at each knot; ends at rest."""
    n = len(time)
    slope = np.zeros_like(value)
    h = np.diff(time)[:, None]
    chord = np.diff(value, axis=0) / h
    upper, right = np.zeros((n, 1)), np.zeros_like(value)
    for i in range(1, n - 1):
        diagonal = 2.0 * (h[i - 1] + h[i]) - h[i] * upper[i - 1]
        upper[i] = h[i - 1] / diagonal
        right[i] = (3.0 * (h[i] * chord[i - 1] + h[i - 1] * chord[i]) - h[i] * right[i - 1]) / diagonal
    for i in range(n - 2, 0, -1):
        slope[i] = right[i] - upper[i] * slope[i + 1]
    return slope
