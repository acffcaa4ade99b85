"""`haltere bench gating`: what gating the senses by context saves, and what it costs, in closed loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from haltere.fpga.energy import CONSTANTS, Constants, load_constants
from haltere.fpga.objective import EVERYTHING, SUBSETS, bursts_of, paths_of
from haltere.fpga.paths import IMU, LIDAR, PATHS
from haltere.fpga.street import STREET_RING_PART
from haltere.tools.bench.table import Rows
from haltere.tools.gating.comparison import STRETCH_S, FaultResult, Result, break_things, compare
from haltere.tools.gating.faults import DRIVER, FLOOD, NOTHING
from haltere.tools.gating.scenarios import KNOWN, NAMES
from haltere.tools.gating.strategies import CLOCK_HZ, Strategy

EVERYTHING_ON, OURS = "everything on", "int8 (RTL)"
GATES = (
    Strategy("knowledge table", "knowledge"),
    Strategy("perceptron", "perceptron"),
    Strategy("attention", "attention"),
    Strategy("loss-predicting", "loss"),
    Strategy(OURS, "int8"),
    Strategy("oracle", "oracle"),
)
SWEEP = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
"""Weights of the energy; at 1 the error would not count at all, and nothing would run."""
QUICK_SWEEP = (0.0, 0.8)
WIDE = 1e3
"""Gamma of the sweep: the weight of the energy alone decides."""
QUICK_STATIC = (0b0001, 0b0011, 0b1010)
SEEDS, QUICK_SEEDS = 20, 2


def static_name(subset: int) -> str:
    """Returns what a static subset is called in the table."""
    number = np.array(subset)
    runs = zip(PATHS, paths_of(number), bursts_of(number), strict=True)
    return "+".join(path.name + " in bursts" * bool(burst) for path, on, burst in runs if on)


class GatingBench:
    """The bench.

    Args:
      workers: processes; by default one a core.
      constants: file of the energy model.
    """

    def __init__(self, workers: int | None = None, constants: Path = CONSTANTS) -> None:
        load_constants(constants)
        self._workers, self._constants = workers, constants

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        seeds = QUICK_SEEDS if quick else SEEDS
        statics = [
            Strategy(static_name(n), "static", n)
            for n in (QUICK_STATIC if quick else set(range(SUBSETS)) - {EVERYTHING})
        ]
        sweep = [
            Strategy(f"{OURS}, lambda {weight:g}", "int8", gamma=WIDE, weight=weight)
            for weight in (QUICK_SWEEP if quick else SWEEP)
        ]
        gates = [gate for gate in GATES if not quick or gate.name in (OURS, "oracle")]
        strategies = [Strategy(EVERYTHING_ON, "static"), *gates, *sweep, *statics]
        found = compare(strategies, seeds, seed, status, self._workers, (KNOWN,), self._constants)
        lots = [
            Strategy(f"random as {one.name}", "random", share=tuple(found[one.name].share.tolist()))
            for one in (GATES[4], *sweep)
        ]
        found |= compare(
            lots, seeds, seed, lambda text: status(f"lots: {text}"), self._workers, (KNOWN,), self._constants
        )

        rows = Rows()
        for name, result in found.items():
            _describe(rows, name, result)
        _against_everything(rows, found, load_constants(self._constants))
        _frontier(rows, found, [OURS, *(one.name for one in sweep)], [one.name for one in statics] + [EVERYTHING_ON])
        _recognition(rows, found[OURS])
        status("faults")
        _faults(rows, break_things(GATES[4], seeds, seed))
        if picture is not None:
            from haltere.tools.bench.gating_picture import draw

            draw(found, [one.name for one in sweep], [one.name for one in statics], picture)
        return rows


def mean_error_m(result: Result) -> float:
    """Returns the mean over the known contexts of the position error, m."""
    return float(result.error_m[:KNOWN].mean())


def mean_power_w(result: Result) -> float:
    """Returns the mean power over the known contexts, W."""
    return float(result.power_w[:KNOWN].mean())


def _describe(rows: Rows, name: str, result: Result) -> None:
    rows.add("position error, mean over contexts", name, 100 * mean_error_m(result), "cm")
    rows.add("power of sensors and fabric", name, mean_power_w(result), "W")
    rows.add("power of the fabric's clocks and data", name, 1e3 * result.fabric_w[:KNOWN].mean(), "mW")
    rows.add("lost flights", name, 100 * result.crashed[:KNOWN].mean(), "%")


def always_on_w(constants: Constants) -> float:
    """Returns the power of the clocks of all flip-flops that belong to no path, W."""
    return constants.clock_j.times(constants.always_on * CLOCK_HZ).value


def diagonals_w(constants: Constants) -> float:
    """Returns the power of the ring's beams that no position is worked out of, W."""
    ring = constants.sensors[LIDAR]
    return 0.0 if ring is None else (1 - STREET_RING_PART) * ring.measure_w.value


def _against_everything(rows: Rows, found: dict[str, Result], constants: Constants) -> None:
    """What is asked of the gate beside everything on."""
    base = found[EVERYTHING_ON]
    floor = found.get(static_name(0))
    if floor is not None:
        least = 100 * (1 - mean_power_w(floor) / mean_power_w(base))
        rows.add("energy that can be saved at all: the IMU alone", static_name(0), least, "%")
    for name in (gate.name for gate in GATES if gate.name in found):
        result = found[name]
        saved = 100 * (1 - mean_power_w(result) / mean_power_w(base))
        fabric = 100 * (1 - result.fabric_w[:KNOWN].mean() / base.fabric_w[:KNOWN].mean())
        more = 100 * (result.error_m[:KNOWN] / base.error_m[:KNOWN] - 1)
        lost = int((result.crashed & ~base.crashed)[:KNOWN].sum())
        asked = name == OURS
        for measure, value, unit, limit, least_asked in (
            ("energy saved, sensors and fabric", saved, "%", 73.0, True),
            ("energy saved, the fabric's clocks and data", fabric, "%", 50.0, True),
            ("position error above everything on, worst context", more.max(), "%", 5.0, False),
            ("flights lost that are not with everything on", lost, "1", 0.0, False),
        ):
            if not asked:
                rows.add(measure, name, value, unit)
            elif least_asked:
                rows.at_least(measure, name, value, unit, limit)
            else:
                rows.at_most(measure, name, value, unit, limit)
    lean = 100 * (1 - mean_power_w(found[OURS]) / (mean_power_w(base) - diagonals_w(constants)))
    rows.add("energy saved, sensors and fabric, beside everything on but the ring's diagonals", OURS, lean, "%")
    rest_w = always_on_w(constants)
    ours_w, base_w = (found[name].fabric_w[:KNOWN].mean() + rest_w for name in (OURS, EVERYTHING_ON))
    rows.add("energy saved, all clocks, also those without a gate", OURS, 100 * (1 - ours_w / base_w), "%")
    for number in range(KNOWN):
        result = found[OURS]
        rows.add(f"{NAMES[number]}: position error", EVERYTHING_ON, 100 * base.error_m[number], "cm")
        rows.add(f"{NAMES[number]}: position error", OURS, 100 * result.error_m[number], "cm")
        saved = 100 * (1 - result.power_w[number] / base.power_w[number])
        rows.add(f"{NAMES[number]}: energy saved", OURS, saved, "%")
        fabric = 100 * (1 - result.fabric_w[number] / base.fabric_w[number])
        rows.add(f"{NAMES[number]}: energy saved in the fabric", OURS, fabric, "%")


def _frontier(rows: Rows, found: dict[str, Result], gates: list[str], statics: list[str]) -> None:
    """The gate at each weight of the energy, beside the best static subset of no more energy, and random gating."""
    for name in gates:
        error, power = mean_error_m(found[name]), mean_power_w(found[name])
        rivals = [mean_error_m(found[one]) for one in statics if mean_power_w(found[one]) <= power * 1.0001]
        if rivals:
            best = 100 * min(rivals)
            rows.at_most("error, best static of no more energy beside it", name, 100 * error, "cm", best)
        lot = mean_error_m(found[f"random as {name}"])
        rows.at_most("error, random gating of the same duty beside it", name, 100 * error, "cm", 100 * lot)


def _recognition(rows: Rows, ours: Result) -> None:
    rows.at_least("context right, 1 s after a change or later", OURS, 100 * ours.right, "%", 97.0)
    changes, minutes = len(STRETCH_S) - 1, sum(STRETCH_S) / 60
    rows.at_most("switches a flight", OURS, ours.switches, "1", changes + minutes)
    for number, path in enumerate(PATHS):
        waking = ours.waking_s[number]
        if number != IMU and len(waking):
            rows.at_most(
                f"wake-up to valid, p95: {path.name}", OURS, 1e3 * float(np.percentile(waking, 95)), "ms", 50.0
            )
    quickly = 100 * float((ours.everything_s[KNOWN:] <= 0.3).mean())
    rows.at_least(f"unknown context ({NAMES[KNOWN]}): everything on within 300 ms", OURS, quickly, "%", 95.0)


def _faults(rows: Rows, found: dict[str, FaultResult]) -> None:
    for kind, result in found.items():
        rows.at_most(f"{kind}: flights lost", OURS, 100 * result.lost, "%", 0.0)
    rows.at_least(f"{DRIVER}: everything on half a second later", OURS, 100 * found[DRIVER].everything, "%", 100.0)
    rows.at_least(f"{FLOOD}: samples counted as overflows", OURS, found[FLOOD].overflows, "1", 1)
    rows.at_least(f"{NOTHING}: samples counted as rejected", OURS, found[NOTHING].rejected, "1", 1)
