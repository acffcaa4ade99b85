"""The path through the street: three sines, flown the faster the greater the haste."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

AMPLITUDE_M = np.array([1.2, 0.9, 0.2])
RATE_RAD_S = np.array([0.62, 0.83, 0.45])
CENTRE_M = np.array([0.0, 0.0, 1.5])


def reference(angle_s: Array, phase: Array, pace: Array) -> tuple[Array, Array]:
    """Returns position (N, 3), m, and velocity (N, 3), m/s, world.

    Args:
      angle_s: (N,), time flown at the usual pace, s.
      phase: (N, 3), rad.
      pace: (N,), rate over the usual one.
    """
    angle = angle_s[:, None] * RATE_RAD_S + phase
    return CENTRE_M + AMPLITUDE_M * np.sin(angle), AMPLITUDE_M * RATE_RAD_S * np.cos(angle) * pace[:, None]
