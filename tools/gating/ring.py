"""Which beams of the ring have power, and when its samples come after it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.fpga.paths import LIDAR, TICK_RATE_HZ
from haltere.fpga.street import STREET_RING_PART
from haltere.sim.senses.suite import DELAYS, PERIOD_S, RING_WAKE_S

RING_TICKS = round((RING_WAKE_S + DELAYS["lidar"] * PERIOD_S) * TICK_RATE_HZ)
"""From its power to its first sample."""
LEAD_TICKS = 2
"""Ticks before the first control period. A sample of the ring follows its wake-up on a board, and comes at the end of a
control period here: with this lead a burst begins where its first sample comes when it would on a board."""


class Ring:
    """The rings of N flights: four beams give the position, the other four have power while everything is on.

    Attributes:
      lit: (N,), ticks in which the ring had power, by the share of its beams that had.
    """

    def __init__(self, count: int) -> None:
        self.lit = np.zeros(count)
        self._powered = np.full((count, 2), RING_TICKS)

    @property
    def measures(self) -> npt.NDArray[np.bool_]:
        """(N,), the four beams have had power for so long that they have measured."""
        return np.asarray(self._powered[:, 0] >= RING_TICKS)

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """(N,), all beams have."""
        return np.asarray(self._powered[:, 1] >= RING_TICKS)

    def tick(self, awake: npt.NDArray[np.bool_]) -> None:
        """Takes the paths whose clock ran in a tick, (N, 5)."""
        on = np.stack([awake[:, LIDAR], awake.all(axis=1)], axis=1)
        self._powered = np.where(on, self._powered + 1, 0)
        self.lit += on @ np.array([STREET_RING_PART, 1 - STREET_RING_PART])
