"""Judges teachers: each flies its own vehicle, over its own latency, without noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from haltere.policies.contract import HIDDEN_SIZE, NATIVE_RATE_HZ
from haltere.policies.foundation import evaluate, teacher
from haltere.policies.foundation.evaluate import CHUNK, LOST_M, Initial, Trace
from haltere.policies.foundation.line import Depth, Line
from haltere.policies.foundation.rollout import Loop, Reference, move, start
from haltere.policies.foundation.spread import collect, place
from haltere.policies.plants.quadrotor import Quadrotor

FLIGHTS = 4
"""Flights per teacher at once: the last is a figure-eight, the others hover, from as many initial states."""
STEPS = 1000
HOVER_S = 5.0
LARGEST_ERROR_M = 0.5
LARGEST_EIGHT_M = 1.0


class Verdict(NamedTuple):
    """What N teachers are worth.

    Attributes:
      fit: (N,) bool; keeps its vehicle in every flight, hovers within `LARGEST_ERROR_M` and follows a 9 s
        figure-eight within `LARGEST_EIGHT_M`.
      error_m: (N,) distance over the last second of a hover of 5 s, worst of all; infinite where lost.
      eight_m: (N,) root mean square distance on the figure-eight; infinite where lost.
    """

    fit: np.ndarray
    error_m: np.ndarray
    eight_m: np.ndarray

    def scores(self) -> tuple[float, float, float]:
        """Share fit, median steady error (m), median RMSE of the figure-eight (m)."""
        return float(self.fit.mean()), float(np.median(self.error_m)), float(np.median(self.eight_m))


def judge(teachers: teacher.Teachers, vehicle: Quadrotor, line: Line, remember: Depth, mesh: Mesh) -> Verdict:
    """Judges N teachers.

    Args:
      teachers: N.
      vehicle: N vehicles, as built; with their disturbances.
      line: of each; only its latency counts.
      remember: largest latencies of the population.
      mesh: devices that share the teachers.
    """
    count = vehicle.mass.shape[0]
    vehicle, line, reference, begin = _flights(vehicle, line)
    trace = roll_out(teachers, vehicle, line, reference, begin, remember, STEPS, mesh)

    end = int(HOVER_S * NATIVE_RATE_HZ)
    error = trace.error[end - int(NATIVE_RATE_HZ) : end].mean(0)
    error = np.where(trace.alive & np.isfinite(error), error, np.inf).reshape(count, FLIGHTS)[:, :-1].max(1)
    rmse = evaluate.tracking_rmse_m(trace).reshape(count, FLIGHTS)[:, -1]
    rmse = np.where(np.isfinite(rmse), rmse, np.inf)
    return Verdict((error < LARGEST_ERROR_M) & (rmse < LARGEST_EIGHT_M), error, rmse)


@jax.jit
def _flights(vehicle: Quadrotor, line: Line) -> tuple[Quadrotor, Line, Reference, Initial]:
    """`FLIGHTS` copies of N vehicles and of their lines, with what each is to fly, and from where."""
    vehicle, line = jax.tree.map(lambda leaf: jnp.repeat(leaf, FLIGHTS, -1), (vehicle, line))
    flights = vehicle.mass.shape[0]
    last = jnp.arange(flights) % FLIGHTS == FLIGHTS - 1

    def either(eight: Any, hover: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(last, a, b), eight, hover)

    reference = either(evaluate.figure_eight(flights, 9.0), evaluate.still(flights))
    begin = either(evaluate.at_rest(vehicle), evaluate.scatter(jax.random.key(2**31 - 3), vehicle, "code"))
    return vehicle, line, reference, begin


def roll_out(
    teachers: teacher.Teachers,
    vehicle: Quadrotor,
    line: Line,
    reference: Reference,
    initial: Initial,
    remember: Depth,
    steps: int,
    mesh: Mesh,
) -> Trace:
    """Lets N teachers fly E vehicles each, N E in all, for `steps` control periods (a multiple of `CHUNK`)."""
    hidden = jnp.zeros((HIDDEN_SIZE, vehicle.mass.shape[0]))
    loop = start(initial.state, initial.action, hidden, reference, remember)
    vehicle, line, reference, loop = place((vehicle, line, reference, loop), mesh)
    rows = []
    for _ in range(0, steps, CHUNK):
        loop, row = _chunk(teachers, vehicle, line, reference, loop)
        rows.append(collect(row))
    error, speed, vertical_speed, action_step = map(np.concatenate, zip(*rows, strict=True))
    none = np.zeros((0, *hidden.shape), np.float32)
    return Trace(error, speed, vertical_speed, action_step, collect(loop.alive), none)


@jax.jit
def _chunk(
    teachers: teacher.Teachers, vehicle: Quadrotor, line: Line, reference: Reference, loop: Loop
) -> tuple[Loop, tuple[jax.Array, ...]]:
    def tick(loop: Loop, _: None) -> tuple[Loop, tuple[jax.Array, ...]]:
        action = teacher.decide(teachers, teacher.features(vehicle, line, loop))
        after = move(vehicle, line, reference, loop, action, LOST_M)
        return after, evaluate.watch(loop, after)

    return jax.lax.scan(tick, loop, None, length=CHUNK)
