"""A gated flight in one picture: contexts, gates, errors and power over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from haltere.fpga.paths import PATHS
from haltere.sim.flight import Flight
from haltere.tools.flight.gating_log import GatingLog

_PALETTE = (
    "#dfe7f2",
    "#c7cbd1",
    "#a9c6e8",
    "#eef3f7",
    "#6b6f86",
    "#e3d9c6",
    "#f0dcb0",
    "#e8c4c4",
    "#cfe3c6",
    "#d8b98a",
)
_RUNS, _SLEEPS, _FORCED = "#22863a", "#e6e8ec", "#de9614"
_FLOWN, _ESTIMATE = "#e65f19", "#466ebe"


def draw_gating(log: GatingLog, flight: Flight, path: Path) -> None:
    """Draws a flight.

    Args:
      log: of the gates.
      flight: as recorded.
      path: PNG file.
    """
    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    FigureCanvasAgg(figure)
    top, gates, error, power = figure.subplots(4, 1, sharex=True, height_ratios=(0.7, 1.3, 1.3, 1.1))
    time = np.array(log.time_s)
    names = list(dict.fromkeys([*log.context, *log.believed]))
    colour = {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)}
    for row, values in enumerate((log.context, log.believed)):
        for start, end, name in _spans(time, values):
            top.barh(row, end - start, left=start, height=0.9, color=colour[name], edgecolor="white", linewidth=0.5)
            if end - start > 0.05 * (time[-1] - time[0]):
                top.text(0.5 * (start + end), row, name, ha="center", va="center", fontsize=8)
    top.set_yticks([0, 1], ["true", "recognised"])
    top.invert_yaxis()
    top.set_title("context", fontsize=10, loc="left")
    for number in range(len(PATHS)):
        states = [
            (_FORCED if forced else _RUNS) if awake[number] else _SLEEPS
            for awake, forced in zip(log.awake, log.forced, strict=True)
        ]
        for start, end, state in _spans(time, states):
            gates.barh(number, end - start, left=start, height=0.8, color=state)
    gates.set_yticks(range(len(PATHS)), [one.name for one in PATHS])
    gates.invert_yaxis()
    gates.set_title("paths: running (green), forced on (orange), asleep (grey)", fontsize=10, loc="left")
    error.plot(flight.time_s, 100 * flight.tracking_error_m, color=_FLOWN, label="from the reference")
    error.plot(time, 100 * np.array(log.estimate_error_m), color=_ESTIMATE, label="of the estimate")
    error.set(ylabel="error, cm", ylim=(0, None))
    error.legend(frameon=False, fontsize=8, ncols=2)
    sensors, fabric = np.array(log.power_w).T
    power.step(time, sensors, where="pre", color=_FLOWN, label="sensors, W")
    power.set(ylabel="sensors, W", xlabel="time, s", ylim=(0, None))
    right: Any = power.twinx()
    right.step(time, 1e3 * fabric, where="pre", color=_ESTIMATE)
    right.set(ylabel="clocks and data, mW", ylim=(0, None))
    right.yaxis.label.set_color(_ESTIMATE)
    power.yaxis.label.set_color(_FLOWN)
    for axes in (error, power):
        axes.grid(alpha=0.3)
    for axes in (top, gates, error):
        axes.spines[["top", "right"]].set_visible(False)
    top.set_xlim(0, float(time[-1]))
    figure.savefig(path, dpi=110)


def _spans(time: np.ndarray, values: list[str]) -> list[tuple[float, float, str]]:
    """Stretches of one value: start, end, value."""
    spans: list[tuple[float, float, str]] = []
    start = 0.0
    for index, value in enumerate(values):
        if index + 1 == len(values) or values[index + 1] != value:
            spans.append((start, float(time[index]), value))
            start = float(time[index])
    return spans
