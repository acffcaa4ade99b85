"""What is measured of policies that a bench has trained."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.probe import held_out_r2, traits
from haltere.policies.plants.quadrotor import Quadrotor
from haltere.tools.bench.contestants import Contestant, Contestants
from haltere.tools.bench.table import Rows

STEPS, EIGHT_S = 500, 9.0
LARGEST_CM = 1000.0
"""Errors of policies that lose their vehicles are drawn as this."""


def fly_all(rows: Rows, trained: list[Contestant], quick: bool, seed: int) -> None:
    """Adds the measures of each policy, flown on the same vehicles, none of which it was trained on.

    Args:
      rows: to add to.
      trained: the policies.
      quick: half as many vehicles.
      seed: of vehicles and initial states.
    """
    key = jax.random.key(seed + 3_000_003)
    vehicle = sample(key, 512 if quick else 1024, load_population("raptor"))
    together = jax.local_device_count()
    for index in range(0, len(trained), together):
        _fly(rows, Contestants(*trained[index : index + together]), vehicle, key)


def _fly(rows: Rows, contestants: Contestants, vehicle: Quadrotor, key: jax.Array) -> None:
    count = vehicle.mass.shape[0]
    calm = vehicle._replace(force=jnp.zeros_like(vehicle.force))
    initial = evaluate.scatter(key, vehicle, "code")
    for who, weights in contestants.each(lambda weights: weights):
        rows.add("parameters", who, student.parameter_count(weights), "1")
    for late in (0, 1, 2, 3):
        line = clean_line(count, late)
        for who, trace in contestants.hover(calm, initial, line, key, STEPS):
            hover = evaluate.hover_scores(trace)
            where = f"hover, {10 * late} ms stale"
            rows.add(f"{where}: stable", who, 100 * hover.stable.mean(), "%")
            rows.add(f"{where}: steady error, median", who, 100 * np.median(hover.error_m), "cm")
            if late == 0:
                target = traits(calm, line)["thrust-to-weight"][trace.alive]
                r2 = held_out_r2(trace.hidden[len(trace.hidden) // 2 :, :, trace.alive], target)
                rows.add("probe of the hidden state: thrust-to-weight, R2", who, r2, "1")
    for who, trace in contestants.hover(vehicle, initial, clean_line(count), key, STEPS):
        error = evaluate.hover_scores(trace).error_m
        rows.add("hover, constant force: steady error, median", who, 100 * np.median(error), "cm")
    figure, rest = evaluate.figure_eight(count, EIGHT_S), evaluate.at_rest(calm)
    flown = contestants.each(
        lambda weights: evaluate.roll_out(
            student.step, weights, calm, clean_line(count), figure, rest, key, int(100 * EIGHT_S)
        )
    )
    for who, trace in flown:
        rmse = np.nan_to_num(evaluate.tracking_rmse_m(trace), nan=np.inf)
        rows.add(f"figure-eight {EIGHT_S:g} s: RMSE, median", who, 100 * np.median(rmse), "cm")
