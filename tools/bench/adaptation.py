"""`haltere bench adaptation`: what the policy knows of its vehicle, and how fast it learns that it has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import evaluate
from haltere.policies.foundation.condition import LEAST_THRUST_TO_WEIGHT, apply, as_built, thrust_to_weight
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.probe import fit, held_out_r2, read, traits
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.contestants import ours_and_raptor, percentiles
from haltere.tools.bench.table import Rows

FIRST, SECOND, END = 300, 600, 1000
"""Control periods at which a vehicle changes, changes back, and ends its flight."""
HEAVY, LIGHT = 1.3, 0.7
WITHIN_M = 0.2
READABLE = ("thrust-to-weight", "mass (log)", "torque-to-inertia (log)", "motor rise time (log)", "latency")


class Flights(NamedTuple):
    """What the picture shows of one policy.

    Attributes:
      errors: by change, (T, V) m.
      believed: by vehicle's history, (t,) median thrust-to-weight read from the hidden state, over the built one.
      known: R² by trait.
    """

    errors: dict[str, np.ndarray]
    believed: dict[str, np.ndarray]
    known: dict[str, float]


def changed(vehicle: Quadrotor) -> dict[str, Quadrotor]:
    """The vehicles after each kind of change."""
    count = vehicle.mass.shape[0]
    built = as_built(count)
    side = jnp.zeros((3, count)).at[0].set(0.15 * vehicle.mass * GRAVITY_M_S2)
    kinds = {
        "30 % heavier": built._replace(payload=HEAVY * built.payload),
        "30 % lighter": built._replace(payload=LIGHT * built.payload),
        "one propeller at 70 %": built._replace(efficiency=built.efficiency.at[0].set(0.7)),
        "steady wind of 15 % of the weight": built._replace(gust=side),
    }
    return {name: apply(vehicle, condition) for name, condition in kinds.items()}


class AdaptationBench:
    """The bench; `policy` is the file that is held against RAPTOR."""

    def __init__(self, policy: Path = FOUNDATION) -> None:
        self._contestants = ours_and_raptor(policy)
        self.flights: dict[str, Flights] = {name: Flights({}, {}, {}) for name in self._contestants.names}

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        key = jax.random.key(seed + 2_000_003)
        vehicle = sample(key, 512 if quick else 1024, load_population("raptor"))
        calm = vehicle._replace(force=jnp.zeros_like(vehicle.force))
        self._change(rows, calm, key, status)
        self._rewrite(rows, calm, key, status)
        self._probe(rows, calm, key, status)
        if picture is not None:
            from haltere.tools.bench.adaptation_picture import draw

            draw(self.flights, picture)
        return rows

    def _fly(
        self, vehicle: Quadrotor, key: jax.Array, steps: int, changes: dict[int, Quadrotor], late: jax.Array | int = 0
    ) -> list[tuple[str, evaluate.Trace]]:
        count = vehicle.mass.shape[0]
        line = clean_line(count)._replace(latency=jnp.broadcast_to(jnp.int32(late), (count,)))
        return self._contestants.hover(vehicle, evaluate.at_rest(vehicle), line, key, steps, changes)

    def _change(self, rows: Rows, vehicle: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        """One change in a hover; of vehicles that can still fly after it."""
        for name, after in changed(vehicle).items():
            status(name)
            able = np.asarray(thrust_to_weight(after) > LEAST_THRUST_TO_WEIGHT)
            for who, trace in self._fly(vehicle, key, END, {FIRST: after}):
                error = trace.error[:, able]
                self.flights[who].errors[name] = error
                back = evaluate.settled_s(error[FIRST:], WITHIN_M)
                median, p95 = percentiles(back)
                rows.add(f"{name}: back below {WITHIN_M} m, median", who, median, "s")
                rows.add(f"{name}: back below {WITHIN_M} m, p95", who, p95, "s")
                rows.add(f"{name}: largest distance, median", who, np.median(error[FIRST:].max(0)), "m")
                rows.add(f"{name}: distance after 3 s, median", who, 100 * np.median(error[FIRST + 300]), "cm")
                rows.add(f"{name}: lost", who, 100 * (~trace.alive[able]).mean(), "%")

    def _rewrite(self, rows: Rows, vehicle: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        """Heavier, then lighter: what was learned first is false later. Beside it, the same end without the lie."""
        kinds = changed(vehicle)
        heavy, light = kinds["30 % heavier"], kinds["30 % lighter"]
        able = np.asarray(thrust_to_weight(heavy) > LEAST_THRUST_TO_WEIGHT)
        built = traits(vehicle, clean_line(len(able)))["thrust-to-weight"]
        histories = {
            "never changed": {},
            "lighter": {SECOND: light},
            "heavier, then lighter": {FIRST: heavy, SECOND: light},
        }
        probes: dict[str, np.ndarray] = {}
        for history, changes in histories.items():
            status(history)
            for who, trace in self._fly(vehicle, key, END, changes):
                hidden = trace.hidden[:, :, able]
                if not changes:
                    half = slice(FIRST // evaluate.CHUNK // 2, None)
                    probes[who] = fit(hidden[half], built[able])
                believed = np.median(read(probes[who], hidden) / built[able], axis=1)
                self.flights[who].believed[history] = believed
                if not changes:
                    continue
                error = trace.error[:, able]
                median, _ = percentiles(evaluate.settled_s(error[SECOND:], WITHIN_M))
                rows.add(f"{history}: back below {WITHIN_M} m, median", who, median, "s")
                rows.add(f"{history}: largest distance, median", who, np.median(error[SECOND:].max(0)), "m")
                rows.add(f"{history}: distance at the end, median", who, 100 * np.median(error[-100:].mean(0)), "cm")
                rows.add(
                    f"{history}: thrust-to-weight believed at the end, over the true", who, believed[-1] * LIGHT, "1"
                )

    def _probe(self, rows: Rows, vehicle: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        """Linear probes on vehicles whose lines are 0 to 30 ms late."""
        status("probes")
        count = vehicle.mass.shape[0]
        late = jnp.arange(count) // 2 % 4
        known = traits(vehicle, clean_line(count)._replace(latency=late))
        initial = evaluate.scatter(key, vehicle, "code")
        line = clean_line(count)._replace(latency=late)
        for who, trace in self._contestants.hover(vehicle, initial, line, key, FIRST, {}):
            hidden = trace.hidden[FIRST // evaluate.CHUNK // 2 :, :, trace.alive]
            for name in READABLE:
                value = held_out_r2(hidden, known[name][trace.alive])
                self.flights[who].known[name] = value
                rows.add(f"probe of the hidden state, lines 0 to 30 ms late: {name}, R2", who, value, "1")
