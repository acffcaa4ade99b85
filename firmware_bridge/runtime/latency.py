"""A histogram of latencies that allocates nothing when a value is added."""

from __future__ import annotations

import numpy as np

_PER_OCTAVE = 16
_OCTAVES = 24
_NS_PER_US = 1e3


class LatencyHistogram:
    """Counts latencies in bins of constant ratio (about 4 %), from 1 µs to 16 s."""

    def __init__(self) -> None:
        self._counts = np.zeros(_OCTAVES * _PER_OCTAVE, np.int64)
        self.max_us = 0.0

    def add(self, latency_ns: int) -> None:
        """Counts one latency, in nanoseconds."""
        us = latency_ns / _NS_PER_US
        if us > self.max_us:
            self.max_us = us
        whole = max(1, latency_ns // 1000)
        octave = whole.bit_length() - 1
        part = int((us / (1 << octave) - 1.0) * _PER_OCTAVE)
        index = octave * _PER_OCTAVE + min(max(part, 0), _PER_OCTAVE - 1)
        self._counts[min(index, self._counts.size - 1)] += 1

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def percentile_us(self, percent: float) -> float:
        """Upper edge, in µs, of the bin that holds the percentile; 0 when nothing was counted."""
        total = self.count
        if total == 0:
            return 0.0
        rank = int(np.searchsorted(np.cumsum(self._counts), total * percent / 100, side="left"))
        octave, part = divmod(min(rank, self._counts.size - 1), _PER_OCTAVE)
        edge = float((1 << octave) * (1 + (part + 1) / _PER_OCTAVE))
        return min(edge, self.max_us)
