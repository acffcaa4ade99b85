"""Which paths are worth their energy: the joint objective of EcoFusion and CARMA.

A subset of the gated paths is a number from 0 to 15: bit 0 flow, 1 lidar, 2 GPS, 3 radar. The IMU always runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.fpga.paths import PATHS
from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]

SUBSETS = 1 << (len(PATHS) - 1)
EVERYTHING = SUBSETS - 1


def paths_of(subset: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Returns the paths (..., 5) of subsets (...)."""
    mask = np.asarray(subset)[..., None] << 1 | 1
    return np.asarray((mask >> np.arange(len(PATHS)) & 1) != 0)


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
          loss: (..., 16), of each subset; of everything, the last one, it is taken as the unit.
          energy: (16,), of each subset; of everything it is the unit.
        Source: Malawade et al., EcoFusion, 2022, eqs. 6 to 9, with the energy of sensors and fabric; there gamma counts
          from the least loss alone.
        """
        relative, cost = loss / loss[..., -1:], energy / energy[-1]
        allowed = relative <= np.maximum(relative.min(axis=-1, keepdims=True), 1.0) + self.gamma
        joint = (1 - self.weight) * relative + self.weight * cost
        return np.asarray(np.where(allowed, joint, np.inf).argmin(axis=-1))
