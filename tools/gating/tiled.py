"""The same chance for several copies of the same flights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shape = int | tuple[int, ...]


class Tiled:
    """Draws as a generator does, for the first of the copies, and repeats it along the first axis."""

    def __init__(self, generator: np.random.Generator, times: int) -> None:
        """Args:
        generator: source of chance.
        times: number of copies.
        """
        self._random, self._times = generator, times

    def standard_normal(self, shape: Shape) -> Array:
        """As NumPy's."""
        return self._tile(self._random.standard_normal(self._first(shape)))

    def random(self, shape: Shape) -> Array:
        """As NumPy's."""
        return self._tile(self._random.random(self._first(shape)))

    def _first(self, shape: Shape) -> tuple[int, ...]:
        count, *rest = (shape,) if isinstance(shape, int) else shape
        return (count // self._times, *rest)

    def _tile(self, drawn: Array) -> Array:
        return np.tile(drawn, (self._times, *([1] * (drawn.ndim - 1))))
