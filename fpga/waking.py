"""When a sleeping path is woken: no sooner than its sensor's next sample is due.

A receiver that stays powered keeps its rhythm, so that it is known when it speaks next. Until shortly before, the
clock of its path would run for nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.fpga.gate import Orders
from haltere.fpga.street import STREET_SENSORS

AHEAD_S = 0.04
"""Time before its sensor's next sample at which a path is woken at the latest."""
PERIODS_S = np.array([1 / sensor.rate_hz for sensor in STREET_SENSORS])
"""(5,), from one sample of each path's sensor to the next."""


def timely(orders: Orders, awake: npt.NDArray[np.bool_], quiet_s: npt.NDArray[np.float64]) -> Orders:
    """Returns the orders without the paths that would wake too early; they are to be asked for again.

    Args:
      orders: of N flights.
      awake: (N, 5), paths whose clock runs; they stay awake.
      quiet_s: (5,), since each path's sensor has last spoken, whether or not its path was awake to hear it. A sensor
        that is overdue is waited for awake.
    """
    due = awake | (quiet_s + AHEAD_S >= PERIODS_S - 1e-9)
    return Orders(orders.gate & due, orders.burst, orders.force & due)
