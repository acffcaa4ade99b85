"""A quadrotor as numbers: mass, inertia, rotors, motors. A vehicle is a TOML file, not a class.

Motor order: front-right, back-right, back-left, front-left. Body frame: x forward, y left, z up.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Array = npt.NDArray[np.float64]

GRAVITY_M_S2 = 9.81
ROTOR_DIRECTION: Array = np.array([-1.0, 1.0, -1.0, 1.0])
"""Sign of each rotor's reaction torque on the airframe about body +z, in motor order."""

VEHICLE_FOLDER = Path(__file__).parent / "vehicles"

_SHAPE: dict[str, tuple[int, ...]] = {
    "mass_kg": (),
    "inertia_kg_m2": (3,),
    "rotor_position_m": (4, 3),
    "thrust_curve_n": (3,),
    "torque_constant_m": (),
    "motor_rise_s": (),
    "motor_fall_s": (),
    "linear_drag": (3,),
    "rotor_radius_m": (),
}
_RANGE: dict[str, tuple[float, float]] = {
    "mass_kg": (0.005, 50.0),
    "inertia_kg_m2": (1e-7, 10.0),
    "rotor_position_m": (-3.0, 3.0),
    "thrust_curve_n": (-500.0, 500.0),
    "torque_constant_m": (1e-4, 0.5),
    "motor_rise_s": (1e-3, 1.0),
    "motor_fall_s": (1e-3, 1.0),
    "linear_drag": (0.0, 20.0),
    "rotor_radius_m": (0.0, 1.0),
}
_QUADRANT = np.array([[1, -1], [-1, -1], [-1, 1], [1, 1]])
_MINIMUM_THRUST_TO_WEIGHT = 1.05


@dataclass(frozen=True, eq=False)
class Vehicle:
    """One quadrotor; checked when built, never changed after.

    Attributes:
      name: the vehicle's name.
      mass_kg: mass, kg.
      inertia_kg_m2: (3,) diagonal of the inertia about the centre of mass, body axes, kg m².
      rotor_position_m: (4, 3) rotor hubs from the centre of mass, body axes, m, in motor order.
      thrust_curve_n: (3,) thrust of one rotor = c0 + c1 w + c2 w² (N), rotor speed w in [0, 1].
      torque_constant_m: reaction torque per thrust, m.
      motor_rise_s: first-order time constant when the rotor speeds up, s.
      motor_fall_s: the same when it slows down, s.
      linear_drag: (3,) force per speed through the air, body axes, N per m/s.
      rotor_radius_m: propeller radius, m (for ground effect and pictures); 0 means unknown, and it is
        then taken as 0.4 of the closest rotor spacing.
      source: where the numbers come from.
    Raises:
      ConfigError: a value has the wrong shape, is out of range, or contradicts another.
    """

    name: str
    mass_kg: float
    inertia_kg_m2: Array
    rotor_position_m: Array
    thrust_curve_n: Array
    torque_constant_m: float
    motor_rise_s: float
    motor_fall_s: float
    linear_drag: Array = (0.0, 0.0, 0.0)  # type: ignore[assignment]
    rotor_radius_m: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "source"):
            if not isinstance(getattr(self, key), str):
                raise ConfigError(f"{key} = {getattr(self, key)!r}: expected text")
        for key, shape in _SHAPE.items():
            value = _numbers(key, getattr(self, key), shape)
            object.__setattr__(self, key, value if shape else float(value))
        _check_consistency(self)
        if self.rotor_radius_m == 0.0:
            spacing = min(
                float(np.linalg.norm(self.rotor_position_m[i] - self.rotor_position_m[i - 1])) for i in range(4)
            )
            object.__setattr__(self, "rotor_radius_m", 0.4 * spacing)

    def thrust_n(self, rotor_speed: Array) -> Array:
        """Returns the thrust (N) at rotor speeds in [0, 1], far from the ground."""
        c0, c1, c2 = self.thrust_curve_n
        return np.asarray(c0 + rotor_speed * (c1 + c2 * rotor_speed))

    @property
    def maximum_thrust_n(self) -> float:
        """Thrust of all four rotors at full speed, N."""
        return 4.0 * float(np.sum(self.thrust_curve_n))

    @property
    def thrust_to_weight(self) -> float:
        """Full thrust over weight."""
        return self.maximum_thrust_n / (self.mass_kg * GRAVITY_M_S2)

    @property
    def torque_to_inertia(self) -> float:
        """One rotor's full thrust times mean arm length over roll inertia, rad/s² (RAPTOR, S18-S20)."""
        arm_m = float(np.mean(np.linalg.norm(self.rotor_position_m[:, :2], axis=1)))
        return self.maximum_thrust_n / 4.0 * arm_m / float(self.inertia_kg_m2[0])

    @property
    def hover_rotor_speed(self) -> float:
        """Rotor speed in [0, 1] at which four equal rotors carry the weight."""
        c0, c1, c2 = (float(c) for c in self.thrust_curve_n)
        missing = c0 - self.mass_kg * GRAVITY_M_S2 / 4.0
        # The form that stays exact when c2 is zero or small; the curve rises, so this root is the one.
        return -2.0 * missing / (c1 + math.sqrt(c1 * c1 - 4.0 * c2 * missing))

    @property
    def hover_action(self) -> float:
        """Action in [-1, 1] that holds `hover_rotor_speed`."""
        return 2.0 * self.hover_rotor_speed - 1.0


def _numbers(key: str, value: object, shape: tuple[int, ...]) -> Array:
    """Checks one value's type, shape and range; returns it as a read-only array."""
    wanted = {(): "one number", (3,): "three numbers", (4, 3): "four rows [x, y, z]"}[shape]
    if isinstance(value, (str, bool)):
        raise ConfigError(f"{key} = {value!r}: expected {wanted}")
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{key} = {value!r}: expected {wanted}") from None
    if array.shape != shape:
        raise ConfigError(f"{key} = {value!r}: expected {wanted}, got shape {array.shape}")
    low, high = _RANGE[key]
    if not bool(np.all((array >= low) & (array <= high))):
        raise ConfigError(f"{key} = {value!r}: outside the allowed range {low:g} to {high:g}")
    array.flags.writeable = False
    return array


def _check_consistency(vehicle: Vehicle) -> None:
    """Checks what no single value shows: inertia triangle, motor order, rising thrust, enough of it."""
    inertia = vehicle.inertia_kg_m2
    if float(2.0 * inertia.max()) > 1.001 * float(inertia.sum()):
        raise ConfigError(
            f"inertia_kg_m2 = {inertia.tolist()}: no rigid body has one moment larger than the other two "
            "together; check for a misplaced decimal"
        )
    position = vehicle.rotor_position_m
    if not bool(np.all(position[:, :2] * _QUADRANT > 0)):
        raise ConfigError(
            f"rotor_position_m = {position.tolist()}: expected front-right (+x, -y), back-right (-x, -y), "
            "back-left (-x, +y), front-left (+x, +y), in this order, in body axes (x forward, y left)"
        )
    _, c1, c2 = vehicle.thrust_curve_n
    if c1 < 0 or c1 + 2 * c2 < 0:
        raise ConfigError(
            f"thrust_curve_n = {vehicle.thrust_curve_n.tolist()}: thrust must rise with rotor speed over [0, 1]"
        )
    if not vehicle.thrust_to_weight >= _MINIMUM_THRUST_TO_WEIGHT:
        raise ConfigError(
            f"thrust_curve_n = {vehicle.thrust_curve_n.tolist()}: full thrust over weight is "
            f"{vehicle.thrust_to_weight:.2f} at {vehicle.mass_kg:g} kg, and a vehicle needs at least "
            f"{_MINIMUM_THRUST_TO_WEIGHT} to fly; the curve is per rotor, in N"
        )
    if vehicle.thrust_curve_n[0] * 4 > vehicle.mass_kg * GRAVITY_M_S2:
        raise ConfigError(
            f"thrust_curve_n = {vehicle.thrust_curve_n.tolist()}: c0 alone lifts the vehicle, which could "
            "never come down"
        )


def shipped_vehicles() -> tuple[str, ...]:
    """Returns the names of the vehicles that come with Haltere, sorted."""
    return tuple(sorted(path.stem for path in VEHICLE_FOLDER.glob("*.toml")))


def vehicle_from_mapping(values: Mapping[str, Any]) -> Vehicle:
    """Builds a vehicle from named values.

    Args:
      values: the keys of a vehicle file, as `Vehicle`'s attributes.
    Raises:
      ConfigError: a key is unknown or missing, or a value is wrong.
    """
    known = {field.name: field for field in fields(Vehicle)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown key {key!r}{hint} (known keys: {', '.join(known)})")
    missing = [key for key, field in known.items() if field.default is MISSING and key not in values]
    if missing:
        raise ConfigError(f"missing key{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}")
    return Vehicle(**values)


def load_vehicle(name_or_path: str | Path) -> Vehicle:
    """Loads a vehicle.

    Args:
      name_or_path: name of a shipped vehicle, or path of a TOML file.
    Raises:
      ConfigError: there is no such file, or it is wrong; the message names file, key and value.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped_vehicles():
        path = VEHICLE_FOLDER / f"{name_or_path}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"vehicle {str(name_or_path)!r} is neither a TOML file nor a shipped vehicle; "
            f"shipped are: {', '.join(shipped_vehicles())}"
        ) from None
    except OSError as error:
        raise ConfigError(f"vehicle file {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"vehicle file {path}: not UTF-8 text, so not a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"vehicle file {path}: not valid TOML: {error}") from None
    try:
        return vehicle_from_mapping({"name": path.stem, **values})
    except ConfigError as error:
        raise ConfigError(f"vehicle file {path}: {error}") from None
