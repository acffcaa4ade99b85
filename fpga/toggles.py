"""Toggles of the synthesised design, gate by gate, and what a path's tick and sample have of them.

The netlist is simulated for some ticks with random paths awake and random numbers of samples; the toggles of each class
of cells are then fitted, by least squares, as those of a tick in which nothing is awake but the IMU, and what each path
adds by being awake and by each sample. What the fuser has to do for a path counts as the path's.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from haltere.fpga import vivado
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.netlist import CLASSES, Netlist
from haltere.fpga.paths import ALL_PATHS, IMU, PATHS
from haltere.fpga.registers import offset
from haltere.fpga.street import STREET_SENSORS, configure_street
from haltere.fpga.verilated import VerilatedDevice
from haltere.policies.errors import BuildError

KINDS = (*CLASSES, "sink")
"""What is counted: toggles of nets by the class of cell that drives them; and of inputs that nets lead to."""

WINDOW_CYCLES = 1000
"""A tick. The window begins when the work of the last one is done, and ends when its own is."""
PHASE_CYCLES = 650
MOST_SAMPLES = 2
"""Of each path in a tick."""
SETTLING = 1
"""Ticks that are not counted after paths have been woken or stopped."""
COUNTED = 3
"""Ticks that are, until other paths are."""

_REPORTS = (
    "`vivado.py`, from public Vivado power reports of routed 28 nm designs (`vivado_power.csv`): 10th, 50th and 90th "
    "percentile of an element's energy in a cycle, over 0.125, 0.06 and 0.03 toggles. Not measured on this design."
)
_TOGGLES = re.compile(r"\(([\w\\\[\]]+) \(T0 \d+\).*?\(TC (\d+)\)\)")


class NetlistDevice(VerilatedDevice):
    """The verilated netlist, which counts toggles."""

    SIGNATURES: ClassVar = {
        **VerilatedDevice.SIGNATURES,
        "trace": (None, (ctypes.c_void_p, ctypes.c_char_p)),
        "untrace": (None, (ctypes.c_void_p,)),
    }

    def count(self, cycles: int, file: Path) -> dict[str, int]:
        """Lets that many cycles pass; returns the toggles of each net that had any, by way of a SAIF file."""
        self._call["trace"](self._handle, str(file).encode())
        self.run(cycles)
        self._call["untrace"](self._handle)
        found = _TOGGLES.findall(file.read_text())
        return {name.replace("\\", ""): int(count) for name, count in found if count != "0"}


@dataclass(frozen=True)
class Fit:
    """Toggles, by kind (as `KINDS`).

    Attributes:
      base: (kinds,) of a tick in which only the IMU is awake, without a sample.
      per_tick: (paths, kinds) that a path adds in a tick by being awake; zero for the IMU.
      per_sample: (paths, kinds) that a sample adds.
      r2: (kinds,) share of the windows' variance that the fit accounts for.
      windows: ticks that were counted.
    """

    base: npt.NDArray[np.float64]
    per_tick: npt.NDArray[np.float64]
    per_sample: npt.NDArray[np.float64]
    r2: npt.NDArray[np.float64]
    windows: int


def measure(netlist: Netlist, folder: Path, masks: int, seed: int, progress: Callable[[int, int], None]) -> Fit:
    """Simulates the netlist, tick for tick beside the golden model, and fits its toggles.

    Args:
      netlist: from `netlist.build`.
      folder: for the SAIF file.
      masks: times that other paths are woken.
      seed: of what is awake, and of the samples.
      progress: called with the masks done, and of how many.
    Raises:
      BuildError: the netlist does not compute what the golden model does.
    """
    random = np.random.default_rng(seed)
    device, model = NetlistDevice(netlist.library), GoldenDevice()
    both = _Both(device, model)
    configure_street(both)  # type: ignore[arg-type]
    for name, value in (("DWELL", 0), ("WATCHDOG", 0xFFFF), ("GATE", ALL_PATHS), ("TICK_CYCLES", WINDOW_CYCLES)):
        both.write(offset(name), value)
    ticks = device.read(offset("TICKS"))
    while device.read(offset("TICKS")) == ticks:
        pass
    device.run(PHASE_CYCLES)
    model.advance((device.read(offset("TICKS")) - model.core.ticks) & 0xFFFFFFFF)
    designed, counted = [], []
    for number in range(masks):
        mask = int(random.integers(ALL_PATHS + 1)) | 1 << IMU
        for tick in range(SETTLING + COUNTED):
            began = device.cycles
            if tick == 0:
                both.write(offset("GATE"), mask)
                both.write(offset("HEARTBEAT"), 1)
            samples = random.integers(MOST_SAMPLES + 1, size=len(PATHS)) * [
                mask >> path & 1 for path in range(len(PATHS))
            ]
            time_s = (number * (SETTLING + COUNTED) + tick) * 0.002
            for path, many in enumerate(samples):
                for _ in range(many):
                    both.push(path, _sample(path, time_s, random))
            rest = WINDOW_CYCLES - (device.cycles - began)
            if tick < SETTLING:
                device.run(rest)
            else:
                toggles = device.count(rest, folder / "window.saif")
                counted.append(by_kind(toggles, netlist))
                designed.append([1.0, *(mask >> path & 1 for path in range(len(PATHS)) if path != IMU), *samples])
            model.advance(1)
            _compare(device, model)
            # The comparison took some cycles: after one more tick, the next window begins as far behind it as this one.
            device.run(2 * WINDOW_CYCLES - (device.cycles - began))
            model.advance(1)
        progress(number + 1, masks)
    return fit_windows(np.array(designed), np.array(counted))


@dataclass(frozen=True)
class _Both:
    """Two devices that are told the same."""

    first: VerilatedDevice
    second: GoldenDevice

    def write(self, address: int, value: int) -> None:
        self.first.write(address, value)
        self.second.write(address, value)

    def push(self, path: int, raw: Sequence[int]) -> None:
        self.first.push(path, raw)
        self.second.push(path, raw)


def _sample(path: int, time_s: float, random: np.random.Generator) -> list[int]:
    """Returns a raw sample of a sensor that sways by a metre, or its like, with the sensor's noise."""
    calibration = np.abs(np.array(STREET_SENSORS[path].calibration))
    scale = calibration.max(axis=0)
    scale[scale == 0] = scale.max()
    axis = calibration.argmax(axis=0)
    noise = np.array(STREET_SENSORS[path].noise)[axis]
    value = np.sin(0.4 * np.pi * time_s + np.arange(len(scale))) + noise * random.normal(size=len(scale))
    return [int(code) for code in np.clip(np.round(value / scale), -32767, 32767)]


def by_kind(toggles: dict[str, int], netlist: Netlist) -> list[float]:
    """Returns the toggles of each kind (`KINDS`), of those of each net."""
    found: Counter[str] = Counter()
    for name, count in toggles.items():
        net = netlist.nets.get(name)
        if net:
            found[net.driver] += count
            found["sink"] += count * net.sinks
    return [float(found[kind]) for kind in KINDS]


def _compare(device: VerilatedDevice, model: GoldenDevice) -> None:
    names = [("POSITION", axis, 0) for axis in range(3)] + [("VELOCITY", axis, 0) for axis in range(3)]
    names += [(name, 0, path) for path in range(len(PATHS)) for name in ("STATE", "SAMPLES", "NIS")]
    words = ("PATH_POSITION", "PATH_VELOCITY", "INNOVATION")
    names += [(name, axis, path) for path, shape in enumerate(PATHS) for name in words for axis in shape.axes]
    for name, index, path in names:
        here, there = device.read(offset(name, index, path)), model.read(offset(name, index, path))
        if here != there:
            raise BuildError(f"the netlist's {name} {index} of path {path} is {here:#x}, the golden model's {there:#x}")


def fit_windows(designed: npt.NDArray[np.float64], counted: npt.NDArray[np.float64]) -> Fit:
    """Fits the toggles of windows.

    Args:
      designed: (windows, 10), a one; whether each gated path was awake; the samples of each path.
      counted: (windows, kinds).
    """
    found, *_ = np.linalg.lstsq(designed, counted, rcond=None)
    spread = np.square(counted - counted.mean(axis=0)).sum(axis=0)
    left = np.square(counted - designed @ found).sum(axis=0)
    gated = len(PATHS) - 1
    per_tick = np.insert(found[1 : 1 + gated], IMU, 0.0, axis=0)
    return Fit(
        base=found[0],
        per_tick=np.maximum(per_tick, 0.0),
        per_sample=np.maximum(found[1 + gated :], 0.0),
        r2=1 - left / np.maximum(spread, 1.0),
        windows=len(counted),
    )


def as_toml(fit: Fit, sinks_per_net: float) -> str:
    """Returns the part of `energy.toml` that is fitted: energies of a toggle, and toggles of ticks and samples."""
    lines = ["[toggle_j]", f'source = "{_REPORTS}"']
    for kind, value in vivado.toggle_j(sinks_per_net).items():
        lines += [f"{kind} = {{ value = {value.value:.3g}, low = {value.low:.3g}, high = {value.high:.3g} }}"]
    source = (
        f"`haltere fpga toggles`: {fit.windows} ticks of the netlist of yosys; a net's inputs are {sinks_per_net:.2f}"
    )
    lines += ["", "[toggles]", f'source = "{source} on average"']
    for path, per_tick, per_sample in zip(PATHS, fit.per_tick, fit.per_sample, strict=True):
        for each, counts in (("per_tick", per_tick), ("per_sample", per_sample)):
            told = ", ".join(f"{kind} = {count:.1f}" for kind, count in zip(KINDS, counts, strict=True))
            lines.append(f"{path.name}.{each} = {{ {told} }}")
    return "\n".join(lines) + "\n"


def refit(constants: str, fit: Fit, sinks_per_net: float) -> str:
    """Returns a file of constants with its fitted part, all from the table `toggle_j` on, replaced."""
    return constants[: constants.index("[toggle_j]")] + as_toml(fit, sinks_per_net)
