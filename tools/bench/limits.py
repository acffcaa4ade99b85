"""`haltere bench limits`: how far from what the vehicles allow the policy is, where its aim is hard to reach.

Same vehicles and initial states as `haltere bench foundation`. Each flight of the policy is taken as a beginning, and
its actions are optimised with the vehicle known, in hindsight. Where that flight was bad, descent does not find the
best one: the median says something, a percentile in the tail does not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.bound import improve
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.rollout import Loop, advance, start
from haltere.policies.plants.quadrotor import Quadrotor
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.contestants import OURS, load_student, percentiles
from haltere.tools.bench.table import Rows

KNOWN = "vehicle known, in hindsight"
SETTLE_STEPS = 300


class LimitsBench:
    """The bench; `policy` is the file whose flights are improved."""

    def __init__(self, policy: Path = FOUNDATION) -> None:
        self._weights = load_student(policy)

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        keys = jax.random.split(jax.random.key(seed + 1_000_003), 4)
        count, raptor = 128 if quick else 512, load_population("raptor")
        vehicle = sample(keys[0], count, raptor)
        status("settling")
        initial = evaluate.scatter(keys[1], vehicle, "paper")
        for who, distance in self._both(vehicle, initial, SETTLE_STEPS).items():
            median, _ = percentiles(evaluate.settled_s(distance))
            rows.add("hover, paper's initial states: settled below 0.2 m, median", who, median, "s")
        return rows

    def _both(self, vehicle: Quadrotor, initial: evaluate.Initial, steps: int) -> dict[str, np.ndarray]:
        """Distances (T, V) in m of the policy's flights, and of the improved ones."""
        distance, actions = self._fly(vehicle, initial, steps)
        return {OURS: np.asarray(distance), KNOWN: np.asarray(improve(vehicle, initial, actions))}

    def _fly(self, vehicle: Quadrotor, initial: evaluate.Initial, steps: int) -> tuple[jax.Array, jax.Array]:
        count = vehicle.mass.shape[0]
        decide, reference, line = partial(student.step, self._weights), evaluate.still(count), clean_line(count)
        quiet = jnp.zeros((18, count))

        def tick(loop: Loop, _: None) -> tuple[Loop, tuple[jax.Array, jax.Array]]:
            after = advance(decide, vehicle, line, reference, loop, quiet, evaluate.LOST_M)
            return after, (jnp.linalg.norm(after.state.position, axis=0), after.action)

        loop = start(initial.state, initial.action, student.fresh(self._weights, count), reference, evaluate.DEPTH)
        _, (distance, actions) = jax.jit(partial(jax.lax.scan, tick, length=steps))(loop, None)
        return distance, actions
