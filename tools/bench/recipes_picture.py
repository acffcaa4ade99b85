"""The picture of `haltere bench recipes`: quality against the share of each training's time."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from haltere.policies.foundation.checkpoint import Progress
from haltere.tools.bench.measures import LARGEST_CM

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLOURS = ("#0b7a75", "#c8553d", "#4a5899")
SHOWN = {
    "stable": (100.0, "stable, %"),
    "steady_error_m": (100.0, "steady error, cm"),
    "figure_eight_m": (100.0, "figure-eight 9 s, cm"),
}


def draw_recipes(curves: dict[str, list[list[Progress]]], path: Path) -> None:
    """Draws the learning curves of each recipe, one line a seed, into a PNG file."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(13, 4), layout="constrained")
    for panel, (field, (factor, label)) in zip(axes, SHOWN.items(), strict=True):
        for (name, seeds), colour in zip(curves.items(), COLOURS, strict=False):
            for index, curve in enumerate(seeds):
                # A teacher's scores are not the student's.
                lines = [line for line in curve if line.stage != "teachers"]
                # Another program on the machine makes a training longer, and it no better.
                share = [100 * line.seconds / lines[-1].seconds for line in lines]
                values = [min(factor * getattr(line, field), LARGEST_CM) for line in lines]
                panel.plot(share, values, color=colour, alpha=0.8, label=None if index else name)
        panel.set(xlabel="share of the training's time, %", ylabel=label, xlim=(0, None))
        if field != "stable":
            panel.set_yscale("log")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
