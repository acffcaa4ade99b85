"""The picture of `haltere bench ablation`: error against parameters, and against latency."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from haltere.tools.bench.measures import LARGEST_CM
from haltere.tools.bench.table import Rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogFormatter, NullLocator, ScalarFormatter

STYLES = {"GRU": ("o", "#0b7a75"), "liquid": ("s", "#c8553d"), "no": ("^", "#5b5b5b")}
LINES = ("-", "--", "-.", ":")
STEADY, SLOW = "hover: steady error, no force, median", "hover, torque-to-inertia 40-80: stable"


def draw_ablation(rows: Rows, path: Path) -> None:
    """Draws the picture from a bench's rows into a PNG file."""
    cells: dict[str, dict[str, float]] = {}
    for row in rows.rows:
        cells.setdefault(row.method, {})[row.measure] = row.value
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    counts = sorted({int(values["parameters"]) for values in cells.values()})
    ticks = [count for count, more in zip(counts, [*counts[1:], 10**9], strict=True) if more > 1.2 * count]
    shown = {
        "steady error, cm": {who: min(values[STEADY], LARGEST_CM) for who, values in cells.items()},
        "not stable of those slow to turn, %": {who: max(100 - values[SLOW], 0.1) for who, values in cells.items()},
    }
    for panel, (label, numbers) in zip(axes, shown.items(), strict=False):
        for index, (who, values) in enumerate(cells.items()):
            marker, colour = STYLES[who.split()[0]]
            at = values["parameters"], numbers[who]
            panel.plot(*at, marker, color=colour, markersize=8)
            left = index % 2 == 0
            offset, side = ((-8, -3), "right") if left else ((8, -3), "left")
            panel.annotate(who, at, offset, textcoords="offset points", fontsize=8, ha=side)
        panel.set(xscale="log", yscale="log", xlabel="parameters", title=label, xticks=ticks, xlim=(110, 15_000))
        panel.xaxis.set(major_formatter=ScalarFormatter(), minor_locator=NullLocator())
        panel.yaxis.set(major_formatter=ScalarFormatter(), minor_formatter=LogFormatter(minor_thresholds=(2, 0.5)))
    for index, (who, values) in enumerate(cells.items()):
        marker, colour = STYLES[who.split()[0]]
        stable = [values[f"whole observation {age} ms stale: stable"] for age in (0, 10, 20, 30)]
        line, colour = LINES[index % len(LINES)], "k" if "shipped" in who else colour
        size = 3 + values["parameters"] ** 0.2
        axes[2].plot((0, 10, 20, 30), stable, marker + line, color=colour, markersize=size, label=who)
    axes[2].set(xlabel="age of the whole observation, ms", title="vehicles that stay stable, %")
    axes[2].legend(frameon=False, fontsize=8)
    for panel in axes:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
