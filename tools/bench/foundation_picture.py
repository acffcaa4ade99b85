"""The picture of `haltere bench foundation`: tracking error and robustness to latency, both policies."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from haltere.tools.bench.table import Rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"Haltere": "#0b7a75", "RAPTOR": "#c8553d"}


def draw(eights: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]], rows: Rows, path: Path) -> None:
    """Draws the picture.

    Args:
      eights: (method, period in s) to RMSE in m of the named and of the random vehicles.
      rows: of the whole bench.
      path: PNG file.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    periods = sorted({period for _, period in eights})
    for index, (method, colour) in enumerate(COLOURS.items()):
        data = [np.minimum(eights[method, period][1], 1.0) for period in periods]
        places = np.arange(len(periods)) + 0.36 * (index - 0.5)
        boxes = left.boxplot(
            data, positions=places, widths=0.3, showfliers=False, patch_artist=True, manage_ticks=False
        )
        for box in boxes["boxes"]:
            box.set_facecolor(colour)
            box.set_alpha(0.75)
        for line in boxes["medians"]:
            line.set_color("black")
        left.plot([], [], color=colour, linewidth=6, label=method)
    left.set_xticks(range(len(periods)), [f"{period:g}" for period in periods])
    left.set(xlabel="period of the figure-eight, s", ylabel="tracking RMSE, m", title="random vehicles")
    left.set_ylim(0)
    left.legend(frameon=False)
    for method, colour in COLOURS.items():
        values = [row.value for row in rows.rows if "ms stale: stable" in row.measure and row.method == method]
        right.plot(10 * np.arange(len(values)), values, "o-", color=colour, label=method, linewidth=2)
    right.set(xlabel="age of the whole observation, ms", ylabel="vehicles that stay stable, %")
    right.set(title="late observations", ylim=(0, 103), xticks=[0, 10, 20, 30])
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
