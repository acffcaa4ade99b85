"""Errors that wander: first-order Gauss-Markov processes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Drift:
    """N vectors that wander on their own.

    Source: Gelb, Applied Optimal Estimation, 1974.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        count: int,
        size: int,
        deviation: float,
        time_s: float,
        settled: bool = False,
    ) -> None:
        """Args:
        generator: source of chance.
        count: N.
        size: of each vector.
        deviation: standard deviation, once settled.
        time_s: correlation time.
        settled: start with that deviation; otherwise start at zero, as an error does that is reckoned from take-off.
        """
        self._random = generator
        self._value = deviation * generator.standard_normal((count, size))
        self._zero = np.zeros_like(self._value) if settled else self._value.copy()
        self._deviation = deviation
        self._time_s = time_s

    def step(self, period_s: float) -> Array:
        """Advances by a period; returns the errors, (N, size)."""
        keep = math.exp(-period_s / self._time_s)
        noise = self._deviation * self._random.standard_normal(self._value.shape)
        self._value = keep * self._value + math.sqrt(1 - keep**2) * noise
        return self._value - self._zero
