"""Bitstreams for boards, by Vivado: the only step for which it is needed.

The scripts in `syn/` have never been run: where they were written there was no Vivado.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from haltere.fpga import registers
from haltere.fpga.paths import PATHS, TICK_RATE_HZ
from haltere.fpga.registers import offset
from haltere.fpga.simulation import RTL
from haltere.policies.errors import BuildError, ConfigError

SCRIPTS = Path(__file__).parent / "syn"
NAME = "carma"
SLOWEST_MHZ, FASTEST_MHZ = 1280 * TICK_RATE_HZ / 1e6, 250.0
_ACCESS = {"r": "read-only", "w": "write-only", "rw": "read-write"}


@dataclass(frozen=True)
class Board:
    """A board with a processing system.

    Attributes:
      part: device, as Vivado names it.
      board_part: board files, as Vivado names them.
      processor: `ps7` (Zynq-7000) or `ps8` (Zynq UltraScale+).
    """

    part: str
    board_part: str
    processor: str


BOARDS = {
    "pynq-z2": Board("xc7z020clg400-1", "tul.com.tw:pynq-z2:part0:1.0", "ps7"),
    "kv260": Board("xck26-sfvc784-2LV-c", "xilinx.com:kv260_som:part0:1.4", "ps8"),
    "zcu104": Board("xczu7ev-ffvc1156-2-e", "xilinx.com:zcu104:part0:1.1", "ps8"),
}


def vivado() -> str | None:
    """Returns Vivado's program, None if it is not on the path."""
    return shutil.which("vivado")


def register_table() -> str:
    """Returns the registers for the IP's description: name, offset, access and text, one a line, by tabs."""
    lines = []
    blocks = [(register, "", 0) for register in registers.MAP]
    blocks += [(each, f"{path.name.upper()}_", at) for at, path in enumerate(PATHS) for each in registers.PATH_MAP]
    for register, prefix, path in blocks:
        for index in range(register.count):
            name = prefix + register.name + (f"_{index}" if register.count > 1 else "")
            at = offset(register.name, index, path)
            lines.append(f"{name}\t{at:#x}\t{_ACCESS[register.access]}\t{register.text}")
    return "\n".join(lines) + "\n"


def commands(board: str, folder: Path, clock_mhz: float = 100.0, board_files: bool = True) -> list[list[str]]:
    """Writes what Vivado reads into a folder, and returns the commands that make the bitstream.

    Args:
      board: of `BOARDS`.
      folder: of the build.
      clock_mhz: of the fabric; the board's own may differ, and the driver reads it back.
      board_files: Vivado has the board's files; without them the processing system keeps its defaults.
    Raises:
      ConfigError: there is no such board, or the clock is out of range.
    """
    if board not in BOARDS:
        raise ConfigError(f"--board {board!r}: the boards are {', '.join(BOARDS)}")
    if not SLOWEST_MHZ <= clock_mhz <= FASTEST_MHZ:
        raise ConfigError(f"--clock {clock_mhz:g} MHz: it must be {SLOWEST_MHZ:g} to {FASTEST_MHZ:g} MHz")
    chosen, folder = BOARDS[board], folder.resolve()
    ip = folder / "ip"
    ip.mkdir(parents=True, exist_ok=True)
    (ip / "registers.tsv").write_text(register_table())
    batch = ["vivado", "-mode", "batch", "-nojournal", "-source"]
    part = chosen.board_part if board_files else "-"
    return [
        [*batch, str(SCRIPTS / "package.tcl"), "-tclargs", str(RTL.resolve()), str(ip), chosen.part],
        [
            *batch,
            str(SCRIPTS / "build.tcl"),
            "-tclargs",
            *(str(ip), str(folder), chosen.part, part, chosen.processor, f"{clock_mhz:g}", NAME),
        ],
    ]


def build(board: str, folder: Path, clock_mhz: float = 100.0, board_files: bool = True) -> tuple[Path, Path]:
    """Makes the bitstream and its description (.hwh).

    Args:
      board, folder, clock_mhz, board_files: as of `commands`.
    Raises:
      ConfigError: as of `commands`.
      BuildError: Vivado is missing or has failed.
    """
    steps = commands(board, folder, clock_mhz, board_files)
    if vivado() is None:
        raise BuildError(
            f"Vivado is not on the path, and nothing else makes a bitstream for {BOARDS[board].part}. Install it (its "
            "free edition has this device), run its settings64 script and this command again. What Vivado reads is in "
            f"{folder}. Without Vivado: `haltere fpga test` proves the RTL, `haltere fpga synth` counts its resources, "
            "`haltere fly --world street --fpga rtl` flies on it"
        )
    for step in steps:
        if subprocess.run(step, cwd=folder).returncode:
            raise BuildError(f"Vivado has failed; its log is {folder / 'vivado.log'}")
    return folder / f"{NAME}.bit", folder / f"{NAME}.hwh"
