"""A sensing path: door, queue and filter (`rtl/carma_path.v`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from haltere.fpga.golden import filter as kalman
from haltere.fpga.golden.fixed import Words
from haltere.fpga.paths import QUEUE_DEPTH, Path

_YES = np.ones((), np.bool_)


class GoldenPath:
    """One path of one device.

    Attributes:
      path: its shape.
      state: its filter's.
      queue: samples that wait for the next tick.
      dropped: samples that came while gated, or were queued at a reload.
      overflows: samples that found the queue full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = kalman.initial_state(path)
        self.queue: deque[tuple[int, ...]] = deque()
        self.dropped = 0
        self.overflows = 0

    def push(self, raw: Sequence[int], awake: bool) -> None:
        """Queues a sample, one int16 code a channel; drops it if the path is gated, loses it if the queue is full."""
        if not awake:
            self.dropped += 1
        elif len(self.queue) == QUEUE_DEPTH:
            self.overflows += 1
        else:
            self.queue.append(tuple(raw))

    def reload(self, position: Words, velocity: Words) -> None:
        """Starts anew from the fuser's state, (axes,) Q12.20, without what is queued."""
        self.state = kalman.reload(self.state, position, velocity, _YES)
        self.dropped += len(self.queue)
        self.queue.clear()

    def work(
        self, config: kalman.FilterConfig, velocity_step: Words, fused: tuple[Words, Words], displacement: Words
    ) -> None:
        """Works a tick: prediction, then every queued sample.

        Args:
          config: calibration and gains.
          velocity_step: (axes,), change of velocity in the tick, Q12.20.
          fused: the fuser's prediction of position and velocity, (axes,) each, Q12.20.
          displacement: (axes,), motion since the samples were measured, Q12.20.
        """
        self.state = kalman.predict(self.path, self.state, velocity_step, _YES)
        while self.queue:
            raw = np.array(self.queue.popleft(), np.int64)
            self.state = kalman.update(self.path, config, self.state, raw, fused, displacement, _YES)
