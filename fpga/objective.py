"""Which paths are worth their energy: the joint objective of EcoFusion and CARMA.

A subset of the gated paths is a number: up to 15, bit 0 is flow, 1 lidar, 2 GPS, 3 radar; from 16 on come those with
the lidar again, which then runs in bursts. The IMU always runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.fpga.paths import LIDAR, PATHS
from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]

_STEADY = 1 << (len(PATHS) - 1)
EVERYTHING = _STEADY - 1
_MASKS = np.array([mask << 1 | 1 for mask in range(_STEADY)])
_MASKS = np.concatenate([_MASKS, _MASKS[_MASKS >> LIDAR & 1 == 1]])
SUBSETS = len(_MASKS)


def paths_of(subset: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Returns the paths (..., 5) of subsets (...)."""
    return np.asarray((_MASKS[subset][..., None] >> np.arange(len(PATHS)) & 1) != 0)


def bursts_of(subset: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Returns the paths (..., 5) that run in bursts, of subsets (...)."""
    return np.asarray((np.asarray(subset) > EVERYTHING)[..., None] & (np.arange(len(PATHS)) == LIDAR))


def subset_of(paths: npt.NDArray[np.bool_], bursts: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Returns the subsets (...) of paths and of those in bursts, (..., 5) each."""
    mask = (paths[..., 1:] << np.arange(len(PATHS) - 1)).sum(axis=-1)
    # Among those with the lidar, a subset's place is its mask without the lidar's bit.
    place = _STEADY + (mask >> LIDAR << (LIDAR - 1) | mask & ((1 << (LIDAR - 1)) - 1))
    return np.asarray(np.where(bursts[..., LIDAR] & paths[..., LIDAR], place, mask))


@dataclass(frozen=True)
class Objective:
    """How much energy counts against performance.

    Attributes:
      gamma: what a subset's loss may exceed the least one by, or the one with everything on, whichever is greater; all
        over the latter. With everything on, a sensor that lies often makes the loss greater than the least.
      weight: of the energy, 0 to 1 (lambda_E).
    Raises:
      ConfigError: a value is out of range.
    """

    gamma: float = 0.05
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ConfigError(f"gamma is {self.gamma:g}; it must be 0 or more")
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"the weight of the energy is {self.weight:g}; it must be 0 to 1")

    def choose(self, loss: Array, energy: Array) -> npt.NDArray[np.int64]:
        """Returns the best subset of each row (...,).

        Args:
          loss: (..., 24), of each subset; that of everything is the unit.
          energy: (24,), of each subset; that of everything is the unit.
        Source: Malawade et al., EcoFusion, 2022, eqs. 6 to 9, with the energy of sensors and fabric; there gamma counts
          from the least loss alone.
        """
        relative, cost = loss / loss[..., EVERYTHING, None], energy / energy[EVERYTHING]
        allowed = relative <= np.maximum(relative.min(axis=-1, keepdims=True), 1.0) + self.gamma
        joint = (1 - self.weight) * relative + self.weight * cost
        return np.asarray(np.where(allowed, joint, np.inf).argmin(axis=-1))
