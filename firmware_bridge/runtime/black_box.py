"""The flight's black box: a ring in a mapped file, which outlives a killed process.

Writing a record copies some 170 bytes into memory that the kernel owns; nothing is flushed, formatted or
allocated in the control loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from haltere.policies.contract import ACTION_SIZE, OBSERVATION_SIZE, FloatArray
from haltere.policies.errors import ConfigError

RECORD = np.dtype(
    [
        ("index", "<u8"),  # counts from 1; 0 is an empty place
        ("time_ns", "<u8"),  # the runtime's monotonic clock
        ("state_valid_us", "<u4"),  # the flight controller's clock
        ("inference_ns", "<u4"),
        ("mode", "u1"),
        ("life_cycle", "u1"),
        ("status", "<u2"),
        ("frames_dropped", "<u4"),  # bad frames received so far
        ("observation", "<f4", OBSERVATION_SIZE),
        ("action", "<f4", ACTION_SIZE),
    ]
)
DEFAULT_RECORDS = 1 << 15
"""Five minutes at 100 Hz, 4 MB."""


class BlackBox:
    """Keeps the last records of a runtime.

    Args:
      path: the file; None keeps the ring in memory only. The file of the run before is kept as
        `NAME.previous`: a runtime that is restarted after a crash must not overwrite what tells of it.
      records: length of the ring.
    Raises:
      ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None, records: int = DEFAULT_RECORDS) -> None:
        if path is None:
            self._ring: npt.NDArray[np.void] = np.zeros(records, RECORD)
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    path.replace(path.with_name(f"{path.name}.previous"))
                self._ring = np.memmap(path, RECORD, "w+", shape=(records,))
            except OSError as error:
                raise ConfigError(f"black box {path}: cannot be written ({error.strerror})") from error
        self._columns = [self._ring[name] for name in RECORD.names or ()]
        self._written = 0

    def write(
        self,
        time_ns: int,
        state_valid_us: int,
        inference_ns: int,
        mode: int,
        life_cycle: int,
        status: int,
        frames_dropped: int,
        observation: FloatArray,
        action: Sequence[float],
    ) -> None:
        """Writes one record; the index goes last, so that a torn record is not taken for a whole one."""
        place = self._written % self._ring.size
        index, time, valid, inference, modes, cycles, statuses, dropped, observations, actions = self._columns
        index[place] = 0
        time[place] = time_ns
        valid[place] = state_valid_us
        inference[place] = min(inference_ns, 0xFFFFFFFF)
        modes[place] = mode
        cycles[place] = life_cycle
        statuses[place] = status
        dropped[place] = frames_dropped & 0xFFFFFFFF
        observations[place] = observation
        actions[place] = action
        self._written += 1
        index[place] = self._written


def read_black_box(path: Path) -> npt.NDArray[np.void]:
    """Reads a black box, of a running, ended or killed runtime.

    Returns:
      Records of type `RECORD`, oldest first.
    """
    ring = np.fromfile(path, RECORD)
    ring = ring[ring["index"] > 0]
    return ring[np.argsort(ring["index"])]
