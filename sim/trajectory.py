"""References to fly: hover, step, figure-eight, wander, waypoints. World frame, z up, SI units."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from haltere.policies.errors import ConfigError
from haltere.sim.setpoint import Array, Setpoint, Trajectory
from haltere.sim.wander import Wander
from haltere.sim.waypoints import Waypoints

Vector = Sequence[float] | Array
DEFAULT_CENTRE_M = (0.0, 0.0, 1.0)


def _vector(name: str, value: Vector) -> Array:
    array = np.asarray(value, np.float64)
    if array.shape != (3,) or not np.all(np.isfinite(array)):
        raise ConfigError(f"{name} = {value!r}: expected three finite numbers, x, y, z in m (world)")
    return array


@dataclass(frozen=True, eq=False)
class Hover:
    """Holds one position.

    Attributes:
      position_m: (3,) world, m.
      yaw_rad: heading, rad.
    """

    position_m: Vector = DEFAULT_CENTRE_M
    yaw_rad: float = 0.0

    def __post_init__(self) -> None:
        _vector("position_m", self.position_m)

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint, the same at any time (s)."""
        return Setpoint(np.array(self.position_m, np.float64), np.zeros(3), np.zeros(3), self.yaw_rad)


@dataclass(frozen=True, eq=False)
class Step:
    """Holds one position and then, from one moment on, another.

    Attributes:
      start_m: (3,) position before, world, m.
      offset_m: (3,) how far the position jumps, world, m.
      step_time_s: when, s.
    """

    start_m: Vector = DEFAULT_CENTRE_M
    offset_m: Vector = (1.0, 0.0, 0.0)
    step_time_s: float = 1.0

    def __post_init__(self) -> None:
        _vector("start_m", self.start_m)
        _vector("offset_m", self.offset_m)

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint at a time (s)."""
        position = np.array(self.start_m, np.float64)
        if time_s >= self.step_time_s:
            position += np.asarray(self.offset_m)
        return Setpoint(position, np.zeros(3), np.zeros(3), 0.0)


@dataclass(frozen=True, eq=False)
class FigureEight:
    """A lying eight: x = A sin φ, y = A/2 sin 2φ at constant height, φ = 2π t/period.

    The phase rate rises smoothly over `ramp_s`, and falls again in the same way, so that exactly `loops`
    loops are flown from rest to rest; afterwards the centre is held.

    Attributes:
      period_s: time of one loop at full rate, s.
      amplitude_m: half length of the eight, m.
      loops: how many.
      centre_m: (3,) centre, world, m.
      ramp_s: how long the phase rate rises, s.
    """

    period_s: float = 5.5
    amplitude_m: float = 1.0
    loops: int = 5
    centre_m: Vector = DEFAULT_CENTRE_M
    ramp_s: float = 1.0

    def __post_init__(self) -> None:
        _vector("centre_m", self.centre_m)
        if not self.period_s > 0 or not self.loops >= 1 or not self.ramp_s >= 0:
            raise ConfigError(
                f"figure-eight with period_s = {self.period_s!r}, loops = {self.loops!r}, ramp_s = "
                f"{self.ramp_s!r}: expected a period above 0, at least one loop, and a ramp not below 0"
            )

    @property
    def duration_s(self) -> float:
        """Time from rest to rest, s."""
        return self.loops * self.period_s + self.ramp_s

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint at a time (s)."""
        rate = 2.0 * np.pi / self.period_s
        up = _ramp(time_s, self.ramp_s)
        down = _ramp(time_s - self.loops * self.period_s, self.ramp_s)
        phase, dphase, ddphase = (rate * (u - d) for u, d in zip(up, down, strict=True))
        a = self.amplitude_m
        sin, cos, sin2, cos2 = np.sin(phase), np.cos(phase), np.sin(2 * phase), np.cos(2 * phase)
        position = np.asarray(self.centre_m) + np.array([a * sin, 0.5 * a * sin2, 0.0])
        velocity = np.array([a * cos, a * cos2, 0.0]) * dphase
        acceleration = np.array([-a * sin, -2.0 * a * sin2, 0.0]) * dphase**2
        acceleration += np.array([a * cos, a * cos2, 0.0]) * ddphase
        return Setpoint(position, velocity, acceleration, 0.0)


def _ramp(time_s: float, ramp_s: float) -> tuple[float, float, float]:
    """Returns the integral (s), value and slope (1/s) of a smooth step from 0 to 1 over `ramp_s`."""
    if time_s <= 0.0:
        return 0.0, 0.0, 0.0
    if time_s >= ramp_s:
        return time_s - 0.5 * ramp_s, 1.0, 0.0
    u = time_s / ramp_s
    return ramp_s * u**3 * (1.0 - 0.5 * u), u * u * (3.0 - 2.0 * u), 6.0 * u * (1.0 - u) / ramp_s


TRAJECTORIES: Mapping[str, type[Hover] | type[Step] | type[FigureEight] | type[Wander]] = {
    "hover": Hover,
    "step": Step,
    "figure-eight": FigureEight,
    "wander": Wander,
}


def make_trajectory(spec: str, **options: Any) -> Trajectory:
    """Builds a trajectory from its name and options.

    Args:
      spec: `hover`, `step`, `figure-eight`, `wander`, or the path of a CSV file of waypoints; numbers may
        follow the name, as in `figure-eight:period_s=9,loops=3`.
      **options: the attributes of the trajectory's class; they win over those in `spec`.
    Raises:
      ConfigError: the name or an option is unknown, or a value or a waypoint file is wrong.
    """
    if spec.lower().endswith(".csv"):
        if options:
            raise ConfigError(f"trajectory {spec!r}: waypoints take no options, got {', '.join(options)}")
        return Waypoints.from_csv(Path(spec))
    name, _, tail = spec.partition(":")
    kind = TRAJECTORIES.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, TRAJECTORIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"unknown trajectory {name!r}{hint} (known: {', '.join(TRAJECTORIES)}, or the path of a CSV file "
            "with columns t,x,y,z[,yaw])"
        )
    options = {**_spec_options(spec, tail), **options}
    known = list(inspect.signature(kind).parameters)
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"trajectory {name!r} has no option {key!r}{hint} (known: {', '.join(known)})")
    return kind(**options)


def _spec_options(spec: str, tail: str) -> dict[str, Any]:
    """Reads `key=number` pairs; three numbers joined by `/` are a vector."""
    options: dict[str, Any] = {}
    for pair in filter(None, tail.split(",")):
        key, equals, text = pair.partition("=")
        try:
            numbers = [float(part) for part in text.split("/")]
        except ValueError:
            numbers = []
        if not equals or not numbers:
            raise ConfigError(f"trajectory {spec!r}: expected name:key=number,key=x/y/z, got {pair!r}")
        value = numbers if len(numbers) > 1 else numbers[0]
        whole = key.strip() in ("loops", "seed") and isinstance(value, float) and value.is_integer()
        options[key.strip()] = int(value) if whole and isinstance(value, float) else value
    return options
