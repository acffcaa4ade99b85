"""What the gates did in a flight, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from haltere.fpga.energy import Energy
from haltere.fpga.features import DECISION_RATE_HZ


@dataclass
class GatingLog:
    """What happened at each decision; lists of equal length.

    Attributes:
      time_s, context, believed: time; the true context; the recognised one, or what stands in its place.
      awake: paths whose clock runs, 5 flags.
      asked: as of `Orders.asked`, 10 flags.
      forced: everything was forced on.
      estimate_error_m: distance of the estimated from the true position.
      over_level: Lyapunov value of the estimated state over its level; empty where the policy's region is not known.
      power_w: sensors, and fabric, since the last decision.
      energy, everything: of the whole flight, and what it had been with everything on.
      resets: times that the FPGA was found to have been reset, and was set up again.
    """

    time_s: list[float] = field(default_factory=list)
    context: list[str] = field(default_factory=list)
    believed: list[str] = field(default_factory=list)
    awake: list[list[bool]] = field(default_factory=list)
    asked: list[list[bool]] = field(default_factory=list)
    forced: list[bool] = field(default_factory=list)
    estimate_error_m: list[float] = field(default_factory=list)
    over_level: list[float] = field(default_factory=list)
    power_w: list[tuple[float, float]] = field(default_factory=list)
    energy: Energy | None = None
    everything: Energy | None = None
    resets: int = 0


def gating_summary(log: GatingLog) -> dict[str, float]:
    """Returns the numbers of a gated flight, by name with unit."""
    if log.energy is None or log.everything is None:
        return {}
    asked = np.array(log.asked)
    second = round(DECISION_RATE_HZ)
    settled = np.array([len(set(log.context[max(at - second, 0) : at + 1])) == 1 for at in range(len(log.context))])
    right = np.array(log.context) == np.array(log.believed)
    inside = {"lyapunov_over_level_max": max(log.over_level)} if log.over_level else {}
    return inside | {
        "estimate_rmse_m": float(np.sqrt(np.mean(np.square(log.estimate_error_m)))),
        "context_right_percent": 100 * float(right[settled].mean()) if settled.any() else float("nan"),
        "switches": int((asked[1:] != asked[:-1]).any(axis=1).sum()),
        "fpga_resets": log.resets,
        "sensors_j": log.energy.sensors.value,
        "fabric_j": log.energy.fabric().value,
        "sensors_all_on_j": log.everything.sensors.value,
        "fabric_all_on_j": log.everything.fabric().value,
        "saved_percent": 100 * (1 - log.energy.total().value / log.everything.total().value),
        "fabric_saved_percent": 100 * (1 - log.energy.fabric().value / log.everything.fabric().value),
    }
