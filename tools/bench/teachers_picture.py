"""The picture of `haltere bench teachers`: how good a student is by the number of its teachers."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from haltere.tools.bench.measures import LARGEST_CM
from haltere.tools.bench.table import Rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN = (
    "hover, 0 ms stale: stable",
    "hover, 0 ms stale: steady error, median",
    "figure-eight 9 s: RMSE, median",
)
COLOURS = {"chosen": "#0b7a75", "by lot": "#c8553d"}


def draw_teachers(rows: Rows, path: Path) -> None:
    """Draws the picture from a bench's rows into a PNG file."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(13, 4), layout="constrained")
    for panel, measure in zip(axes, SHOWN, strict=True):
        found = [row for row in rows.rows if row.measure == measure]
        for kind, colour in COLOURS.items():
            mine = [row for row in found if row.method.endswith(kind)]
            points = [(int(row.method.split()[0]), min(row.value, LARGEST_CM)) for row in mine]
            counts, values = zip(*sorted(points), strict=True)
            panel.plot(counts, values, "o-", color=colour, label=kind)
        for row in found:
            if row.method.startswith("all"):
                panel.axhline(min(row.value, LARGEST_CM), color="black", linestyle=":", label=row.method)
        panel.set(title=measure, xlabel="teachers", ylabel=found[0].unit, xscale="log")
        panel.set_xticks(counts, [str(count) for count in counts])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
