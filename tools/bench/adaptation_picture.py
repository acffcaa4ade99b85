"""The picture of `haltere bench adaptation`: errors after changes, belief in flight, what can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from haltere.policies.foundation.evaluate import CHUNK
from haltere.tools.bench.foundation_picture import COLOURS

if TYPE_CHECKING:
    from haltere.tools.bench.adaptation import Flights

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RATE_HZ = 100
FIRST_S, SECOND_S, END_S = 3.0, 6.0, 10.0


def draw(flights: dict[str, Flights], path: Path) -> None:
    """Draws the picture.

    Args:
      flights: by policy.
      path: PNG file.
    """
    kinds = list(next(iter(flights.values())).errors)
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for panel, kind in zip(axes.flat, kinds, strict=False):
        for who, colour in COLOURS.items():
            error = 100 * flights[who].errors[kind]
            time = np.arange(1, len(error) + 1) / RATE_HZ
            low, middle, high = np.percentile(error, [10, 50, 90], axis=1)
            panel.plot(time, middle, color=colour, linewidth=2, label=who)
            panel.fill_between(time, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.axvline(FIRST_S, color="black", linewidth=0.8, linestyle=":")
        panel.set(title=kind, xlabel="time, s", ylabel="distance, cm", xlim=(2, END_S), ylim=(0, None))
    axes.flat[0].legend(frameon=False)

    panel = axes.flat[4]
    styles = {"never changed": ":", "lighter": "--", "heavier, then lighter": "-"}
    for who, colour in COLOURS.items():
        for history, style in styles.items():
            believed = flights[who].believed[history]
            time = np.arange(1, len(believed) + 1) * CHUNK / RATE_HZ
            panel.plot(time, believed, style, color=colour, label=history if who == "Haltere" else None)
    panel.step([2, FIRST_S, SECOND_S, END_S], [1, 1 / 1.3, 1 / 0.7, 1 / 0.7], color="grey", where="post", label="true")
    panel.set(title="belief of thrust-to-weight, read by a probe", xlabel="time, s", ylabel="over that as built")
    panel.set(xlim=(2, END_S))
    panel.legend(frameon=False, fontsize=8)

    panel = axes.flat[5]
    for index, (who, colour) in enumerate(COLOURS.items()):
        known = flights[who].known
        places = np.arange(len(known)) + 0.38 * (index - 0.5)
        panel.barh(places, [max(value, 0.0) for value in known.values()], 0.36, color=colour, label=who)
    panel.set_yticks(range(len(known)), list(known))
    panel.set(title="read from the hidden state by a line", xlabel="R²", xlim=(0, 1))
    panel.invert_yaxis()
    for panel in axes.flat:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
