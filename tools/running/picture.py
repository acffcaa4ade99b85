"""A run in one picture: the path, the modes, and the Lyapunov value over the level of the region of attraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from haltere.policies.errors import ConfigError
from haltere.tools.running.recording import Recording

_INK, _BLUE, _ORANGE, _GRID = "#262c38", "#466ebe", "#e65f19", "#e6e8ec"
_SHADES = ("#ffffff", "#dfe9f7", "#f7e7dc", "#e6f2e4")
LEAST = 1e-4
"""Of a value that is drawn."""
SHOWN: dict[str, tuple[tuple[str, int], ...]] = {
    "car": (("speed (m/s)", 3), ("steering angle (rad)", 2)),
    "pogobot": (("height (m)", 2), ("speed (m/s)", 1)),
    "walker": (("stance angle q1 (rad)", 0), ("swing angle q2 (rad)", 1)),
}


def write_run_picture(recording: Recording, path: str | Path) -> None:
    """Draws a run.

    Raises:
      ConfigError: the file cannot be written.
    """
    figure = Figure(figsize=(12.0, 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    rows = len(SHOWN[recording.system]) + 1
    axes = figure.subplots(rows, 2, squeeze=False, width_ratios=(1.5, 1.0))
    for index, (name, column) in enumerate(SHOWN[recording.system]):
        _shade(axes[index, 0], recording)
        axes[index, 0].plot(recording.time_s, recording.state[:, column], color=_ORANGE, linewidth=1.4)
        axes[index, 0].set_ylabel(name, fontsize=9)
    _shade(axes[-1, 0], recording)
    _value(axes[-1, 0], recording)
    for extra in axes[:, 1]:
        extra.remove()
    plane = figure.add_subplot(axes[0, 1].get_gridspec()[:, 1])
    _plane(plane, recording)
    for one in (*axes[:, 0], plane):
        one.grid(True, color=_GRID, linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(labelsize=8, colors=_INK)
        for side in ("top", "right"):
            one.spines[side].set_visible(False)
    for one in axes[:, 0]:
        one.set_xlim(0, recording.time_s[-1])
    axes[-1, 0].set_xlabel("time (s); shaded by mode: " + ", ".join(recording.modes), fontsize=9)
    inside = 100 * float((recording.landed <= 1).mean())
    title = f"{recording.system}: {recording.outcome}; {inside:.0f} % of {len(recording.landed)} switches inside"
    figure.suptitle(title, fontsize=13, color=_INK, fontweight="bold")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise ConfigError(f"picture {path}: cannot be written ({error})") from None


def _shade(axes: Any, recording: Recording) -> None:
    edges = np.flatnonzero(np.diff(recording.mode)) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(recording.mode) - 1]])
    for begin, end in zip(begins, ends, strict=True):
        color = _SHADES[int(recording.mode[begin]) % len(_SHADES)]
        axes.axvspan(recording.time_s[begin], recording.time_s[end], color=color, linewidth=0)


def _value(axes: Any, recording: Recording) -> None:
    axes.semilogy(recording.answered_s, np.maximum(recording.value, LEAST), color=_BLUE, linewidth=1.2)
    axes.semilogy(recording.switched_s, np.maximum(recording.landed, LEAST), "o", color=_ORANGE, markersize=4)
    axes.axhline(1.0, color=_INK, linewidth=0.8, linestyle="--")
    axes.set_ylabel("V over level (inside: below 1)", fontsize=9)


def _plane(axes: Any, recording: Recording) -> None:
    """Where it went: the car from above; pogobot and walker in a plane of their states."""
    columns, names = {
        "car": ((0, 1), ("x (m)", "y (m)")),
        "pogobot": ((0, 2), ("x (m)", "height (m)")),
        "walker": ((0, 2), ("stance angle q1 (rad)", "its rate (rad/s)")),
    }[recording.system]
    axes.plot(*(recording.state[:, column] for column in columns), color=_ORANGE, linewidth=1.3)
    at = np.searchsorted(recording.time_s, recording.switched_s)
    axes.plot(*(recording.state[at, column] for column in columns), "o", color=_BLUE, markersize=4)
    axes.set_xlabel(names[0], fontsize=9)
    axes.set_ylabel(names[1], fontsize=9)
    axes.set_title("blue: where another configuration began", fontsize=9, color=_INK)
    if recording.system == "car":
        axes.set_aspect("equal", "datalim")
