"""The picture of a learning curve."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from haltere.policies.foundation.checkpoint import Progress

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw_curve(progress: list[Progress], path: Path) -> None:
    """Draws loss, share stable, steady error and tracking error against training time.

    Args:
      progress: the learning curve.
      path: PNG file.
    """
    minutes = [row.seconds / 60 for row in progress]
    panels = (
        ("loss", [row.loss for row in progress], "1"),
        ("stable, latency 0 to 30 ms", [100 * row.stable for row in progress], "%"),
        ("steady error, median", [100 * row.steady_error_m for row in progress], "cm"),
        ("figure-eight 9 s, median RMSE", [100 * row.figure_eight_m for row in progress], "cm"),
    )
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained")
    starts = [
        row.seconds / 60 for row, before in zip(progress[1:], progress, strict=False) if row.stage != before.stage
    ]
    for panel, (title, values, unit) in zip(axes, panels, strict=True):
        panel.plot(minutes, values, color="#0b7a75", linewidth=1.8)
        for start in starts:
            panel.axvline(start, color="0.7", linewidth=0.8, linestyle="--")
        panel.set(title=title, xlabel="training, min", ylabel=unit)
        panel.set_ylim(0)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
