"""The register map: the one truth of driver, golden model and RTL, whose header is written from it.

All registers are 32-bit words; a write of part of a word is refused with SLVERR. An address that is not listed reads
as zero and ignores writes. `python -m haltere.fpga.registers` writes the header.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ID = 0x4341524D
"""`CARM`: what the register `ID` reads."""
VERSION = 0x0001_0001
"""Major version in the upper half: a driver refuses another one."""

COUNT_BITS = 24
"""Counters of events wrap at this width; those of cycles have 64 bits, that of ticks 32."""

HEADER = Path(__file__).parent / "rtl" / "registers.vh"


@dataclass(frozen=True)
class Register:
    """One word, or `count` words side by side.

    Attributes:
      name: as in the driver and, in front of it `WORD_`, in the RTL.
      offset: bytes from the start of the map, or of the path's block.
      access: `r`, `w` or `rw`.
      text: what it is, with its unit.
      reset: value after reset; of no account where the hardware writes.
      count: words.
    """

    name: str
    offset: int
    access: str
    text: str
    reset: int = 0
    count: int = 1


MAP = (
    Register("ID", 0x000, "r", "identity, 'CARM'", ID),
    Register("VERSION", 0x004, "r", "major and minor version of this map, 16 bits each", VERSION),
    Register("CAPABILITY", 0x008, "r", "number of paths [7:0], fraction bits of a word [15:8], ticks a second [31:16]"),
    Register("CONTROL", 0x00C, "w", "bit 0: reset all but the bus"),
    Register("GATE", 0x010, "rw", "paths that software wants; all of them when the watchdog expires", 0x1F),
    Register("FORCE", 0x014, "rw", "paths that safety forces on, without dwell"),
    Register("STATUS", 0x018, "r", "awake [4:0], watchdog expired [8], tick in work [9], classifier busy [10]"),
    Register("SUGGESTION", 0x01C, "r", "suggested paths [4:0], context [11:8], context is known [16]", 0x1F),
    Register("TICK_CYCLES", 0x020, "rw", "clock cycles of a 2 ms tick", 200_000),
    Register("TICKS", 0x024, "r", "ticks since reset"),
    Register("OVERRUNS", 0x028, "r", "ticks lost because the one before was still in work, 24 bits"),
    Register("DWELL", 0x02C, "rw", "ticks that a path stays as it is before GATE may change it, 16 bits", 50),
    Register("WATCHDOG", 0x030, "rw", "ticks without a heartbeat until everything is on, 16 bits; 0: always on", 50),
    Register("HEARTBEAT", 0x034, "w", "any value: software lives"),
    Register("EXPIRIES", 0x038, "r", "times that the watchdog has expired, 24 bits"),
    Register("RELOAD", 0x03C, "w", "at the next tick: paths [4:0] reload from the fuser, bit 8: the fuser from SEED"),
    Register("CYCLES_LO", 0x040, "r", "clock cycles since reset; copies the upper half"),
    Register("CYCLES_HI", 0x044, "r", "upper half, as it was when the lower was read"),
    Register(
        "BURST", 0x048, "rw", "of the paths in GATE, those that run in bursts only; none when the watchdog expires"
    ),
    Register("BURST_TICKS", 0x04C, "rw", "ticks of a burst [15:0], from one to the next [31:16]"),
    Register("SAMPLE", 0x050, "rw", "a raw sample, two channels of 16 bits a word, channel 0 lowest", count=4),
    Register("PUSH", 0x060, "w", "number of the path to which SAMPLE is handed"),
    Register("SEED_POSITION", 0x070, "rw", "x, y, z, m, Q12.20", count=3),
    Register("SEED_VELOCITY", 0x080, "rw", "x, y, z, m/s, Q12.20", count=3),
    Register("POSITION", 0x090, "r", "fused x, y, z, m, Q12.20; constant while STATUS[9] is 0", count=3),
    Register("VELOCITY", 0x0A0, "r", "fused x, y, z, m/s, Q12.20", count=3),
    Register("CLASSIFY", 0x0C0, "w", "any value: classify FEATURES; ignored while the classifier is busy"),
    Register("REQUANTISE", 0x0C4, "rw", "hidden layer's multiplier [15:0] and shift [20:16]"),
    Register("MARGIN_MIN", 0x0C8, "rw", "least margin of a known context"),
    Register("HYSTERESIS", 0x0CC, "rw", "classifications running that a context must win, 8 bits", 3),
    Register("BEST", 0x0D0, "r", "class of the greatest score"),
    Register("MARGIN", 0x0D4, "r", "greatest score minus the second greatest"),
    Register("CLASSIFIED", 0x0D8, "r", "classifications since reset, 24 bits"),
    Register("MASK", 0x100, "rw", "paths that each of 16 contexts needs", 0x1F, 16),
    Register("FEATURE", 0x140, "rw", "16 features, int8, four to a word, feature 0 lowest", count=4),
    Register("BIAS", 0x200, "rw", "int24 biases of 32 hidden units and 16 classes", count=48),
    Register(
        "FUSION",
        0x300,
        "rw",
        "five rows of eight: information of position and velocity x, y, z (16 bits; the"
        " prediction's in row 0), delay in ticks, trust: greatest age in ticks [15:0] and NIS, Q8 [31:16]",
        count=40,
    ),
    Register("WEIGHT", 0x1000, "rw", "1024 int8 weights, four to a word, unit by unit", count=256),
)

PATH_BASE = 0x400
PATH_STRIDE = 0x200

PATH_MAP = (
    Register("CALIBRATION", 0x000, "rw", "three rows of eight: axis from channel, unit/LSB, Q28, 25 bits", count=24),
    Register("OFFSET", 0x060, "rw", "added to each axis, Q12.20", count=3),
    Register("GAIN_POSITION", 0x070, "rw", "Kalman gain, Q16, 25 bits", count=3),
    Register("GAIN_VELOCITY", 0x080, "rw", "Kalman gain, 1/s or 1, Q16, 25 bits", count=3),
    Register("PRECISION", 0x090, "rw", "inverse variance of the innovation, Q10, 25 bits", count=3),
    Register("ACTIVE_LO", 0x100, "r", "cycles in which the path's clock ran; copies the upper half"),
    Register("ACTIVE_HI", 0x104, "r", "upper half, as it was when the lower was read"),
    Register("SAMPLES", 0x108, "r", "samples that were filtered, 24 bits"),
    Register("DROPPED", 0x10C, "r", "samples that came while gated or were queued at a reload, 24 bits"),
    Register("OVERFLOWS", 0x110, "r", "samples that found the queue full, 24 bits"),
    Register("REJECTED", 0x114, "r", "samples with the code 0x8000 in a channel, 24 bits"),
    Register("SWITCHES", 0x118, "r", "times that the path was switched on or off, 24 bits"),
    Register(
        "STATE", 0x11C, "r", "valid [31], awake [30], usable [29], consistent [28], queued [19:16], age in ticks [15:0]"
    ),
    Register("NIS", 0x120, "r", "running mean of the normalised innovation squared against the fused state, Q8"),
    Register("NIS_SUM", 0x124, "r", "sum over all samples, Q8, wraps"),
    Register("REPEATS", 0x128, "r", "samples running that were equal to the one before"),
    Register("INNOVATION", 0x130, "r", "of the last sample, Q12.20", count=3),
    Register("PATH_POSITION", 0x140, "r", "filter's position, m, Q12.20", count=3),
    Register("PATH_VELOCITY", 0x150, "r", "filter's velocity (IMU: acceleration), Q12.20", count=3),
)

_OFFSETS = {register.name: register.offset for register in (*MAP, *PATH_MAP)}
_IN_PATH = {register.name for register in PATH_MAP}


def offset(name: str, index: int = 0, path: int = 0) -> int:
    """Returns a register's byte offset.

    Args:
      name: of a register.
      index: word, where the register has several.
      path: number of the path, where the register is a path's.
    Raises:
      KeyError: there is no such register.
    """
    base = PATH_BASE + PATH_STRIDE * path if name in _IN_PATH else 0
    return base + _OFFSETS[name] + 4 * index


def header() -> str:
    """Returns the Verilog header: a word address for each register of the map."""
    lines = ["// Word addresses and reset values. Generated: python -m haltere.fpga.registers"]
    for register in MAP:
        lines.append(f"localparam [10:0] WORD_{register.name} = 11'h{register.offset // 4:03x}; // {register.text}")
        if register.reset and register.access == "rw":
            lines.append(f"localparam [31:0] RESET_{register.name} = 32'd{register.reset};")
    lines.append(f"localparam [31:0] IDENTITY = 32'h{ID:08x};")
    lines.append(f"localparam [31:0] MAP_VERSION = 32'h{VERSION:08x};")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Writes the header, or with `--check` says whether it is up to date (0) or not (1)."""
    if "--check" in arguments:
        if HEADER.read_text() != header():
            print(f"{HEADER.name} is out of date: python -m haltere.fpga.registers", file=sys.stderr)
            return 1
        return 0
    HEADER.write_text(header())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
