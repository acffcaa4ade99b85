"""The car's part of `haltere bench hybrid`: on the 25 published maps, beside published numbers and ablations."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file, planner_file
from haltere.policies.hybrid import car_clf, car_mode, drive, drivers, lyapunov, region_of_attraction, roads
from haltere.policies.hybrid.baselines import car_environment
from haltere.policies.hybrid.car_planner import CarPlanner
from haltere.policies.hybrid.drive import Trace
from haltere.policies.hybrid.drivers import LEARNED, LQR
from haltere.policies.hybrid.journey import Journey, Planner, travel
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import growth
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.road_planner import Descent, Driver
from haltere.policies.hybrid.roads import Roads
from haltere.policies.plants.car import Road
from haltere.tools.bench.rivals import rivals
from haltere.tools.bench.table import Rows

OURS, NO_PLANNER = "Haltere", "Haltere, no planner"
DESCENT = "Haltere, planner by descent"
PLAIN_LQR, PLANNED_LQR = "LQR", "LQR, planner by descent"
CLF_QP = "CLF-QP, one V"
MPC = "MPC (CasADi, IPOPT)"
FREE = "Haltere, planner by descent, any speed of 5 to 15 m/s"
CLOCKED = 5
"""Journeys, of which the median counts."""


class Published(NamedTuple):
    """What is known of a published method: fig. 4, or the authors' code run again.

    Attributes:
      deviation_m: lane deviation.
      rmse: of the seven errors, units mixed.
      distance_m: to the goal, as their code computes it.
      reached: share of the maps, %, where known.
    """

    deviation_m: float
    rmse: float
    distance_m: float
    reached: float | None = None


PUBLISHED = {
    "Meng & Fan, published": Published(0.54, 2.12, 51.0),
    "Meng & Fan, code run again": Published(0.495, 1.99, 16.8, 92.0),
    "MPC, published": Published(1.46, 5.05, 196.0),
    "Single CLF, published": Published(0.67, 6.2, 178.0),
    "SAC, published": Published(1.23, 8.2, 202.0),
}
DEVIATION_M, RMSE, DISTANCE_M, REACHED, DECREASING = 0.45, 1.7, 5.0, 98.0, 99.0
FASTER = 50.0
STEP = "car: time per control step, planner and simulation"


def bench_car(
    rows: Rows, policy: Path, planner: Path, baselines: Path, quick: bool, seed: int, status: Callable[[str], None]
) -> None:
    """Adds the car's rows.

    Args:
      rows: to add to.
      policy: the car's file.
      planner: the file of its planner.
      baselines: folder of policies by reinforcement learning.
      quick: fewer samples, no ablation of the speeds' bounds, and no predictive control.
      seed: of samples in the level set.
      status: told what is being done.
    """
    weights, maps = hybrid_file.read(policy, car_mode), roads.published()
    for who, numbers in PUBLISHED.items():
        rows.add("car: lane deviation", who, numbers.deviation_m, "m")
        rows.add("car: RMSE", who, numbers.rmse, "1")
        rows.add("car: distance to goal, as published", who, numbers.distance_m, "m")
        if numbers.reached is not None:
            rows.add("car: goal reached", who, numbers.reached, "%")
    plan = drive.timed(maps.halves())
    every_second = 2 * (len(maps.knots) - 1) * drive.HALF_S
    status("car: references without planner")
    fixed = (
        (PLAIN_LQR, drive.lqr_law, drive.lqr_gains(plan)),
        (CLF_QP, car_clf.law, _every(car_clf.solve(), len(plan.speed))),
        (NO_PLANNER, drivers.learned_law, _every(weights, len(plan.speed))),
    )
    for who, law, parameters in fixed:
        trace = jax.jit(partial(drive.drive, law=law, steps=100))(plan, gains=parameters)
        _measure(rows, who, trace, maps, every_second)
    for who, network in rivals(baselines, "car", car_environment.OBSERVATION_SIZE, status):
        guided = car_environment.guide(network, plan)
        trace = jax.jit(partial(drive.drive, law=car_environment.law, steps=100))(plan, gains=guided)
        _measure(rows, who, trace, maps, every_second)
        _clock_fixed(rows, who, plan, network)
    status("car: LQR with planner")
    table = drivers.lqr_table()
    _travel(rows, PLANNED_LQR, Descent(LQR, table), LQR, table, maps)
    status("car: learned controller with planner")
    learned = CarPlanner(planner_file.read(planner, policy.read_bytes()))
    journey = _travel(rows, OURS, learned, LEARNED, weights, maps)
    _landings(rows, weights, journey)
    step_ms = _clock(rows, OURS, learned, weights, maps)
    if not quick:
        status("car: planner by descent")
        descent = Descent(LEARNED, weights)
        _travel(rows, DESCENT, descent, LEARNED, weights, maps)
        _clock(rows, DESCENT, descent, weights, maps)
        _travel(rows, FREE, descent, LEARNED, weights, maps, free=True)
        status("car: predictive control")
        predictive_ms = _predictive(rows, plan, maps)
        rows.at_least("car: MPC's time per control step over ours", OURS, predictive_ms / step_ms, "1", FASTER)
    status("car: Lyapunov function")
    _decrease(rows, weights, 4_000 if quick else 40_000, seed)


def _travel(
    rows: Rows, who: str, planner: Planner, driver: Driver, parameters: Any, maps: Roads, free: bool = False
) -> Journey:
    """Drives with a planner."""
    journey = travel(planner, driver.law, parameters, maps, free)
    _measure(rows, who, journey.trace, maps, float(journey.duration_s.mean()), ours=who == OURS)
    return journey


def _clock(rows: Rows, who: str, planner: Planner, parameters: Any, maps: Roads) -> float:
    """Adds the time per control step, ms, of one car alone, once all is compiled; returns it."""
    alone: Roads = jax.tree.map(lambda leaf: leaf[..., :1], maps)
    journey = travel(planner, LEARNED.law, parameters, alone)
    taken = []
    for _ in range(CLOCKED):
        begun = time.monotonic()
        travel(planner, LEARNED.law, parameters, alone)
        taken.append(time.monotonic() - begun)
    step_ms = 1e3 * float(np.median(taken)) / (journey.duration_s.sum() / car_mode.DOMAIN.period_s)
    rows.add(STEP, who, float(step_ms), "ms")
    return float(step_ms)


def _clock_fixed(rows: Rows, who: str, plan: Road, weights: Network) -> None:
    """Adds the time per control step, ms, of one car alone under a policy, once all is compiled."""
    alone: Road = jax.tree.map(lambda leaf: leaf[..., :1], plan)
    guided = car_environment.guide(weights, alone)
    go = jax.jit(partial(drive.drive, law=car_environment.law, steps=100))
    go(alone, gains=guided).error.block_until_ready()
    taken = []
    for _ in range(CLOCKED):
        begun = time.monotonic()
        go(alone, gains=guided).error.block_until_ready()
        taken.append(time.monotonic() - begun)
    rows.add(STEP, who, 1e3 * float(np.median(taken)) / (100 * len(plan.speed)), "ms")


def _predictive(rows: Rows, plan: Road, maps: Roads) -> float:
    """Predictive control, one car after the other, along the references of the baselines; returns ms a control step.

    As with ours, what is built and compiled once is not counted.
    """
    from haltere.policies.hybrid import car_mpc

    steps = round(drive.HALF_S / car_mode.DOMAIN.period_s)
    cars: list[Road] = [jax.tree.map(lambda leaf, v=v: leaf[..., v : v + 1], plan) for v in range(plan.speed.shape[-1])]
    mpc = car_mpc.CarMpc()
    car_mpc.drive_one(mpc, cars[0], steps)
    driven, taken = [], []
    for alone in cars:
        mpc.forget()
        begun = time.monotonic()
        driven.append(car_mpc.drive_one(mpc, alone, steps))
        taken.append(time.monotonic() - begun)
    whole: Trace = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=-1), *(trace for trace, _ in driven))
    _measure(rows, MPC, whole, maps, len(plan.speed) * drive.HALF_S)
    step_ms = 1e3 * sum(taken) / (sum(plans for _, plans in driven) * car_mpc.APPLIED)
    rows.add(STEP, MPC, step_ms, "ms")
    return step_ms


def _every(parameters: Any, halves: int) -> Any:
    """The same parameters for each half piece."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (halves, *leaf.shape)), parameters)


def _measure(rows: Rows, who: str, trace: Trace, maps: Roads, duration_s: float, ours: bool = False) -> None:
    """Adds the measures of one method."""
    score = drive.score(trace, maps)
    numbers = (
        ("car: lane deviation", score.deviation_m.mean(), "m", DEVIATION_M),
        ("car: RMSE", score.rmse.mean(), "1", RMSE),
        ("car: distance to goal, as published", score.published_m.mean(), "m", DISTANCE_M),
        ("car: distance to goal, along the road", score.remaining_m.mean(), "m", DISTANCE_M),
    )
    for measure, value, unit, limit in numbers:
        if ours:
            rows.at_most(measure, who, float(value), unit, limit)
        else:
            rows.add(measure, who, float(value), unit)
    reached = 100 * float(score.reached.mean())
    if ours:
        rows.at_least("car: goal reached", who, reached, "%", REACHED)
    else:
        rows.add("car: goal reached", who, reached, "%")
    rows.add("car: time on the road", who, duration_s, "s")


def _landings(rows: Rows, weights: Learned, journey: Journey) -> None:
    """Share of the switches that land in the next mode's region of attraction."""
    entry = jnp.asarray(journey.entry.transpose(1, 0, 2).reshape(7, -1))
    speed, friction = journey.speed.ravel(), journey.friction.ravel()
    numbers = jnp.asarray(np.stack([friction, speed, np.zeros_like(speed)]), jnp.float32)
    value = lyapunov.value(weights.lyapunov, car_mode.DOMAIN, entry, numbers)
    inside = value <= region_of_attraction.level(weights.region, car_mode, numbers)
    rows.add("car: switches that land in the region of attraction", OURS, 100 * float(inside.mean()), "%")


def _decrease(rows: Rows, weights: Learned, count: int, seed: int) -> None:
    """Share of states in the level set in which V decreases, and of those that come back."""
    which, where = jax.random.split(jax.random.key(seed + 4_000_003))
    numbers = car_mode.DOMAIN.configurations(which, count)
    limit = region_of_attraction.level(weights.region, car_mode, numbers)
    state, border = region_of_attraction.within(car_mode, weights.lyapunov, where, numbers, limit)
    falls = jax.jit(lambda x: growth(car_mode, weights.controller, weights.lyapunov, x, numbers) < 0)
    for place, some in (("inside the level set", state), ("on its border", border)):
        share = 100 * float(falls(some).mean())
        rows.at_least(f"car: samples {place} with V decreasing", OURS, share, "%", DECREASING)
    back = jax.jit(lambda x: region_of_attraction.returns(car_mode, weights.controller, x, numbers, 500))(state)
    rows.at_least("car: samples inside that come back within 5 s", OURS, 100 * float(back.mean()), "%", DECREASING)
