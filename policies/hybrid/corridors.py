"""Corridors for the pogobot: segments with a floor, a ceiling and a wanted speed.

Source: the published code of Meng & Fan 2023 (`nn_roa_planner`): `published` draws from the same random stream.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SEED = 1007
CORRIDORS = 25
FEET_M = 1.0
"""The leg's length: the mass cannot be lower above a floor."""
MARGIN_M = 0.1
SEGMENT_M = 5.0


class Corridor(NamedTuple):
    """K segments, one behind the other, from x = 0.

    Attributes:
      length: (K,) m.
      floor: (K,) m, world.
      ceiling: (K,) m, world.
      speed: (K,) m/s.
    """

    length: np.ndarray
    floor: np.ndarray
    ceiling: np.ndarray
    speed: np.ndarray

    def passable(self) -> bool:
        """Whether leg and margins fit in every segment, and through every gap between neighbours."""
        low, high = self.floor + FEET_M + MARGIN_M, self.ceiling - MARGIN_M
        return bool((low < high).all() and (low[1:] < high[:-1]).all() and (low[:-1] < high[1:]).all())

    def height(self) -> np.ndarray:
        """Apex (K,) m, world, to be held in each segment."""
        between = 0.6 * self.ceiling + 0.4 * self.floor
        return np.asarray(np.minimum(np.maximum(self.floor + 1.4, between), self.ceiling))

    def start(self) -> np.ndarray:
        """The pogobot's state (5,) at the first apex: at x = 0, half a metre per second too fast.

        Heights are above the first segment's floor.
        """
        return np.array([0.0, self.speed[0] + 0.5, self.height()[0] - self.floor[0], 0.0, 0.0])


def published(corridors: int = CORRIDORS, seed: int = SEED) -> list[Corridor]:
    """The published corridors, of four or five segments each; those that are not passable are drawn again."""
    stream = np.random.RandomState(seed)
    found: list[Corridor] = []
    while len(found) < corridors:
        corridor = _draw(stream)
        if corridor.passable():
            found.append(corridor)
    return found


def _draw(stream: np.random.RandomState) -> Corridor:
    """Draws a height of step, a speed, a ceiling, one of four shapes, and then the lengths."""
    rise = 0.5 + 0.5 * stream.rand()
    speed = 0.5 + stream.rand()
    ceiling = 1.5 + 0.5 * stream.rand()
    high = ceiling + 1.5 * rise
    low = ceiling - 0.5 * rise
    shapes = (
        ([0.0, 0.0, 0.0, 0.0], [ceiling] * 4),
        ([0.0, 0.0, rise, rise], [ceiling, high, high, high]),
        ([0.0, -rise, -rise, -rise], [ceiling, ceiling, low, low]),
        ([0.0, 0.0, 2 * rise, 0.0, 0.0], [ceiling, high, high, high, ceiling]),
    )
    shape = int(stream.randint(0, len(shapes)))
    floors, ceilings = shapes[shape]
    length, wanted = np.full(len(floors), SEGMENT_M), np.full(len(floors), speed)
    if shape == 3:
        length[2], wanted[2] = 0.6 * SEGMENT_M, 1.5 * speed
    return Corridor(length * stream.uniform(0.8, 1.2, len(floors)), np.array(floors), np.array(ceilings), wanted)
