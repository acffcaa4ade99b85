"""A street as boxes, and what a ray meets in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]

RING = np.array([[math.cos(a), math.sin(a), 0.0] for a in np.arange(8) * math.pi / 4])
"""(8, 3) directions of the range ring's beams, level, every 45 degrees from world x."""
DOWN = np.array([[0.0, 0.0, -1.0]])
REFLECTIVITY = 0.6
"""Of walls and ground at the lasers' wavelength: light plaster. An assumption."""


@dataclass(frozen=True, eq=False)
class Street:
    """Boxes on flat ground at height 0.

    Attributes:
      low, high: (B, 3) corners, world, m.
    Raises:
      ConfigError: a box is inside out.
    """

    low: Array
    high: Array

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.ndim != 2 or not np.all(self.low < self.high):
            raise ConfigError(f"boxes from {self.low.tolist()} to {self.high.tolist()}: low must lie below high")

    def ranges(self, origin: Array, direction: Array) -> Array:
        """Returns how far rays go until they meet a box or the ground.

        Args:
          origin: (N, 3), world, m.
          direction: (R, 3) unit vectors, world.
        Returns:
          (N, R), m; infinite where a ray meets nothing, 0 from within a box.
        Source: the slab method, Kay & Kajiya 1986.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = 1.0 / direction
            first = (self.low[None, None] - origin[:, None, None]) * slope[None, :, None]
            second = (self.high[None, None] - origin[:, None, None]) * slope[None, :, None]
            enter = np.fmax.reduce(np.fmin(first, second), axis=-1)
            leave = np.fmin.reduce(np.fmax(first, second), axis=-1)
            ground = np.where(direction[:, 2] < 0, -origin[:, None, 2] * slope[:, 2], np.inf)
        met = np.where((leave >= enter) & (leave >= 0), np.maximum(enter, 0.0), np.inf)
        return np.asarray(np.minimum(met.min(axis=-1, initial=np.inf), np.maximum(ground, 0.0)))


ROOM_M = (11.0, 8.0)
"""Length (x) and width (y) of the blind alley."""


def blind_alley(height_m: float = 9.0) -> Street:
    """Returns a street closed at both ends, its middle at the origin, with cars along its sides.

    The cars are lower than the flight, so that the ring sees the walls above them.
    """
    x, y, thick = ROOM_M[0] / 2, ROOM_M[1] / 2, 1.0
    houses = [
        ((-x - thick, y, 0), (x + thick, y + thick, height_m)),
        ((-x - thick, -y - thick, 0), (x + thick, -y, height_m)),
        ((x, -y, 0), (x + thick, y, height_m)),
        ((-x - thick, -y, 0), (-x, y, height_m)),
    ]
    cars = [((at, side * y - 0.4, 0), (at + 0.6, side * y + 0.4, 0.8)) for at in (-4.5, -3) for side in (-0.9, 0.9)]
    low, high = (np.array([box[end] for box in houses + cars], np.float64) for end in (0, 1))
    return Street(low, high)
