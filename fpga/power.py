"""What each subset of the paths takes, in W: sensors and the fabric's clocks and data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from haltere.fpga.configuration import Sensor
from haltere.fpga.energy import Constants, PathUse, estimate
from haltere.fpga.objective import EVERYTHING, SUBSETS, bursts_of, paths_of
from haltere.fpga.paths import FLOW, GPS, LIDAR, PATHS
from haltere.fpga.street import STREET_BURST_DUTY, STREET_RING_PART

WATCHERS = (FLOW, GPS)
"""Paths whose sensors stay on for a gate to know the context by, while their clocks may stop."""


def subset_energy(constants: Constants, sensors: tuple[Sensor, ...], clock_hz: float) -> npt.NDArray[np.float64]:
    """Returns what the objective takes for the energy (24,) of each subset: 1 with everything on.

    It is the mean of the sensors' and of the fabric's power, each over its own with everything on: otherwise a motor of
    some watts would hide all that clocks can save.

    Args:
      constants, sensors, clock_hz: as of `subset_power_w`.
    """
    alone = replace(constants, sensors=(None,) * len(sensors))
    fabric = subset_power_w(alone, sensors, clock_hz)
    rest = subset_power_w(constants, sensors, clock_hz) - fabric
    return np.asarray(0.5 * (rest / rest[EVERYTHING] + fabric / fabric[EVERYTHING]))


def subset_power_w(
    constants: Constants, sensors: tuple[Sensor, ...], clock_hz: float, watching: bool = True
) -> npt.NDArray[np.float64]:
    """Returns the power (24,) of each subset, without the static part, W.

    Args:
      constants: of the energy model.
      sensors: with their rates.
      clock_hz: of the fabric.
      watching: the watchers' sensors stay on.
    """
    subset = np.arange(SUBSETS)
    paths = paths_of(subset)
    share = np.where(bursts_of(subset), STREET_BURST_DUTY, paths)
    ring = share[:, LIDAR] * np.where(paths.all(axis=1), 1.0, STREET_RING_PART)
    return power_w(constants, sensors, clock_hz, share, watching, ring)


def power_w(
    constants: Constants,
    sensors: tuple[Sensor, ...],
    clock_hz: float,
    share: npt.NDArray[np.float64],
    watching: bool = True,
    ring: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Returns the power (...) of paths that run for shares (..., 5) of the time; the rest as of `subset_power_w`.

    Args:
      constants, sensors, clock_hz, watching: as of `subset_power_w`.
      share: of the time, in which each path's clock runs.
      ring: (...), share of the ring's greatest power that it takes; by default that of its path's time.
    """
    if ring is not None:
        others = tuple(power if path != LIDAR else None for path, power in enumerate(constants.sensors))
        blind = replace(constants, sensors=others)
        only = np.arange(len(PATHS)) == LIDAR
        whole, rest = (power_w(used, sensors, clock_hz, only * 1.0, watching) for used in (constants, blind))
        return np.asarray(power_w(blind, sensors, clock_hz, share, watching) + ring * (whole - rest))
    cycles = round(clock_hz)

    def take(awake: npt.NDArray[np.bool_]) -> float:
        uses = [
            PathUse(
                cycles if runs else 0,
                round(sensor.rate_hz) if runs else 0,
                1.0 if watching and path in WATCHERS else None,
            )
            for path, (runs, sensor) in enumerate(zip(awake, sensors, strict=True))
        ]
        return estimate(constants, uses, cycles, clock_hz).total().value

    asleep = take(np.zeros(len(PATHS), np.bool_))
    more = np.array([take(np.arange(len(PATHS)) == path) - asleep for path in range(len(PATHS))])
    return np.asarray(asleep + share @ more)
