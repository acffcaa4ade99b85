"""Flights whose context changes on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.sim.senses.conditions import CONTEXTS, UNKNOWN, Conditions, draw

NAMES = (*CONTEXTS, *UNKNOWN)
"""Contexts by number; those behind the known ones are unknown."""
KNOWN = len(CONTEXTS)


@dataclass(frozen=True, eq=False)
class Scenarios:
    """N flights of K stretches.

    Attributes:
      context: (N, K), numbers of contexts.
      conditions: of each stretch.
      stretch_s: length of each stretch.
      phase: (N, 3), rad, of the reference.
    """

    context: npt.NDArray[np.int64]
    conditions: tuple[Conditions, ...]
    stretch_s: tuple[float, ...]
    phase: npt.NDArray[np.float64]

    @property
    def count(self) -> int:
        """N."""
        return len(self.context)

    def repeated(self, times: int) -> Scenarios:
        """Returns the same flights so many times, one behind the other."""
        index = np.tile(np.arange(self.count), times)
        conditions = tuple(one.take(index) for one in self.conditions)
        return Scenarios(self.context[index], conditions, self.stretch_s, self.phase[index])

    def stretch_at(self, time_s: float) -> int:
        """Returns the number of the stretch at a time."""
        ends = np.cumsum(self.stretch_s)
        return min(int(np.searchsorted(ends, time_s, side="right")), len(ends) - 1)


def scenarios(context: Sequence[Sequence[int]], stretch_s: Sequence[float], seed: int) -> Scenarios:
    """Draws conditions and references of flights.

    Args:
      context: (N, K), numbers of contexts.
      stretch_s: (K,), lengths.
      seed: of all draws.
    """
    random = np.random.default_rng(seed)
    table = np.array(context, np.int64)
    drawn = tuple(draw([NAMES[number] for number in column], random) for column in table.T)
    return Scenarios(table, drawn, tuple(stretch_s), random.uniform(0, 2 * np.pi, (len(table), 3)))


def every_context(seeds: int, seed: int, stretch_s: Sequence[float], extra: Sequence[int] = ()) -> Scenarios:
    """Returns flights that begin in clear weather, go through each context, and end in another one.

    Args:
      seeds: flights of each context.
      seed: of all draws.
      stretch_s: three lengths.
      extra: contexts besides the known ones.
    """
    random = np.random.default_rng([seed, 1])
    rows = []
    for number in (*range(KNOWN), *extra):
        for _ in range(seeds):
            first = 0 if number else int(random.integers(1, KNOWN))
            last = int(random.choice([other for other in range(KNOWN) if other != number]))
            rows.append((first, number, last))
    return scenarios(rows, stretch_s, seed)
