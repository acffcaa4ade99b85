"""From the sensors' readings to the features by which the context is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.fpga.features import features
from haltere.fpga.paths import LIDAR
from haltere.sim.senses.suite import PERIOD_S, Readings

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


REMEMBERED_S = 0.3
"""Time for which what the ring has said last still counts: longer than from one of its bursts to the next."""


class Heard:
    """What the ring of N flights has said last.

    Attributes:
      lately: (N,), it has said something in the last `REMEMBERED_S`.
    """

    def __init__(self, count: int) -> None:
        self.lately = np.zeros(count, np.bool_)
        self._silence_s, self._last = np.full(count, np.inf), np.zeros((3, count))

    def hear(self, read: Readings, measures: Flags) -> Readings:
        """Takes a control period; returns its readings with the ring's as last heard.

        Args:
          read: the newest readings, the ring's as if it were always on.
          measures: (N,), it is on.
        """
        new = np.stack([read.returns, read.nearness, read.power])
        self._last = np.where(measures, new, self._last)
        self._silence_s = np.where(measures, 0.0, self._silence_s + PERIOD_S)
        self.lately = self._silence_s <= REMEMBERED_S
        return read._replace(returns=self._last[0], nearness=self._last[1], power=self._last[2])


def observed(read: Readings, speed_m_s: Array, nis: Array, awake: Flags, lately: Flags) -> Array:
    """Returns the features (N, 16).

    Args:
      read: the newest readings.
      speed_m_s: (N,), estimated, level, smoothed over half a second.
      nis: (N, 5), running means by path.
      awake: (N, 5), paths whose clock runs.
      lately: (N,), the ring has measured lately.
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
    known = awake.copy()
    known[:, LIDAR] = lately
    return features(steady, read.returns, read.nearness, read.power, nis, known, lately.astype(np.float64))
