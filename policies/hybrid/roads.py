"""Maps of dry and icy road: broken lines whose friction changes in the middle of each piece.

Source: the published code of Meng & Fan 2023 (`nn_roa_planner`, car planner): `published` draws the same maps from the
same random stream.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PIECES = 10
PIECE_M = 15.0
LENGTH_FACTORS = (2.5, 1.0, 0.5)
FRICTIONS = (1.0, 0.1)
TURN_RAD = np.pi / 6
TURN_FACTORS = (1.5, 1.0, 0.5, -0.5, -1.0, -1.5)
FIRST_HEADINGS_RAD = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)
SEED = 1007
MAPS = 25


class Roads(NamedTuple):
    """Broken lines of K pieces, one for each of V cars.

    Attributes:
      knots: (K + 1, 2, V) m, world; the first is the origin.
      friction: (K + 1, V) factor at each knot, which holds to the middle of the pieces on both sides.
    """

    knots: np.ndarray
    friction: np.ndarray

    def halves(self) -> Halves:
        """The halves of all pieces, on each of which friction and heading are constant."""
        begin, way = self.knots[:-1], np.diff(self.knots, axis=0)
        start = np.stack([begin, begin + way / 2], axis=1).reshape(-1, *way.shape[1:])
        friction = np.stack([self.friction[:-1], self.friction[1:]], axis=1).reshape(-1, way.shape[-1])
        half = np.repeat(way / 2, 2, axis=0)
        return Halves(friction, start, np.arctan2(half[:, 1], half[:, 0]), np.hypot(half[:, 0], half[:, 1]))


class Halves(NamedTuple):
    """2K half pieces for V cars.

    Attributes:
      friction: (2K, V).
      start: (2K, 2, V) m, world.
      heading: (2K, V) rad.
      length: (2K, V) m.
    """

    friction: np.ndarray
    start: np.ndarray
    heading: np.ndarray
    length: np.ndarray


def published(maps: int = MAPS, seed: int = SEED) -> Roads:
    """The published maps.

    The legacy generator is what makes them the same. Of each map, the frictions are drawn first, then for each piece
    its length and its turn; the first piece then draws its heading instead.
    """
    stream = np.random.RandomState(seed)
    drawn = [_draw(stream) for _ in range(maps)]
    return Roads(np.stack([knots for knots, _ in drawn], axis=-1), np.stack([mu for _, mu in drawn], axis=-1))


def _draw(stream: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Knots (K + 1, 2) and frictions (K + 1,) of one map."""
    friction = stream.choice(FRICTIONS, PIECES + 1)
    knots = [np.zeros(2)]
    heading = 0.0
    for piece in range(PIECES):
        length = PIECE_M * stream.choice(LENGTH_FACTORS)
        heading += TURN_RAD * stream.choice(TURN_FACTORS)
        if piece == 0:
            heading = stream.choice(FIRST_HEADINGS_RAD)
        knots.append(knots[-1] + length * np.array([np.cos(heading), np.sin(heading)]))
    return np.stack(knots), friction
