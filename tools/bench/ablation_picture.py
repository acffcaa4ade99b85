"""The picture of `haltere bench ablation`: error against parameters, and against latency."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from haltere.tools.bench.measures import LARGEST_CM
from haltere.tools.bench.table import Rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

STYLES = {"GRU": ("o", "#0b7a75"), "liquid": ("s", "#c8553d"), "no": ("^", "#5b5b5b")}


def draw_ablation(rows: Rows, path: Path) -> None:
    """Draws the picture from a bench's rows into a PNG file."""
    cells: dict[str, dict[str, float]] = {}
    for row in rows.rows:
        cells.setdefault(row.method, {})[row.measure] = row.value
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    shown = ("hover, 0 ms stale: steady error, median", "figure-eight 9 s: RMSE, median")
    for panel, measure in zip(axes, shown, strict=False):
        for who, values in cells.items():
            marker, colour = STYLES[who.split()[0]]
            at = values["parameters"], min(values[measure], LARGEST_CM)
            panel.plot(*at, marker, color=colour, markersize=8)
            panel.annotate(who, at, (6, 4), textcoords="offset points", fontsize=8)
        panel.set(xscale="log", yscale="log", xlabel="parameters", ylabel="cm", title=measure)
    for index, (who, values) in enumerate(cells.items()):
        marker, colour = STYLES[who.split()[0]]
        stable = [values[f"hover, {age} ms stale: stable"] for age in (0, 10, 20, 30)]
        axes[2].plot((0, 10, 20, 30), stable, marker + "-", color=colour, alpha=0.4 + 0.1 * index, label=who)
    axes[2].set(
        xlabel="age of the whole observation, ms", ylabel="vehicles that stay stable, %", title="late observations"
    )
    axes[2].legend(frameon=False, fontsize=8)
    for panel in axes:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
