"""What goes wrong in flight, on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError
from haltere.sim.senses.suite import INVALID

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

STUCK, NOTHING, FLOOD, DRIVER = "ring stuck", "flow without a measurement", "ring floods its queue", "driver killed"
RESET = "FPGA reset in the middle of a period"
KINDS = (STUCK, NOTHING, FLOOD, DRIVER, RESET)
COPIES = 12
"""Of each sample of a ring that floods: more than the queue holds."""


@dataclass(eq=False)
class Faults:
    """Faults of N flights.

    Attributes:
      kind: (N), one of `KINDS` each.
      start_s: from when on.
    Raises:
      ConfigError: there is no such kind.
    """

    kind: tuple[str, ...]
    start_s: float
    _held: dict[str, Codes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.kind:
            if kind not in KINDS:
                raise ConfigError(f"no fault is called {kind!r}; the faults are {', '.join(KINDS)}")

    def have(self, kind: str, time_s: float) -> Flags:
        """Returns which flights (N,) have a fault at a time."""
        return np.array([one == kind for one in self.kind]) & (time_s >= self.start_s)

    def spoil(self, time_s: float, name: str, codes: Codes) -> Codes:
        """Returns the codes (N, channels) that a path gets instead."""
        if name == "lidar":
            stuck = self.have(STUCK, time_s)[:, None]
            codes = np.where(stuck, self._held.get(name, codes), codes)
            self._held[name] = codes
        if name == "flow":
            codes = np.where(self.have(NOTHING, time_s)[:, None], INVALID, codes)
        return codes
