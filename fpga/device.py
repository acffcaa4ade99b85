"""What a driver needs of a device: the golden model, the verilated RTL and a board all have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Device(Protocol):
    """A register file and the sensors' ports behind it."""

    def read(self, offset: int) -> int:
        """Returns the word at a byte offset, unsigned."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Writes the low 32 bits of a number to the word at a byte offset."""
        ...

    def push(self, path: int, raw: Sequence[int]) -> None:
        """Hands a sensor's sample, one int16 code a channel, to a path's port."""
        ...

    def advance(self, ticks: int) -> None:
        """Lets that many 2 ms ticks pass, and their work be done. On a board this waits."""
        ...
