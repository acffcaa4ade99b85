"""From the sensors' readings to the features by which the context is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.fpga.features import features
from haltere.sim.senses.suite import Readings

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def observed(read: Readings, speed_m_s: Array, nis: Array, awake: Flags, scanning: Flags) -> Array:
    """Returns the features (N, 16).

    Args:
      read: the newest readings.
      speed_m_s: (N,), estimated, level, smoothed over half a second.
      nis: (N, 5), running means by path.
      awake: (N, 5), paths whose clock runs.
      scanning: (N,), the ring turns and measures.
    """
    steady = np.column_stack(
        [
            read.brightness,
            np.log10(read.contrast + 1e-3),
            np.log10(read.shimmer + 1e-3),
            np.log10(read.vibration_m_s2 + 0.05),
            read.down_power,
            read.fix,
            read.satellites,
            np.log2(np.maximum(read.clutter, 0.1)),
            speed_m_s,
        ]
    )
    return features(steady, read.returns, read.nearness, read.power, nis, awake, scanning.astype(np.float64))
