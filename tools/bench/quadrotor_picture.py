"""The picture of `haltere bench quadrotor`: V over level along flights, and the regions in two planes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

from haltere.policies.foundation import student
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import Population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.quadrotor_mode import Flight
from haltere.policies.hybrid.quadrotor_region import along
from haltere.policies.hybrid.quadrotor_training import LearnedModes

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN, GRID = 256, 41
TIMES_S = np.arange(flights.HORIZON) * flights.TICK_S
FAR_M, FAST_M_S = 2.5, 6.0


def draw(policy: student.Policy, learned: LearnedModes, population: Population, key: jax.Array, path: Path) -> None:
    """Draws the picture.

    Args:
      policy: that flies.
      learned: V and the levels.
      population: of vehicles.
      key: random.
      path: PNG file.
    """
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    k = jax.random.split(key, 3)
    line, ones = clean_line(SHOWN), jnp.ones(SHOWN)
    hover = flights.hovering(policy, k[0], SHOWN, population, line)
    flight, found = hover, []
    for sub, mode in zip(k[1:], (modes.PAYLOAD, modes.RECOVER), strict=True):
        which = jnp.full(SHOWN, mode)
        flown, flight = flights.flown_from(policy, sub, flight, which, ones, line)
        ratio = along(learned.lyapunov, flown, which) - float(learned.log_levels[mode])
        found.append((mode, ratio, np.asarray(flown.back)))
    _flights(axes[0, 0], found)
    _starts(axes[0, 1], policy, learned, population, k[2])
    few = jax.tree.map(lambda leaf: leaf[..., :1], hover)
    _plane(axes[1, 0], learned, few, modes.RECOVER, (np.pi, FAST_M_S), "upwards speed, m/s")
    _plane(axes[1, 1], learned, few, modes.TRANSIT, (np.pi / 2, FAR_M), "height over the setpoint, m")
    for panel in axes.flat:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _flights(panel: Any, found: list[tuple[int, np.ndarray, np.ndarray]]) -> None:
    """V over level, through a payload drop and a throw."""
    for index, (mode, ratio, back) in enumerate(found):
        time = TIMES_S + index * flights.HORIZON * flights.TICK_S
        low, middle, high = np.exp(np.percentile(ratio[:, back], [10, 50, 90], axis=1))
        panel.fill_between(time, low, high, alpha=0.2, color=f"C{index}", linewidth=0)
        panel.plot(time, middle, color=f"C{index}", linewidth=2, label=f"{modes.MODES[mode]}: returning, 10-50-90 %")
        for one in np.flatnonzero(~back)[:6]:
            panel.plot(time, np.exp(ratio[:, one]), color="black", linewidth=0.8)
    panel.plot([], [], color="black", linewidth=0.8, label="not returning")
    panel.axhline(1, color="black", linestyle=":")
    panel.set(yscale="log", xlabel="time, s", ylabel="V over level", title="payload dropped or attached, then thrown")
    panel.legend(frameon=False, fontsize=8)


def _starts(panel: Any, policy: student.Policy, learned: LearnedModes, population: Population, key: jax.Array) -> None:
    """V over level of thrown vehicles, of which some do not return."""
    line = clean_line(8 * SHOWN)
    which = jnp.full(8 * SHOWN, modes.RECOVER)
    hover = flights.hovering(policy, key, 8 * SHOWN, population, line)
    flown, _ = flights.flown_from(policy, key, hover, which, 1.5 * jnp.ones(8 * SHOWN), line)
    seen = flown.seen[0]
    ratio = np.asarray(lyapunov.log_value(learned.lyapunov, seen, lyapunov.one_hot(which)))
    ratio = (ratio - float(learned.log_levels[modes.RECOVER])) / np.log(10)
    bins = np.linspace(ratio.min(), ratio.max(), 30)
    back = np.asarray(flown.back)
    panel.hist([ratio[back], ratio[~back]], bins, stacked=True, label=["return", "do not"], color=["C0", "black"])
    panel.axvline(0, color="black", linestyle=":")
    panel.set(xlabel="log10 of V over level", ylabel="starts", title="thrown, up to 1.5 times as hard as usual")
    panel.legend(frameon=False)


def _plane(panel: Any, learned: LearnedModes, flight: Flight, mode: int, most: tuple[float, float], label: str) -> None:
    """V over level against tilt (roll) and another number, all else as in hover."""
    tilt, other = np.meshgrid(np.linspace(-most[0], most[0], GRID), np.linspace(-most[1], most[1], GRID))
    count = tilt.size
    by = np.zeros((12, count))
    by[3] = tilt.ravel()
    by[8 if mode == modes.RECOVER else 2] = other.ravel()
    loop = jax.tree.map(partial(jnp.repeat, repeats=count, axis=-1), flight.loop)
    seen = modes.see(modes.displaced(loop, jnp.asarray(by, jnp.float32)))
    which = lyapunov.one_hot(jnp.full(count, mode))
    ratio = np.asarray(lyapunov.log_value(learned.lyapunov, seen, which) - learned.log_levels[mode])
    image = panel.contourf(np.degrees(tilt), other, ratio.reshape(tilt.shape) / np.log(10), 16, cmap="viridis")
    panel.contour(np.degrees(tilt), other, ratio.reshape(tilt.shape), [0.0], colors="white", linewidths=2)
    panel.figure.colorbar(image, ax=panel, label="log10 of V over level")
    panel.set(
        xlabel="roll, degrees", ylabel=label, title=f"{modes.MODES[mode]}: the region of one vehicle is inside the line"
    )
