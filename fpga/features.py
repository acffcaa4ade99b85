"""What the context is known by: 16 numbers, from sensors that stay on and from those that happen to be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEATURES = (
    "brightness",
    "contrast",
    "shimmer",
    "vibration",
    "downward return",
    "fix",
    "satellites",
    "clutter",
    "speed",
    "returns",
    "nearness",
    "return power",
    "NIS of flow",
    "NIS of GPS",
    "NIS of lidar",
    "lidar on",
)
"""In this order everywhere. All but the last seven come from sensors that are never switched off."""
ALWAYS = 9
"""Features that are there whatever sleeps."""
DECISION_RATE_HZ = 20.0
WINDOW = 20
"""Decisions in the second over which attention looks."""


def features(
    steady: Array,
    returns: Array,
    nearness: Array,
    power: Array,
    nis: Array,
    awake: npt.NDArray[np.bool_],
    scanning: Array,
) -> Array:
    """Puts the features together; those of what is off are 0.

    Args:
      steady: (N, 9), the first nine, already as logarithms where that is their measure.
      returns, nearness, power: (N,), of the ring.
      nis: (N, 5), running means by path.
      awake: (N, 5), paths whose clock runs.
      scanning: (N,), 1 where the ring turns and measures.
    """
    level = np.log10(1e-2 + nis) * awake
    ring = np.column_stack([returns, nearness, power]) * scanning[:, None]
    return np.column_stack([steady, ring, level[:, 1], level[:, 3], level[:, 2] * scanning, scanning])
