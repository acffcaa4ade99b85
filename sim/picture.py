"""A flight in one picture: path, height, tracking error, motors, latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from haltere.policies.contract import MOTOR_ORDER
from haltere.policies.errors import ConfigError
from haltere.sim.flight import Flight

_REFERENCE, _FLOWN, _INK = "#466ebe", "#e65f19", "#262c38"
_MOTOR = ("#e65f19", "#8c96a8", "#3c4656", "#f2b04c")
_MODE = {"SLOW": "#f5d58a", "SAFE": "#f0a3a3"}
_OTHER_MODE = "#d4d6dc"
_GRID = "#e6e8ec"


def write_picture(flight: Flight, path: str | Path, title: str = "") -> None:
    """Draws a flight.

    Spans in which the mode was not `FAST` are shaded.

    Args:
      flight: what was flown.
      path: the file to write; its ending chooses the format (`.png`, `.svg`, `.pdf`).
      title: default the vehicle with its tracking error.
    Raises:
      ConfigError: the flight is empty or the file cannot be written.
    """
    if len(flight) < 2:
        raise ConfigError(f"picture {path}: the flight has {len(flight)} rows, expected at least two")
    figure = Figure(figsize=(12.0, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(4, 2, width_ratios=(1.0, 1.25), height_ratios=(1.0, 1.0, 1.0, 1.0))
    _path(figure.add_subplot(grid[:3, 0]), flight)
    first = figure.add_subplot(grid[0, 1])
    _error(first, flight)
    _height(figure.add_subplot(grid[1, 1], sharex=first), flight)
    _motors(figure.add_subplot(grid[2, 1], sharex=first), flight)
    _latency(figure.add_subplot(grid[3, 1], sharex=first), flight)
    _speed(figure.add_subplot(grid[3, 0]), flight)
    for axes in figure.axes:
        axes.grid(True, color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, colors=_INK)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in figure.axes[1:]:
        axes.margins(x=0)
    for axes in figure.axes[1:4]:
        axes.tick_params(labelbottom=False)
    figure.axes[4].set_xlabel("time (s)", fontsize=9)
    shown = _shade(figure.axes[1:], flight)
    if shown:
        figure.axes[1].legend(
            handles=shown,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            borderpad=0.1,
            fontsize=8,
            ncols=len(shown),
            frameon=False,
        )
    figure.suptitle(title or _title(flight), fontsize=13, color=_INK, fontweight="bold")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise ConfigError(f"picture {path}: cannot be written ({error})") from None


def _title(flight: Flight) -> str:
    lost = "" if flight.finished else "  (log unfinished)"
    duration, worst = flight.time_s[-1] - flight.time_s[0], flight.tracking_error_m.max()
    error = f"{100 * flight.rms_error_m():.1f} cm r.m.s., {100 * worst:.0f} cm at most"
    return f"{flight.vehicle}: {duration:.1f} s, tracking error {error}{lost}"


def _path(axes: Any, flight: Flight) -> None:
    flown, reference = flight.position_world_m, flight.reference_position_world_m
    axes.plot(reference[:, 0], reference[:, 1], color=_REFERENCE, linewidth=1.6, label="reference")
    axes.plot(flown[:, 0], flown[:, 1], color=_FLOWN, linewidth=1.6, label="flown")
    axes.plot(*flown[0, :2], "o", color=_INK, markersize=5, label="start")
    axes.plot(*flown[-1, :2], "s", color=_INK, markersize=5, label="end")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.set_title("path from above", fontsize=10, loc="left", color=_INK)
    axes.set_xlabel("x, world (m)", fontsize=9)
    axes.set_ylabel("y, world (m)", fontsize=9)
    axes.legend(loc="upper right", fontsize=8, ncols=4, frameon=False)


def _error(axes: Any, flight: Flight) -> None:
    axes.plot(flight.time_s, 100 * flight.tracking_error_m, color=_FLOWN, linewidth=1.3)
    axes.set_ylim(bottom=0)
    _name(axes, "tracking error", "cm")


def _height(axes: Any, flight: Flight) -> None:
    axes.plot(flight.time_s, flight.reference_position_world_m[:, 2], color=_REFERENCE, linewidth=1.3)
    axes.plot(flight.time_s, flight.position_world_m[:, 2], color=_FLOWN, linewidth=1.3)
    low, high = axes.get_ylim()
    middle, half = 0.5 * (low + high), max(0.25, 0.5 * (high - low))
    axes.set_ylim(middle - half, middle + half)
    _name(axes, "height", "m")


def _motors(axes: Any, flight: Flight) -> None:
    for motor, (name, color) in enumerate(zip(MOTOR_ORDER, _MOTOR, strict=True)):
        axes.plot(flight.time_s, flight.rotor_speed[:, motor], color=color, linewidth=1.0, label=name)
    axes.set_ylim(0, 1.25)
    axes.set_yticks([0, 0.5, 1])
    axes.legend(loc="upper right", fontsize=7, ncols=4, frameon=False)
    _name(axes, "rotor speed", "of full")


def _latency(axes: Any, flight: Flight) -> None:
    milliseconds = 1e3 * flight.round_trip_s
    known = np.isfinite(milliseconds)
    if known.any():
        axes.plot(flight.time_s[known], milliseconds[known], ".", color=_INK, markersize=2.5)
        axes.axhline(float(np.median(milliseconds[known])), color=_REFERENCE, linewidth=1.0)
        worst = float(milliseconds[known].max())
        axes.set_ylim(0, 1.15 * worst)
        note = f"median {np.median(milliseconds[known]):.2f} ms, longest {worst:.2f} ms"
        axes.annotate(note, (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=8)
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="#8c96a8")
        axes.set_yticks([])
    _name(axes, "round trip", "ms")


def _speed(axes: Any, flight: Flight) -> None:
    reference = np.linalg.norm(flight.reference_velocity_world_m_s, axis=1)
    axes.plot(flight.time_s, reference, color=_REFERENCE, linewidth=1.3)
    axes.plot(flight.time_s, np.linalg.norm(flight.velocity_world_m_s, axis=1), color=_FLOWN, linewidth=1.3)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time (s)", fontsize=9)
    _name(axes, "speed", "m/s")


def _name(axes: Any, name: str, unit: str) -> None:
    axes.set_title(name, fontsize=10, loc="left", color=_INK)
    axes.set_ylabel(unit, fontsize=9)


def _shade(axes_list: list[Any], flight: Flight) -> list[Patch]:
    """Shades every span that is not FAST; returns the legend's entries."""
    handles: dict[str, Patch] = {}
    for start, end, mode in flight.spans():
        if mode == "FAST":
            continue
        color = _MODE.get(mode, _OTHER_MODE)
        handles.setdefault(mode, Patch(color=color, label=mode))
        for axes in axes_list:
            axes.axvspan(start, end, color=color, alpha=0.55, linewidth=0, zorder=0)
    return list(handles.values())
