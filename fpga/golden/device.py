"""The golden model as a device: its registers, read and written as a driver reads and writes a board's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from haltere.fpga import registers
from haltere.fpga.golden.core import Core
from haltere.fpga.golden.fixed import FRACTION_BITS, signed
from haltere.fpga.golden.words import WordMemory
from haltere.fpga.paths import ALL_PATHS, PATHS, TICK_RATE_HZ
from haltere.fpga.registers import offset

_MEMORY_START = 0x100
_COUNT = (1 << registers.COUNT_BITS) - 1


class GoldenDevice:
    """One device, as `haltere.fpga.device.Device` describes it.

    Attributes:
      core: what is behind the registers.
    """

    def __init__(self) -> None:
        self._memory = WordMemory()
        self.core = Core(self._memory)
        self._high: dict[int, int] = {}
        self._readers: dict[int, Callable[[], int]] = {}
        self._writers: dict[int, Callable[[int], None]] = {
            offset("CONTROL"): self._control,
            offset("HEARTBEAT"): lambda value: self.core.governor.heartbeat(),
            offset("RELOAD"): lambda value: self.core.ask_reload(value & ALL_PATHS, bool(value >> 8 & 1)),
            offset("CLASSIFY"): lambda value: self.core.classify(),
            offset("PUSH"): self._push,
        }
        self._map_design()
        for path in range(len(PATHS)):
            self._map_path(path)

    def push(self, path: int, raw: Sequence[int]) -> None:
        """Hands a sample to a path's port: its number, and one int16 code a channel."""
        self.core.push(path, raw)

    def advance(self, ticks: int) -> None:
        """Works that many ticks."""
        self.core.advance(ticks)

    def write(self, address: int, value: int) -> None:
        """Writes the word at a byte offset; one that cannot be written ignores it."""
        self._memory.write(address, value)
        self.core.stale |= address >= _MEMORY_START
        if address in self._writers:
            self._writers[address](value)

    def read(self, address: int) -> int:
        """Returns the word at a byte offset, unsigned; zero where there is none."""
        if address in self._readers:
            return self._readers[address]() & 0xFFFFFFFF
        return self._memory.read(address)

    def _control(self, value: int) -> None:
        if value & 1:
            self.core.reset()
            self._high.clear()

    def _push(self, value: int) -> None:
        if value < len(PATHS):
            words = [self._memory.get("SAMPLE", index) for index in range(4)]
            codes = [signed(word >> shift, 16) for word in words for shift in (0, 16)]
            self.core.push(value, codes[: PATHS[value].channels])

    def _map_pair(self, low: int, count: Callable[[], int]) -> None:
        def read_low() -> int:
            self._high[low] = count() >> 32
            return count()

        self._readers[low] = read_low
        self._readers[low + 4] = lambda: self._high.get(low, 0)

    def _map_design(self) -> None:
        core = self.core
        words: dict[str, Callable[[], int]] = {
            "ID": lambda: registers.ID,
            "VERSION": lambda: registers.VERSION,
            "CAPABILITY": lambda: TICK_RATE_HZ << 16 | FRACTION_BITS << 8 | len(PATHS),
            "STATUS": lambda: core.governor.awake | core.governor.expired << 8,
            "SUGGESTION": lambda: core.suggestion.mask | core.suggestion.context << 8 | core.suggestion.known << 16,
            "TICKS": lambda: core.ticks,
            "EXPIRIES": lambda: core.governor.expiries & _COUNT,
            "BEST": lambda: core.best,
            "MARGIN": lambda: core.margin,
            "CLASSIFIED": lambda: core.classified & _COUNT,
        }
        self._readers.update({offset(name): reader for name, reader in words.items()})
        self._map_pair(offset("CYCLES_LO"), lambda: core.cycles)
        for axis in range(3):
            self._readers[offset("POSITION", axis)] = lambda axis=axis: int(core.fuser.position[axis])  # type: ignore[misc]
            self._readers[offset("VELOCITY", axis)] = lambda axis=axis: int(core.fuser.velocity[axis])  # type: ignore[misc]

    def _map_path(self, path: int) -> None:
        core, bit = self.core, 1 << path
        words: dict[str, Callable[[], int]] = {
            "SAMPLES": lambda: int(core.paths[path].state.samples) & _COUNT,
            "DROPPED": lambda: core.paths[path].dropped & _COUNT,
            "OVERFLOWS": lambda: core.paths[path].overflows & _COUNT,
            "REJECTED": lambda: int(core.paths[path].state.rejected) & _COUNT,
            "SWITCHES": lambda: core.governor.switches[path] & _COUNT,
            "STATE": lambda: (
                int(core.paths[path].state.valid) << 31
                | bool(core.governor.awake & bit) << 30
                | int(core.fuser.usable[path]) << 29
                | int(core.fuser.consistent[path]) << 28
                | len(core.paths[path].queue) << 16
                | int(core.paths[path].state.age)
            ),
            "NIS": lambda: int(core.paths[path].state.nis),
            "NIS_SUM": lambda: int(core.paths[path].state.nis_sum),
            "REPEATS": lambda: int(core.paths[path].state.repeats),
        }
        self._readers.update({offset(name, 0, path): reader for name, reader in words.items()})
        self._map_pair(offset("ACTIVE_LO", 0, path), lambda: core.active[path])
        for place, axis in enumerate(PATHS[path].axes):
            for name, attribute in (
                ("INNOVATION", "innovation"),
                ("PATH_POSITION", "position"),
                ("PATH_VELOCITY", "velocity"),
            ):
                self._readers[offset(name, axis, path)] = lambda attribute=attribute, place=place: int(  # type: ignore[misc]
                    getattr(core.paths[path].state, attribute)[place]
                )
