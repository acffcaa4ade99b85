"""The walker's part of `haltere bench hybrid`: the two published tasks, beside published numbers and baselines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import clf_qp, stride_planner, walk, walker_mode
from haltere.policies.hybrid import region_of_attraction as region
from haltere.policies.hybrid.baselines import walker_environment, walker_reach
from haltere.policies.hybrid.baselines.walker_reach import Reach
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import growth
from haltere.policies.hybrid.walk import Law, Plan, Task, Walk
from haltere.policies.plants.walker import Gait, tick
from haltere.tools.bench.rivals import rivals
from haltere.tools.bench.table import Rows

OURS, NO_PLANNER, QP = "Haltere", "Haltere, no planner", "CLF-QP"
HAMILTON_JACOBI = "Hamilton-Jacobi"
CLOCKED = 21
SAMPLES, QUICK_SAMPLES = (20, 10), (20, 2)
"""Starts around each gait of the first task, and for each pair of the second; published are the former."""
DECREASING = 99.0
QP_FAILURE, PUBLISHED_WALKS = (42.86, 36.0), (140, 800)
"""Of the published baseline, %: the first by the published code run again, the second a bar; and of how many walks."""
MEASURES, UNITS = ("RMSE", "failure", "invalid"), ("1", "%", "%")


class Numbers(NamedTuple):
    """Bars of fig. 8.

    Attributes:
      rmse: mean distance of the strides' ends from the target, units mixed.
      failure: share of the walks that do not come to the target, %.
      invalid: share in which an angle leaves its range, %.
    """

    rmse: float
    failure: float
    invalid: float


PUBLISHED = {
    "Meng & Fan, published": (Numbers(1.43, 31.5, 31.0), Numbers(1.00, 20.0, 20.0)),
    "Hamilton-Jacobi, published": (Numbers(1.33, 31.0, 34.0), None),
    "MPC, published": (Numbers(1.55, 42.0, 41.0), Numbers(1.24, 33.0, 33.0)),
    "SAC, published": (Numbers(2.04, 81.0, 33.0), Numbers(1.32, 53.0, 21.0)),
}
TASKS = ("same gait", "many gaits")
ASKED = (Numbers(1.2, 27.0, 27.0), Numbers(0.9, 15.0, 15.0))


def bench_walker(
    rows: Rows,
    policy: Path,
    baselines: Path,
    quick: bool,
    seed: int,
    status: Callable[[str], None],
    reach: Reach | None = None,
) -> None:
    """Adds the walker's rows.

    Args:
      rows: to add to.
      policy: the walker's file; where there is none, only baselines are measured.
      baselines: folder of policies by reinforcement learning.
      quick: fewer starts of the second task, and fewer samples in the level set.
      seed: of these samples.
      status: told what is being done.
      reach: values of the rival by Hamilton-Jacobi reachability; without them it is left out.
    """
    for who, both in PUBLISHED.items():
        for name, numbers in zip(TASKS, both, strict=True):
            if numbers is not None:
                for measure, value, unit in zip(MEASURES, numbers, UNITS, strict=True):
                    rows.add(f"walker, {name}: {measure}", who, value, unit)
    weights = hybrid_file.read(policy, walker_mode) if policy.exists() else None
    samples = QUICK_SAMPLES if quick else SAMPLES
    learned = rivals(baselines, "walker", walker_environment.OBSERVATION_SIZE, status)
    tasks = (walk.same_gait(samples[0]), walk.many_gaits(samples[1]))
    for index, task in enumerate(tasks):
        status(f"walker, {TASKS[index]}: {QP}")
        _measure(rows, QP, index, task, _walk(clf_qp.law, None, task))
        for who, network in learned:
            status(f"walker, {TASKS[index]}: {who}")
            _measure(rows, who, index, task, _walk(walker_environment.law(network), None, task))
        if weights is not None:
            status(f"walker, {TASKS[index]}: {NO_PLANNER}")
            _measure(rows, NO_PLANNER, index, task, _walk(stride_planner.law, stride_planner.unplanned(weights), task))
            status(f"walker, {TASKS[index]}: {OURS}")
            planned = _walk(stride_planner.law, stride_planner.plan(weights, stride_planner.Outlook()), task)
            _measure(rows, OURS, index, task, planned)
            begun = np.asarray(planned.walked)[1:]
            inside = 100 * float((np.asarray(planned.plans.excess) == 0)[begun].mean())
            rows.add(f"walker, {TASKS[index]}: strides that begin in the region of attraction", OURS, inside, "%")
    if reach is not None:
        bench_reach(rows, reach, tasks, status)
    _clock(rows, QP, clf_qp.law, None, tasks[0])
    for who, network in learned:
        _clock(rows, who, walker_environment.law(network), None, tasks[0])
    if weights is None:
        status(f"walker: {policy} is not there; make it with `haltere train walker`")
        return
    for who, plan in (
        (NO_PLANNER, stride_planner.unplanned(weights)),
        (OURS, stride_planner.plan(weights, stride_planner.Outlook())),
    ):
        status(f"walker: time of {who}")
        _clock(rows, who, stride_planner.law, plan, tasks[0])
    status("walker: Lyapunov function")
    _decrease(rows, weights, 4_000 if quick else 40_000, seed)


def bench_reach(rows: Rows, reach: Reach, tasks: tuple[Task, Task], status: Callable[[str], None]) -> None:
    """Adds the rows of the rival by Hamilton-Jacobi reachability: both tasks, and what a control step costs."""
    law, plan = walker_reach.law(reach), walker_reach.plan(reach)
    for index, task in enumerate(tasks):
        status(f"walker, {TASKS[index]}: {HAMILTON_JACOBI}")
        _measure(rows, HAMILTON_JACOBI, index, task, _walk(law, plan, task))
    _clock(rows, HAMILTON_JACOBI, law, plan, tasks[0])


def _walk(law: Law, plan: Plan | None, task: Task) -> Walk:
    """All walks of a task."""

    def all_of_them(start: jax.Array, angle: jax.Array) -> Walk:
        return walk.walk(law, start, Gait(angle), plan)

    done: Walk = jax.jit(all_of_them)(jnp.asarray(task.start), jnp.asarray(task.target[0]))
    return done


def _measure(rows: Rows, who: str, index: int, task: Task, walked: Walk) -> None:
    """Adds the measures of one method."""
    score = walk.score(walked, task)
    found = Numbers(
        float(score.rmse.mean()), 100 * float(1 - score.reached.mean()), 100 * float(1 - score.valid.mean())
    )
    for measure, value, unit, limit in zip(MEASURES, found, UNITS, ASKED[index], strict=True):
        name = f"walker, {TASKS[index]}: {measure}"
        if who == OURS:
            rows.at_most(name, who, value, unit, limit)
        elif who == QP and measure == "failure" and task.start.shape[1] == PUBLISHED_WALKS[index]:
            rows.near(name, who, value, unit, QP_FAILURE[index], 0.5)
        else:
            rows.add(name, who, value, unit)


def _clock(rows: Rows, who: str, law: Law, plan: Plan | None, task: Task) -> None:
    """Adds what a control step costs for one walker, compiled: all planning and control of first strides, over steps.

    The first walker is walked twice, since all is compiled the first time.
    """
    think = jax.jit(plan or (lambda state, target: target))
    act, move = jax.jit(law), jax.jit(tick)
    every = task.start.shape[1] // CLOCKED
    taken, steps = 0.0, 0
    for index, walker in enumerate((0, *range(0, CLOCKED * every, every))):
        state, target = jnp.asarray(task.start[:, [walker]]), Gait(jnp.asarray(task.target[0, [walker]]))
        begun = time.monotonic()
        chosen = jax.tree.map(lambda leaf: leaf.block_until_ready(), think(state, target))
        spent, count, landed = time.monotonic() - begun, 0, False
        while not landed and count < walk.TICKS:
            begun = time.monotonic()
            torque = act(state, chosen).block_until_ready()
            spent += time.monotonic() - begun
            state, impact = move(state, torque)
            landed, count = bool(impact[0]), count + 1
        if index > 0:
            taken, steps = taken + spent, steps + count
    rows.add("walker: time per control step", who, 1e3 * taken / steps, "ms")


def _decrease(rows: Rows, weights: Learned, count: int, seed: int) -> None:
    """Share of states in the level set in which V decreases with the next stride."""
    which, where = jax.random.split(jax.random.key(seed + 4_000_013))
    numbers = walker_mode.DOMAIN.configurations(which, count)
    limit = region.level(weights.region, walker_mode, numbers)
    state, border = region.within(walker_mode, weights.lyapunov, where, numbers, limit)
    falls = jax.jit(lambda x: growth(walker_mode, weights.controller, weights.lyapunov, x, numbers) < 0)
    for place, some in (("inside the level set", state), ("on its border", border)):
        share = 100 * float(falls(some).mean())
        rows.at_least(f"walker: samples {place} with V decreasing", OURS, share, "%", DECREASING)
