"""What each subset of the paths takes, in W: sensors and the fabric's clocks and data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from haltere.fpga.configuration import Sensor
from haltere.fpga.energy import Constants, PathUse, estimate
from haltere.fpga.objective import SUBSETS, paths_of
from haltere.fpga.paths import FLOW, GPS

WATCHERS = (FLOW, GPS)
"""Paths whose sensors stay on for a gate to know the context by, while their clocks may stop."""


def subset_energy(constants: Constants, sensors: tuple[Sensor, ...], clock_hz: float) -> npt.NDArray[np.float64]:
    """Returns what the objective takes for the energy (16,) of each subset: 1 with everything on.

    It is the mean of the sensors' and of the fabric's power, each over its own with everything on: otherwise a motor of
    some watts would hide all that clocks can save.

    Args:
      constants, sensors, clock_hz: as of `subset_power_w`.
    """
    alone = replace(constants, sensors=(None,) * len(sensors))
    fabric = subset_power_w(alone, sensors, clock_hz)
    rest = subset_power_w(constants, sensors, clock_hz) - fabric
    return np.asarray(0.5 * (rest / rest[-1] + fabric / fabric[-1]))


def subset_power_w(
    constants: Constants, sensors: tuple[Sensor, ...], clock_hz: float, watching: bool = True
) -> npt.NDArray[np.float64]:
    """Returns the power (16,) of each subset, without the static part, W.

    Args:
      constants: of the energy model.
      sensors: with their rates.
      clock_hz: of the fabric.
      watching: the watchers' sensors stay on.
    """
    power = []
    for subset in range(SUBSETS):
        awake = paths_of(np.array(subset))
        uses = [
            PathUse(
                round(clock_hz) if runs else 0,
                round(sensor.rate_hz) if runs else 0,
                1.0 if watching and path in WATCHERS else None,
            )
            for path, (runs, sensor) in enumerate(zip(awake, sensors, strict=True))
        ]
        power.append(estimate(constants, uses, round(clock_hz), clock_hz).total().value)
    return np.array(power)
