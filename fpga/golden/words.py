"""The register file's memory: which words can be written, how many of their bits are kept, and how they read."""

from __future__ import annotations

from haltere.fpga import registers
from haltere.fpga.golden.fixed import signed
from haltere.fpga.paths import PATHS

_BITS = {
    "GATE": 5,
    "FORCE": 5,
    "BURST": 5,
    "DWELL": 16,
    "WATCHDOG": 16,
    "REQUANTISE": 21,
    "HYSTERESIS": 8,
    "MASK": 5,
    "BIAS": 24,
}
_KEPT_BY_RESET = {"BIAS", "FUSION", "WEIGHT", *(register.name for register in registers.PATH_MAP)}
_MEMORIES = ((0x200, 0x300, "BIAS"), (0x300, 0x400, "FUSION"))


class WordMemory:
    """The words that software writes and reads back."""

    def __init__(self) -> None:
        self._words: dict[int, int] = {}
        self._bits: dict[int, int] = {}
        self._reset: dict[int, int] = {}
        for register in registers.MAP:
            if register.access == "rw":
                for index in range(register.count):
                    self._allow(registers.offset(register.name, index), register.name, register.reset)
        # The memories are powers of two long, and what lies behind their last used word is there too.
        for first, end, name in _MEMORIES:
            for offset in range(first, end, 4):
                self._allow(offset, name, 0)
        for path in range(len(PATHS)):
            start = registers.offset("CALIBRATION", 0, path)
            for offset in range(start, start + 0x100, 4):
                self._allow(offset, "CALIBRATION", 0)

    def _allow(self, offset: int, name: str, reset: int) -> None:
        self._bits[offset] = _BITS.get(name, 32)
        self._words[offset] = reset
        if name not in _KEPT_BY_RESET:
            self._reset[offset] = reset

    def reset(self) -> None:
        """Restores the registers; memories keep their words."""
        self._words.update(self._reset)

    def write(self, offset: int, value: int) -> None:
        """Stores a word; an address that cannot be written ignores it."""
        if offset in self._bits:
            self._words[offset] = value & ((1 << self._bits[offset]) - 1)

    def read(self, offset: int) -> int:
        """Returns a word as the bus reads it; zero where there is none."""
        word = self._words.get(offset, 0)
        if _MEMORIES[0][0] <= offset < _MEMORIES[0][1]:
            return signed(word, 24) & 0xFFFFFFFF
        return word

    def get(self, name: str, index: int = 0, path: int = 0) -> int:
        """Returns a register's word by name."""
        return self._words[registers.offset(name, index, path)]

    def set(self, name: str, value: int) -> None:
        """Stores a register's first word by name."""
        self.write(registers.offset(name), value)

    def signed(self, name: str, count: int, bits: int = 32, path: int = 0) -> list[int]:
        """Returns the first words of a register as signed numbers of that many bits."""
        start = registers.offset(name, 0, path)
        return [signed(self._words[start + 4 * index], bits) for index in range(count)]
