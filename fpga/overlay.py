"""PYNQ driver of the gated sensing paths, on a board or on a simulated one (`haltere.fpga.simulated`).

It touches the hardware through the `mmio` that PYNQ gives it, and nothing else. Needs the extra `fpga` (PYNQ 4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pynq import Clocks, DefaultIP

from haltere.fpga import registers
from haltere.fpga.golden.fixed import FRACTION_BITS, signed
from haltere.fpga.paths import ALL_PATHS, PATHS, TICK_RATE_HZ
from haltere.fpga.registers import offset
from haltere.policies.errors import ConfigError, LinkTimeout, VersionMismatch

_ACCESS = {"r": "read-only", "w": "write-only", "rw": "read-write"}
SHORTEST_TICK_CYCLES = 1280
"""A tick with every queue full is worked in this many clock cycles."""


@dataclass(frozen=True)
class Status:
    """What runs, and whether software is still believed to live.

    Attributes:
      awake: paths whose clock runs, as a mask.
      expired: the watchdog has opened everything, or no heartbeat has come since reset.
      suggestion: paths that the classifier would have run, as a mask.
      context: the class that it has found, None if it knows none.
      expiries, overruns: times that the watchdog expired and that a tick was lost.
    """

    awake: int
    expired: bool
    suggestion: int
    context: int | None
    expiries: int
    overruns: int


@dataclass(frozen=True)
class Activity:
    """One path's counters since reset.

    Attributes:
      active_cycles: clock cycles in which its clock ran.
      samples, dropped, overflows, rejected: samples filtered; come while gated; that found the queue full; with the
        code 0x8000.
      switches: times that the path was switched.
      valid, awake, usable, consistent: of the path's state now.
      age_ticks: since its last sample; 65535 if there was none since it woke.
      nis: running mean of the normalised innovation squared.
    """

    active_cycles: int
    samples: int
    dropped: int
    overflows: int
    rejected: int
    switches: int
    valid: bool
    awake: bool
    usable: bool
    consistent: bool
    age_ticks: int
    nis: float


class CarmaGate(DefaultIP):  # type: ignore[misc]
    """The driver, which PYNQ binds to the design when its overlay is loaded.

    Attributes:
      sleep: lets seconds pass; a simulated board's own takes the place of `time.sleep`.
      timeout_s: longest wait for a tick that is due.
    """

    bindto = ("haltere:user:carma_gate:1.0",)

    def __init__(self, description: dict[str, Any]) -> None:
        """Binds to the design and checks what it is.

        Args:
          description: from PYNQ; the registers are filled in where the .hwh has none.
        Raises:
          VersionMismatch: another design answers, or this one in another major version.
          LinkTimeout: nothing answers.
        """
        named = {"fullpath": description.get("fullpath", "carma_gate")}
        found = description.get("registers") or register_description()
        super().__init__({**description, **named, "registers": found})
        self.sleep: Callable[[float], None] = time.sleep
        self.timeout_s = 0.5
        identity, version = self.read(offset("ID")), self.read(offset("VERSION"))
        if identity != registers.ID:
            raise VersionMismatch(
                f"the register ID reads {identity:#010x}, expected {registers.ID:#010x} ('CARM'): "
                "another design is loaded, or this one at another address"
            )
        if version >> 16 != registers.VERSION >> 16:
            raise VersionMismatch(
                f"the register VERSION reads {version >> 16}.{version & 0xFFFF}, this driver is for "
                f"{registers.VERSION >> 16}.x: load the bitstream that belongs to it"
            )

    def read(self, offset: int = 0) -> int:
        """Returns the word at a byte offset, unsigned.

        Raises:
          LinkTimeout: the bus did not answer.
        """
        try:
            return int(self.mmio.read(offset))
        except OSError as error:
            raise LinkTimeout(f"the read at {offset:#x} failed ({error}); does the design's clock run?") from error

    def write(self, offset: int, value: int) -> None:
        """Writes the low 32 bits of a number to the word at a byte offset.

        Raises:
          LinkTimeout: the bus did not answer.
        """
        try:
            self.mmio.write(offset, int(value) & 0xFFFFFFFF)
        except OSError as error:
            raise LinkTimeout(f"the write at {offset:#x} failed ({error}); does the design's clock run?") from error

    @property
    def clock_hz(self) -> float:
        """Frequency of FCLK0, which clocks the design, as the clock registers have it now."""
        return float(Clocks.fclk0_mhz) * 1e6

    def start(self) -> None:
        """Makes a tick 2 ms long with the clock that there is, and shows that software lives.

        Raises:
          ConfigError: the clock is too slow for a tick's work.
        """
        cycles = round(self.clock_hz / TICK_RATE_HZ)
        if cycles < SHORTEST_TICK_CYCLES:
            least = SHORTEST_TICK_CYCLES * TICK_RATE_HZ / 1e6
            raise ConfigError(f"FCLK0 is {self.clock_hz / 1e6:g} MHz; it must be {least:g} MHz or more")
        self.write(offset("TICK_CYCLES"), cycles)
        self.heartbeat()

    def heartbeat(self) -> None:
        """Shows that software lives; without it the watchdog opens everything."""
        self.write(offset("HEARTBEAT"), 1)

    def gate(self, paths: int) -> None:
        """Asks for a set of paths, a mask; the minimum dwell and safety have their say.

        Raises:
          ConfigError: not a mask of paths.
        """
        self._mask("paths", paths)
        self.write(offset("GATE"), paths)

    def burst(self, paths: int, on_ticks: int, period_ticks: int) -> None:
        """Lets paths that are asked for run in bursts only.

        Args:
          paths: mask; 0 ends the bursts.
          on_ticks: of a burst.
          period_ticks: from one to the next.

        Raises:
          ConfigError: not a mask of paths, or not 0 <= on_ticks <= period_ticks <= 65535.
        """
        self._mask("paths", paths)
        if not 0 <= on_ticks <= period_ticks <= 0xFFFF:
            raise ConfigError(
                f"on_ticks is {on_ticks}, period_ticks {period_ticks}; they must be 0 to 65535, the first not greater"
            )
        self.write(offset("BURST_TICKS"), period_ticks << 16 | on_ticks)
        self.write(offset("BURST"), paths)

    def force(self, paths: int) -> None:
        """Forces paths on, a mask, at the next tick, whatever was asked for.

        Raises:
          ConfigError: not a mask of paths.
        """
        self._mask("paths", paths)
        self.write(offset("FORCE"), paths)

    def seed(self, position_m: Sequence[float], velocity_m_s: Sequence[float]) -> None:
        """Starts fuser and paths from a state in the world's frame, at the next tick.

        Raises:
          ConfigError: a number is not within +-2048.
        """
        for name, values in (("SEED_POSITION", position_m), ("SEED_VELOCITY", velocity_m_s)):
            for axis, value in enumerate(values):
                word = round(value * (1 << FRACTION_BITS)) if abs(value) < 2048 else None
                if word is None:
                    raise ConfigError(f"{name}[{axis}] is {value:g}; it must lie within +-2048")
                self.write(offset(name, axis), word)
        self.write(offset("RELOAD"), 0x100 | ALL_PATHS)

    def push(self, path: int, raw: Sequence[int]) -> None:
        """Hands over a sample that software has taken: a path's number, and one int16 code a channel.

        Raises:
          ConfigError: there is no such path, the sample has another length, or a code is no int16.
        """
        if not 0 <= path < len(PATHS):
            raise ConfigError(f"path is {path}; it must be 0 to {len(PATHS) - 1}")
        channels = PATHS[path].channels
        if len(raw) != channels or not all(-(1 << 15) <= code < 1 << 15 for code in raw):
            raise ConfigError(f"a sample of {PATHS[path].name} is {channels} codes of -32768 to 32767, not {list(raw)}")
        codes = [code & 0xFFFF for code in raw] + [0]
        for index in range((channels + 1) // 2):
            self.write(offset("SAMPLE", index), codes[2 * index] | codes[2 * index + 1] << 16)
        self.write(offset("PUSH"), path)

    def advance(self, ticks: int) -> None:
        """Waits until that many ticks have passed and are worked.

        Raises:
          LinkTimeout: they do not come.
        """
        first = self.read(offset("TICKS"))
        waited_s = 0.0
        while True:
            left = ticks - ((self.read(offset("TICKS")) - first) & 0xFFFFFFFF)
            if left <= 0 and not self.read(offset("STATUS")) >> 9 & 1:
                return
            if waited_s > ticks / TICK_RATE_HZ + self.timeout_s:
                raise LinkTimeout(
                    f"{max(left, 0)} of {ticks} ticks did not come in {waited_s:.2f} s; TICK_CYCLES is "
                    f"{self.read(offset('TICK_CYCLES'))}, the clock {self.clock_hz / 1e6:g} MHz: call start()"
                )
            pause_s = max(left, 1) / TICK_RATE_HZ
            self.sleep(pause_s)
            waited_s += pause_s

    def status(self) -> Status:
        """Returns what runs."""
        status, suggestion = self.read(offset("STATUS")), self.read(offset("SUGGESTION"))
        return Status(
            awake=status & ALL_PATHS,
            expired=bool(status >> 8 & 1),
            suggestion=suggestion & ALL_PATHS,
            context=suggestion >> 8 & 0xF if suggestion >> 16 & 1 else None,
            expiries=self.read(offset("EXPIRIES")),
            overruns=self.read(offset("OVERRUNS")),
        )

    def state(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the fused position (m) and velocity (m/s) of one tick, in the world's frame.

        Raises:
          LinkTimeout: no quiet moment between two ticks was found.
        """
        for _ in range(100):
            before = self.read(offset("TICKS")), self.read(offset("STATUS")) >> 9 & 1
            position, velocity = (
                tuple(signed(self.read(offset(name, axis))) / (1 << FRACTION_BITS) for axis in range(3))
                for name in ("POSITION", "VELOCITY")
            )
            if before == (self.read(offset("TICKS")), 0) and not self.read(offset("STATUS")) >> 9 & 1:
                return position, velocity
        raise LinkTimeout("in 100 attempts a tick was always in work; TICK_CYCLES is too short: call start()")

    def activity(self, path: int) -> Activity:
        """Returns a path's counters."""
        word = self.read(offset("STATE", 0, path))
        return Activity(
            active_cycles=self._pair("ACTIVE", path),
            samples=self.read(offset("SAMPLES", 0, path)),
            dropped=self.read(offset("DROPPED", 0, path)),
            overflows=self.read(offset("OVERFLOWS", 0, path)),
            rejected=self.read(offset("REJECTED", 0, path)),
            switches=self.read(offset("SWITCHES", 0, path)),
            valid=bool(word >> 31),
            awake=bool(word >> 30 & 1),
            usable=bool(word >> 29 & 1),
            consistent=bool(word >> 28 & 1),
            age_ticks=word & 0xFFFF,
            nis=self.read(offset("NIS", 0, path)) / 256,
        )

    def cycles(self) -> int:
        """Returns the clock cycles since reset."""
        return self._pair("CYCLES", 0)

    def reset(self) -> None:
        """Resets all but the bus and the memories."""
        self.write(offset("CONTROL"), 1)

    def _pair(self, name: str, path: int) -> int:
        low = self.read(offset(f"{name}_LO", 0, path))
        return self.read(offset(f"{name}_HI", 0, path)) << 32 | low

    @staticmethod
    def _mask(name: str, value: int) -> None:
        if not 0 <= value <= ALL_PATHS:
            raise ConfigError(f"{name} is {value:#x}; it must be a mask of 0 to {ALL_PATHS:#x}")


def register_description() -> dict[str, dict[str, Any]]:
    """Returns the register map as PYNQ has it from a .hwh; a path's registers have its name in front."""
    found: dict[str, dict[str, Any]] = {}
    blocks = [(register, "", 0) for register in registers.MAP]
    blocks += [(each, f"{path.name.upper()}_", at) for at, path in enumerate(PATHS) for each in registers.PATH_MAP]
    for register, prefix, path in blocks:
        for index in range(register.count):
            name = prefix + register.name + (f"_{index}" if register.count > 1 else "")
            found[name] = {
                "address_offset": offset(register.name, index, path),
                "access": _ACCESS[register.access],
                "size": 32,
                "description": register.text,
            }
    return found
