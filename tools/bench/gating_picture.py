"""The picture of `haltere bench gating`: error against power, and both in each context."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from haltere.tools.gating.comparison import Result
from haltere.tools.gating.scenarios import KNOWN, NAMES

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_OURS, _RANDOM, _STATIC, _ALL, _ORACLE = "#e65f19", "#8c96a8", "#466ebe", "#262c38", "#22863a"


def draw(found: dict[str, Result], sweep: list[str], statics: list[str], path: Path) -> None:
    """Draws the picture.

    Args:
      found: results by strategy.
      sweep: names of the gate at rising weights of the energy.
      statics: names of the static subsets.
      path: PNG file.
    """
    figure, (left, right, low) = plt.subplots(1, 3, figsize=(15, 5), layout="constrained", width_ratios=(1.4, 1, 1))

    def points(names: list[str]) -> tuple[list[float], list[float]]:
        return (
            [float(found[name].power_w[:KNOWN].mean()) for name in names],
            [100 * float(found[name].error_m[:KNOWN].mean()) for name in names],
        )

    left.plot(*points(statics), "o", color=_STATIC, markersize=5, label="static subsets")
    for name, x, y in zip(statics, *points(statics), strict=True):
        left.annotate(
            name.removeprefix("imu+"), (x, y), fontsize=6, color=_STATIC, xytext=(3, 3), textcoords="offset points"
        )
    left.plot(
        *points([f"random as {name}" for name in sweep]), "s--", color=_RANDOM, label="random gating of the same duty"
    )
    left.plot(*points(sweep), "o-", color=_OURS, label="gate, by the weight of the energy")
    left.plot(*points(["everything on"]), "*", color=_ALL, markersize=13, label="everything on")
    left.plot(*points(["int8 (RTL)"]), "D", color=_OURS, markersize=9, label="gate as shipped")
    left.plot(*points(["oracle"]), "x", color=_ORACLE, markersize=9, label="oracle")
    left.set(xlabel="power of sensors and fabric, W", ylabel="position error, mean over contexts, cm", yscale="log")
    left.legend(frameon=False, fontsize=8)
    places = np.arange(KNOWN)
    ours, base = found["int8 (RTL)"], found["everything on"]
    power = 100 / base.power_w[:KNOWN]
    for panel, before, after, title in (
        (right, 100 * base.error_m[:KNOWN], 100 * ours.error_m[:KNOWN], "position error, cm"),
        (low, power * base.power_w[:KNOWN], power * ours.power_w[:KNOWN], "power over everything on, %"),
    ):
        panel.barh(places - 0.2, before, 0.38, color=_ALL, label="everything on")
        panel.barh(places + 0.2, after, 0.38, color=_OURS, label="gate")
        panel.set_yticks(places, NAMES[:KNOWN])
        panel.invert_yaxis()
        panel.set_title(title, fontsize=10)
    fabric = 100 * ours.fabric_w[:KNOWN] / base.fabric_w[:KNOWN]
    low.plot(fabric, places + 0.2, "|", color="white", markersize=14, markeredgewidth=3)
    low.plot(fabric, places + 0.2, "|", color=_STATIC, markersize=14, markeredgewidth=1.5, label="gate, fabric alone")
    right.legend(frameon=False, fontsize=8)
    low.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    for panel in (left, right, low):
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
