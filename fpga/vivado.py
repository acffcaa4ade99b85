"""What gates and nets of 28 nm Xilinx fabric take, out of published power reports of routed designs.

`vivado_power.csv` holds, of each report, elements and watts by kind, and the period of the design's one dominant clock.
Vivado tells watts, not toggles: a toggle's energy is the energy of a cycle over the toggles in it. Those are not
published. Vivado takes 0.125 of a cycle for the inputs where it knows nothing, and fewer within: 0.03 to 0.125 is
taken. Reports made with simulated activity are in the file too, but not in the fit: their designs were chosen, and
their activity is not told either.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from haltere.fpga.energy import Value

REPORTS = Path(__file__).with_name("vivado_power.csv")
ACTIVITY = Value(0.06, 0.03, 0.125)
"""Toggles of a net in a cycle, taken for the vectorless reports; geometric mean of the bounds, rounded."""
OUTPUTS = {"luts": 1, "registers": 1, "carries": 4, "multiplexers": 1, "dsps": 48, "block_rams": 36}
"""Bits that an element gives out; each toggles as a net does."""
ELEMENTS = {
    "lut": "luts",
    "flip_flop": "registers",
    "carry": "carries",
    "mux": "multiplexers",
    "dsp": "dsps",
    "memory": "block_rams",
}
"""Columns of the reports by class of cell (`netlist.CLASSES`)."""
LEAST_W = 0.001
"""Reports give milliwatts: what is less is not told. Of small kinds only designs that have many of them, or busy ones,
tell, so that those kinds come out high."""


def cycle_j(count: str, power: str) -> Value:
    """Returns the energy of one element in one cycle, J: median over the vectorless reports, and its middle 80 %.

    Args:
      count, power: columns.
    """
    with REPORTS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["activity"] == "vectorless"]
    told = [row for row in rows if row[power] and float(row[power]) >= LEAST_W and float(row[count]) > 0]
    energies = [float(row[power]) / float(row[count]) * float(row["clock_ns"]) * 1e-9 for row in told]
    low, middle, high = np.percentile(energies, (10, 50, 90))
    return Value(float(middle), float(low), float(high))


def clock_j() -> Value:
    """Returns the energy of the clock of one flip-flop, or of one look-up table used as memory, in a cycle, J."""
    return cycle_j("clock_loads", "clocks_w")


def toggle_j(sinks_per_net: float) -> dict[str, Value]:
    """Returns the energy of a toggle by kind, J: of a cell's output by class, and of a net for each input it leads to.

    Args:
      sinks_per_net: mean number of inputs of a net; that of the reported designs is taken to be the same.
    """
    found = {kind: _toggle(cycle_j(name, f"{name}_w"), OUTPUTS[name]) for kind, name in ELEMENTS.items()}
    return {**found, "sink": _toggle(cycle_j("nets", "nets_w"), sinks_per_net)}


def _toggle(cycle: Value, outputs: float) -> Value:
    return Value(
        cycle.value / (ACTIVITY.value * outputs),
        cycle.low / (ACTIVITY.high * outputs),
        cycle.high / (ACTIVITY.low * outputs),
    )
