"""Flies strategies through the same flights, several at once in each of a few processes, and measures them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from haltere.fpga.energy import CONSTANTS, Constants, load_constants
from haltere.fpga.features import DECISION_RATE_HZ
from haltere.fpga.gate import Orders, View
from haltere.fpga.objective import SUBSETS, subset_of
from haltere.fpga.paths import PATHS
from haltere.fpga.power import power_w
from haltere.fpga.street import STREET_SENSORS
from haltere.tools.gating.faults import KINDS, Faults
from haltere.tools.gating.scenarios import KNOWN, Scenarios, every_context, scenarios
from haltere.tools.gating.strategies import CLOCK_HZ, Strategy, Watched, build

if TYPE_CHECKING:
    from haltere.tools.gating.flights import Flights, Log

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

STRETCH_S = (3.0, 7.0, 5.0)
"""Of each flight: clear weather, the context that is measured, another."""
FAULT_AT_S, AFTER_FAULT_S = 3.0, 5.0
LOST_M = 3.0
TOGETHER = 4
"""Strategies that are flown as one batch."""


@dataclass(frozen=True)
class Job:
    """Some strategies through every context. Attributes: as of `fly`."""

    strategies: tuple[Strategy, ...]
    seeds: int
    seed: int
    extra: tuple[int, ...] = ()
    constants: Path = CONSTANTS


@dataclass(eq=False)
class Result:
    """What a strategy came to; C contexts, S flights of each.

    Attributes:
      strategy: which.
      error_m: (C,) root mean square distance from the reference in the context; lost flights count 3 m.
      power_w, fabric_w: (C,), sensors and fabric, and the fabric alone.
      share: (24,) of the decisions in which each subset was wanted.
      crashed: (C, S).
      right: share of decisions, 1 s after a change or later, with the right context.
      switches: changes of what was asked for, per flight, after the first second.
      everything_s: (C, S), from the change into the context until everything ran; infinite where it never did.
      waking_s: by path, from its clock's start to a valid state.
    """

    strategy: Strategy
    error_m: Array
    power_w: Array
    fabric_w: Array
    share: Array
    crashed: Flags
    right: float
    switches: float
    everything_s: Array
    waking_s: tuple[Array, ...]


class Several:
    """Deciders, each of its own part of the flights."""

    def __init__(self, deciders: Sequence[Watched]) -> None:
        self._deciders = deciders

    def decide(self, view: View) -> Orders:
        """See `Gate.decide`."""
        each = len(view.context) // len(self._deciders)
        found = []
        for number, decider in enumerate(self._deciders):
            part = slice(number * each, (number + 1) * each)
            found.append(
                decider.decide(
                    View(
                        view.time_s,
                        view.features[part],
                        view.offset_m[part],
                        view.upright[part],
                        view.awake[part],
                        view.context[part],
                        None if view.repeats is None else view.repeats[part],
                        None if view.age_ticks is None else view.age_ticks[part],
                    )
                )
            )
        return Orders(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def the_flights() -> Flights:
    """Returns the shipped policy on the vehicle of the comparison, ready to fly."""
    # A worker has one core, and JAX is imported here so that it sees that.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    from haltere.policies.zoo.shipped import FOUNDATION
    from haltere.sim.vehicle import load_vehicle
    from haltere.tools.bench.contestants import load_student
    from haltere.tools.bench.foundation import as_plant
    from haltere.tools.gating.flights import Flights

    return Flights(as_plant([load_vehicle("x500")]), load_student(FOUNDATION))


@dataclass(frozen=True)
class FaultResult:
    """What one kind of fault came to.

    Attributes:
      lost: share of the flights that were lost.
      everything: share of the flights in which everything ran half a second after the fault.
      overflows, rejected: samples, of all flights.
    """

    lost: float
    everything: float
    overflows: int
    rejected: int


def break_things(strategy: Strategy, flights: int, seed: int) -> dict[str, FaultResult]:
    """Flies in clear weather, each flight with one fault; returns results by kind."""
    each = scenarios([(0,)] * flights, (FAULT_AT_S + AFTER_FAULT_S,), seed)
    faults = Faults(tuple(kind for kind in KINDS for _ in range(flights)), FAULT_AT_S)
    gate = build(strategy, seed, load_constants())
    log = the_flights().fly(each.repeated(len(KINDS)), gate, seed, times=len(KINDS), faults=faults)
    found = {}
    for number, kind in enumerate(KINDS):
        mine = log.of(number * flights, flights)
        at = int(np.searchsorted(mine.time_s, FAULT_AT_S + 0.5))
        found[kind] = FaultResult(
            lost=float(np.isfinite(mine.crashed_s).mean()),
            everything=float(mine.awake[at].all(axis=-1).mean()),
            overflows=int(mine.overflows.sum()),
            rejected=int(mine.rejected.sum()),
        )
    return found


def fly(job: Job) -> list[Result]:
    """Flies a job's strategies and measures each."""
    flown = every_context(job.seeds, job.seed, STRETCH_S, job.extra)
    times = len(job.strategies)
    gates = [build(strategy, job.seed, load_constants(job.constants)) for strategy in job.strategies]
    log = the_flights().fly(flown.repeated(times), Several(gates), job.seed, times=times)
    results = []
    for number, (strategy, gate) in enumerate(zip(job.strategies, gates, strict=True)):
        results.append(_measure(strategy, gate, log.of(number * flown.count, flown.count), flown, job))
    return results


def _measure(strategy: Strategy, gate: Watched, log: Log, flown: Scenarios, job: Job) -> Result:
    seeds = job.seeds
    groups = flown.count // seeds
    start_s, end_s = STRETCH_S[0], STRETCH_S[0] + STRETCH_S[1]
    within = (log.time_s > start_s + 0.02) & (log.time_s < end_s + 0.02)
    lost = log.time_s[:, None] >= log.crashed_s
    error = np.where(lost, LOST_M, np.minimum(log.error_m, LOST_M)).astype(np.float64)
    squares = (error[within] ** 2).mean(axis=0).reshape(groups, seeds)

    constants = load_constants(job.constants)
    fabric = replace(constants, sensors=(None,) * len(PATHS))
    subset = subset_of(log.gate | log.force, log.burst & ~log.force)

    def by_context(taken: Constants) -> Array:
        running, ring = log.running[within].astype(np.float64), log.ring[within].astype(np.float64)
        power = power_w(taken, STREET_SENSORS, CLOCK_HZ, running, strategy.watching, ring)
        return np.asarray(power.mean(axis=0).reshape(groups, seeds).mean(axis=1))

    period = 1 / DECISION_RATE_HZ
    changed = np.zeros(log.context.shape)
    for row in range(1, len(changed)):
        changed[row] = np.where(log.context[row] == log.context[row - 1], changed[row - 1] + period, 0.0)
    told = np.array(gate.contexts)
    judged = (changed >= 1.0) & ~lost & (log.context < KNOWN)
    asked = Orders(log.gate, log.burst, log.force).asked
    late = log.time_s[1:] > 1.0
    switches = (asked[1:] != asked[:-1]).any(axis=-1)[late].sum() / flown.count
    everything = log.awake.all(axis=-1) & (log.time_s > start_s)[:, None]
    first = np.where(everything.any(axis=0), log.time_s[everything.argmax(axis=0)] - start_s, np.inf)
    return Result(
        strategy=strategy,
        error_m=np.sqrt(squares.mean(axis=1)),
        power_w=by_context(constants),
        fabric_w=by_context(fabric),
        share=np.bincount(subset.ravel(), minlength=SUBSETS) / subset.size,
        crashed=np.isfinite(log.crashed_s).reshape(groups, seeds),
        right=float((told == log.context)[judged].mean()),
        switches=float(switches),
        everything_s=first.reshape(groups, seeds),
        waking_s=tuple(pairs[:, 1] for pairs in log.waking_s),
    )


def compare(
    strategies: Sequence[Strategy],
    seeds: int,
    seed: int,
    status: Callable[[str], None],
    workers: int | None = None,
    extra: tuple[int, ...] = (),
    constants: Path = CONSTANTS,
) -> dict[str, Result]:
    """Flies all strategies through the same flights.

    Args:
      strategies: which.
      seeds: flights of each context.
      seed: of everything.
      status: told what is being done.
      workers: processes; default one a core.
      extra: contexts besides the known ones.
      constants: file of the energy model.
    Returns:
      Results by the strategies' names.
    """
    jobs = [
        Job(tuple(strategies[first : first + TOGETHER]), seeds, seed, extra, constants)
        for first in range(0, len(strategies), TOGETHER)
    ]
    found: dict[str, Result] = {}
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if count == 1:
        for number, job in enumerate(jobs):
            status(f"{number} of {len(jobs)} batches flown")
            found.update({result.strategy.name: result for result in fly(job)})
        return found
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        for number, results in enumerate(pool.map(fly, jobs)):
            status(f"{number + 1} of {len(jobs)} batches flown")
            found.update({result.strategy.name: result for result in results})
    return found
