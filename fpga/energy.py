"""Energy of sensors and sensing paths, from the counters that the hardware keeps.

Sensor, static, clock and data energies are kept apart: stopping a clock saves the clock's and the data's, switching a
sensor off its own, and nothing saves the static part. Every constant has bounds and a source in `energy.toml`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haltere.fpga.paths import PATHS, TICK_RATE_HZ
from haltere.policies.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONSTANTS = Path(__file__).with_name("energy.toml")


@dataclass(frozen=True)
class Value:
    """A number with bounds between which it is taken to lie."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high:
            raise ConfigError(f"value {self.value:g} must lie within low {self.low:g} and high {self.high:g}, from 0")

    def __add__(self, other: Value) -> Value:
        """Adds bound to bound, as if the errors went the same way."""
        return Value(self.value + other.value, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Value:
        """Scales value and bounds by a number that is not negative."""
        return Value(self.value * factor, self.low * factor, self.high * factor)


NOTHING = Value(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class SensorPower:
    """What a sensor takes: at rest while its path sleeps, and while it measures, W."""

    standby_w: Value
    measure_w: Value


@dataclass(frozen=True)
class Constants:
    """The model's constants.

    Attributes:
      clock_j: of one flip-flop's clock in one cycle.
      tick_j, sample_j: of each path's data: of a tick in which it is awake, and of a sample that it filters.
      static_w: of all that cannot be switched off.
      flip_flops: on each path's clock.
      always_on: flip-flops without a gate that belong to no path: fuser, registers, counters, classifier.
      sensors: by path; None where no power is known.
    """

    clock_j: Value
    tick_j: tuple[Value, ...]
    sample_j: tuple[Value, ...]
    static_w: Value
    flip_flops: tuple[int, ...]
    always_on: int
    sensors: tuple[SensorPower | None, ...]


@dataclass(frozen=True)
class PathUse:
    """What one path did.

    Attributes:
      active_cycles: in which its clock ran.
      samples: that it filtered.
      measuring_s: time for which its sensor measured; None: as long as the clock ran.
    """

    active_cycles: int
    samples: int
    measuring_s: float | None = None


@dataclass(frozen=True)
class Energy:
    """Energies in J, kept apart.

    Attributes:
      sensors, static, clock, data: see the module.
      uncounted: paths whose sensor's power is not known.
    """

    sensors: Value
    static: Value
    clock: Value
    data: Value
    uncounted: tuple[str, ...]

    def fabric(self) -> Value:
        """Returns what gating clocks can save: clock and data."""
        return self.clock + self.data

    def total(self, with_sensors: bool = True) -> Value:
        """Returns fabric and, if asked for, sensors; without the static part, which nothing changes."""
        return self.fabric() + self.sensors if with_sensors else self.fabric()


def load_constants(file: Path = CONSTANTS) -> Constants:
    """Reads the constants.

    Args:
      file: TOML, laid out as `energy.toml`.
    Raises:
      ConfigError: the file cannot be read, or a constant is missing, without source, or out of its bounds.
    """
    try:
        table = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the constants {file}: {error}") from error
    flip_flops, toggles = _table(table, "flip_flops"), _table(table, "toggles")
    toggle_j = {
        kind: _value(entry, f"toggle_j.{kind}") for kind, entry in _table(table, "toggle_j").items() if kind != "source"
    }
    counts = [_count(flip_flops, path.name) for path in PATHS]
    sensors = table.get("sensors", {})
    unknown = set(sensors) - {path.name for path in PATHS}
    if unknown:
        raise ConfigError(f"sensors.{sorted(unknown)[0]} is no path; the paths are {', '.join(p.name for p in PATHS)}")
    return Constants(
        clock_j=_value(_table(table, "clock_j_per_flip_flop_cycle"), "clock_j_per_flip_flop_cycle"),
        tick_j=tuple(_data(toggles, path.name, "per_tick", toggle_j) for path in PATHS),
        sample_j=tuple(_data(toggles, path.name, "per_sample", toggle_j) for path in PATHS),
        static_w=_value(_table(table, "static_w"), "static_w"),
        flip_flops=tuple(counts),
        always_on=_count(flip_flops, "always_on"),
        sensors=tuple(_sensor(sensors, path.name) for path in PATHS),
    )


def estimate(constants: Constants, uses: Sequence[PathUse], cycles: int, clock_hz: float) -> Energy:
    """Returns the energies of a stretch of time.

    Args:
      constants: from `load_constants`.
      uses: of each path, in the paths' order, over the stretch.
      cycles: of the clock in the stretch.
      clock_hz: as read back from the board.
    Raises:
      ConfigError: a use is missing, a path ran longer than the stretch, or the clock is not positive.
    """
    if len(uses) != len(PATHS):
        raise ConfigError(f"{len(uses)} paths' counters were given; there are {len(PATHS)} paths")
    if not clock_hz > 0:
        raise ConfigError(f"clock_hz is {clock_hz:g}; it must be more than 0")
    for path, use in zip(PATHS, uses, strict=True):
        if not 0 <= use.active_cycles <= cycles:
            raise ConfigError(f"{path.name} was active for {use.active_cycles} cycles; it must be 0 to {cycles}")
    time_s = cycles / clock_hz
    clock = data = sensors = NOTHING
    for index, use in enumerate(uses):
        awake_s = use.active_cycles / clock_hz
        clock += constants.clock_j.times(constants.flip_flops[index] * use.active_cycles)
        data += constants.tick_j[index].times(awake_s * TICK_RATE_HZ) + constants.sample_j[index].times(use.samples)
        power = constants.sensors[index]
        if power:
            on_s = awake_s if use.measuring_s is None else use.measuring_s
            if not 0 <= on_s <= time_s * (1 + 1e-9):
                raise ConfigError(f"{PATHS[index].name} measured for {on_s:g} s; it must be 0 to {time_s:g} s")
            sensors += power.measure_w.times(on_s) + power.standby_w.times(max(time_s - on_s, 0.0))
    uncounted = tuple(path.name for path, power in zip(PATHS, constants.sensors, strict=True) if power is None)
    return Energy(sensors, constants.static_w.times(time_s), clock, data, uncounted)


def saving(gated: Energy, all_on: Energy, with_sensors: bool) -> float:
    """Returns the share of the energy, static part aside, that gating saves: 0 to 1 (negative if it costs).

    Raises:
      ConfigError: nothing was used with everything on.
    """
    before = all_on.total(with_sensors).value
    if before <= 0:
        raise ConfigError("with everything on the energy is 0; give time and constants that are more than 0")
    return 1 - gated.total(with_sensors).value / before


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name)
    if not isinstance(found, dict):
        raise ConfigError(f"[{name}] is missing from the constants")
    if not found.get("source"):
        raise ConfigError(f"{name}.source is missing: every constant says where it is from")
    return found


def _count(table: dict[str, Any], name: str) -> int:
    count = table.get(name)
    if not isinstance(count, int) or count < 0:
        raise ConfigError(f"flip_flops.{name} is {count!r}; it must be a whole number of 0 or more")
    return count


def _data(toggles: dict[str, Any], path: str, each: str, toggle_j: dict[str, Value]) -> Value:
    """Returns the energy of the toggles of a path's tick or sample."""
    counts = toggles.get(path, {}).get(each)
    if not isinstance(counts, dict):
        raise ConfigError(f"toggles.{path}.{each} is missing: toggles by kind")
    energy = NOTHING
    for kind, count in counts.items():
        if kind not in toggle_j:
            raise ConfigError(f"toggles.{path}.{each} has {kind}, of which toggle_j tells no energy")
        if not isinstance(count, (int, float)) or count < 0:
            raise ConfigError(f"toggles.{path}.{each}.{kind} is {count!r}; it must be a number of 0 or more")
        energy += toggle_j[kind].times(count)
    return energy


def _value(entry: Any, name: str) -> Value:
    try:
        return Value(*(float(entry[key]) for key in ("value", "low", "high")))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{name} needs value, low and high, each a number of 0 or more") from error
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _sensor(sensors: dict[str, Any], name: str) -> SensorPower | None:
    if name not in sensors:
        return None
    entry = _table(sensors, name)
    standby = _value(entry["standby_w"], f"sensors.{name}.standby_w") if "standby_w" in entry else NOTHING
    return SensorPower(standby, _value(entry.get("measure_w"), f"sensors.{name}.measure_w"))
