"""`haltere bench foundation`: our policy and RAPTOR's published weights, side by side, in one run.

Same plant, vehicles, initial states, noise and seeds. RAPTOR's rows are held against its published and
re-measured numbers, so that the comparison is known to be fair.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.condition import LEAST_THRUST_TO_WEIGHT, thrust_to_weight
from haltere.policies.foundation.line import Line, clean_line
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.probe import held_out_r2, traits
from haltere.policies.foundation.rollout import Reference
from haltere.policies.plants.quadrotor import Quadrotor
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.vehicle import Vehicle, load_vehicle
from haltere.tools.bench.contestants import OURS, RAPTOR, Contestants, ours_and_raptor, percentiles
from haltere.tools.bench.table import Rows

NAMED = ("crazyflie", "x500", "arpl", "soft", "flightmare")
OTHERS = ("brushed32", "racer250", "heavy2400")
PERIODS_S = (15.0, 9.0, 5.5, 4.5, 3.5)
LOOPS, RANDOM_LOOPS = 3, 2
STALE_ASKED = {1: 99.5, 2: 99.0, 3: 97.0}
SLUGGISH = (40.0, 80.0)
STRONG = (4.0, 5.0)
CHANGE_STEP = 300

# Published or re-measured numbers of RAPTOR's weights: (value, sampling error that is allowed).
# Source: Eschmann et al. 2025, and measurements with their own simulator.
RAPTOR_EIGHT_M = {
    "crazyflie": (0.061, 0.098, 0.205, 0.304),
    "x500": (0.035, 0.075, 0.170, 0.228),
    "arpl": (0.082, 0.102, 0.172, 0.225),
    "soft": (0.033, 0.070, 0.160, 0.217),
    "flightmare": (0.118, 0.132, 0.193, 0.244),
}
RAPTOR_RANDOM_M = {15.0: 0.035, 9.0: 0.074, 5.5: 0.167, 3.5: 0.344}
RAPTOR_STALE = {1: (50.0, 10.0), 2: (13.0, 7.0), 3: (7.0, 5.0)}


def as_plant(vehicles: list[Vehicle]) -> Quadrotor:
    """Turns vehicles (TOML) into one batch of the differentiable plant, without disturbance or drag."""

    def stack(read: Callable[[Vehicle], object]) -> jax.Array:
        return jnp.asarray(np.stack([np.asarray(read(v), np.float32) for v in vehicles], -1))

    count = len(vehicles)
    positions = stack(lambda v: v.rotor_position_m)
    return Quadrotor(
        mass=stack(lambda v: v.mass_kg),
        inertia=stack(lambda v: v.inertia_kg_m2),
        rotor_x=positions[:, 0],
        rotor_y=positions[:, 1],
        thrust_curve=jnp.broadcast_to(stack(lambda v: v.thrust_curve_n)[:, None], (3, 4, count)),
        torque_constant=stack(lambda v: v.torque_constant_m),
        motor_rise=stack(lambda v: v.motor_rise_s),
        motor_fall=stack(lambda v: v.motor_fall_s),
        drag=jnp.zeros(count),
        force=jnp.zeros((3, count)),
        torque=jnp.zeros((3, count)),
    )


class FoundationBench:
    """The bench; `contestants` are a policy of ours, and RAPTOR's."""

    def __init__(self, contestants: Contestants | None = None) -> None:
        self._contestants = contestants or ours_and_raptor(FOUNDATION)
        self.eights: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        keys = jax.random.split(jax.random.key(seed + 1_000_003), 4)
        count = 512 if quick else 1024
        vehicles = sample(keys[0], count, load_population("raptor"))
        calm = vehicles._replace(force=jnp.zeros_like(vehicles.force))
        self._hover(rows, vehicles, calm, keys[1], status)
        self._corners(rows, keys[3], count, status)
        self._late(rows, calm, keys[1], status)
        self._change(rows, calm, keys[1], status)
        self._eights(rows, calm, keys[2], status)
        if picture is not None:
            from haltere.tools.bench.foundation_picture import draw

            draw(self.eights, rows, picture)
        return rows

    def _fly_hover(self, vehicle: Quadrotor, kind: str, line: Line, key: jax.Array) -> list[tuple[str, evaluate.Hover]]:
        initial = evaluate.scatter(key, vehicle, kind)
        flown = self._contestants.hover(vehicle, initial, line, key, 500)
        return [(who, evaluate.hover_scores(trace)) for who, trace in flown]

    def _hover(
        self, rows: Rows, vehicles: Quadrotor, calm: Quadrotor, key: jax.Array, status: Callable[[str], None]
    ) -> None:
        status("hover")
        line = clean_line(vehicles.mass.shape[0])
        noisy = clean_line(vehicles.mass.shape[0], noise=evaluate.NOISE)
        for who, flown in self._fly_hover(vehicles, "paper", line, key):
            measure = "hover, paper's initial states: stabilised"
            median, p95 = percentiles(flown.settle_s[flown.stabilised])
            settled = "hover, paper's initial states: settled below 0.2 m"
            if who == OURS:
                rows.at_least(measure, who, 100 * flown.stabilised.mean(), "%", 99.5)
                rows.at_most(f"{settled}, median", who, median, "s", 0.6)
                rows.at_most(f"{settled}, p95", who, p95, "s", 1.2)
            else:
                rows.near(measure, who, 100 * flown.stabilised.mean(), "%", 92.2, 3.4)
                rows.add(f"{settled}, median", who, median, "s")
                rows.add(f"{settled}, p95", who, p95, "s")

        for who, flown in self._fly_hover(calm, "code", line, key):
            median, p95 = percentiles(100 * flown.error_m[flown.stabilised])
            measure = "hover, code's initial states: stabilised"
            if who == OURS:
                rows.add(measure, who, 100 * flown.stabilised.mean(), "%")
                rows.at_most("hover: steady error, no force, median", who, median, "cm", 0.5)
                rows.at_most("hover: steady error, no force, p95", who, p95, "cm", 1.5)
            else:
                rows.near(measure, who, 100 * flown.stabilised.mean(), "%", 96.5, 2.0)
                rows.near("hover: steady error, no force, median", who, median, "cm", 2.1, 0.15)
                rows.add("hover: steady error, no force, p95", who, p95, "cm")

        for who, flown in self._fly_hover(vehicles, "code", line, key):
            median, p95 = percentiles(100 * flown.error_m[flown.stabilised])
            if who == OURS:
                rows.at_most("hover: steady error, constant force, median", who, median, "cm", 1.0)
                rows.at_most("hover: steady error, constant force, p95", who, p95, "cm", 4.0)
            else:
                rows.add("hover: steady error, constant force, median", who, median, "cm")
                rows.add("hover: steady error, constant force, p95", who, p95, "cm")

        for who, flown in self._fly_hover(calm, "code", noisy, key):
            rows.add("noise (0.01 m, 0.05 m/s, 0.05 rad/s): stable", who, 100 * flown.stable.mean(), "%")
            step = float(flown.action_step[flown.stable].mean())
            measure = "noise: root mean square step of the action"
            if who == OURS:
                rows.at_most(measure, who, step, "1", 0.08)
            else:
                rows.near(measure, who, step, "1", 0.164, 0.01)

    def _corners(self, rows: Rows, key: jax.Array, count: int, status: Callable[[str], None]) -> None:
        """The vehicles that are hardest to hold: slow to turn, and strong ones that bounce."""
        raptor = load_population("raptor")
        status("sluggish vehicles")
        slow = sample(key, count, dataclasses.replace(raptor, torque_to_inertia=SLUGGISH))
        slow = slow._replace(force=jnp.zeros_like(slow.force))
        for who, flown in self._fly_hover(slow, "code", clean_line(count), key):
            measure, value = "hover, torque-to-inertia 40-80: stable", 100 * flown.stable.mean()
            if who == OURS:
                rows.at_least(measure, who, value, "%", 97.0)
            else:
                rows.near(measure, who, value, "%", 39.0, 6.0)
        strong = sample(key, count, dataclasses.replace(raptor, thrust_to_weight=STRONG))
        strong = strong._replace(force=jnp.zeros_like(strong.force))
        for late, limit in ((0, 0.02), (2, 0.05)):
            status(f"strong vehicles, {10 * late} ms stale")
            for who, flown in self._fly_hover(strong, "code", clean_line(count, late), key):
                measure = f"hover, thrust-to-weight 4-5, {10 * late} ms stale: vertical speed, median rms"
                value = float(np.median(flown.vertical_rms_m_s))
                if who == OURS:
                    rows.at_most(measure, who, value, "m/s", limit)
                else:
                    rows.add(measure, who, value, "m/s")

    def _change(self, rows: Rows, calm: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        """After 3 s of hover, half of the vehicles lose 30 % of their mass, the others (if they can) take it up."""
        status("change of mass")
        count = calm.mass.shape[0]
        able = thrust_to_weight(calm) > 1.3 * LEAST_THRUST_TO_WEIGHT
        factor = jnp.where(able & (jnp.arange(count) % 2 == 0), 1.3, 0.7)
        changes = {CHANGE_STEP: calm._replace(mass=calm.mass * factor)}
        line = clean_line(count)
        for who, trace in self._contestants.hover(calm, evaluate.at_rest(calm), line, key, 700, changes):
            back = evaluate.settled_s(trace.error[CHANGE_STEP:])
            median, p95 = percentiles(np.where(trace.alive, back, np.inf))
            measure = "mass changed by 30 % in flight: back below 0.2 m"
            if who == OURS:
                rows.at_most(f"{measure}, median", who, median, "s", 1.0)
            else:
                rows.add(f"{measure}, median", who, median, "s")
            rows.add(f"{measure}, p95", who, p95, "s")
            rows.add(
                "mass changed by 30 % in flight: largest distance, median",
                who,
                np.median(trace.error[CHANGE_STEP:].max(0)),
                "m",
            )
            known = traits(calm, line)
            for name in (
                "thrust-to-weight",
                "rotors' speed in hover",
                "torque-to-inertia (log)",
                "motor rise time (log)",
                "mass (log)",
            ):
                hidden = trace.hidden[CHANGE_STEP // evaluate.CHUNK // 2 : CHANGE_STEP // evaluate.CHUNK]
                value = held_out_r2(hidden[:, :, trace.alive], known[name][trace.alive])
                if who == OURS and name == "thrust-to-weight":
                    rows.at_least(f"probe of the hidden state: {name}, R2", who, value, "1", 0.97)
                else:
                    rows.add(f"probe of the hidden state: {name}, R2", who, value, "1")

    def _late(self, rows: Rows, calm: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        for late in range(4):
            status(f"whole observation {10 * late} ms stale")
            for who, flown in self._fly_hover(calm, "code", clean_line(calm.mass.shape[0], late), key):
                measure = f"whole observation {10 * late} ms stale: stable"
                value = 100 * flown.stable.mean()
                if who == OURS and late:
                    rows.at_least(measure, who, value, "%", STALE_ASKED[late])
                elif late:
                    rows.near(measure, who, value, "%", *RAPTOR_STALE[late])
                else:
                    rows.add(measure, who, value, "%")

    def _eights(self, rows: Rows, calm: Quadrotor, key: jax.Array, status: Callable[[str], None]) -> None:
        named = as_plant([load_vehicle(name) for name in (*NAMED, *OTHERS)])
        known = len(NAMED) + len(OTHERS)
        # As many as hovered: so the compiled program is the same.
        fleet = jax.tree.map(lambda a, b: jnp.concatenate([a, b[..., known:]], -1), named, calm)
        count = fleet.mass.shape[0]
        initial, line = evaluate.at_rest(fleet), clean_line(count)
        for period in PERIODS_S:
            status(f"figure-eight, {period:g} s")
            figure, steps = evaluate.figure_eight(count, period), round(100 * (1 + LOOPS * period))

            def fly(weights: student.Policy, figure: Reference = figure, steps: int = steps) -> evaluate.Trace:
                return evaluate.roll_out(student.step, weights, fleet, line, figure, initial, key, steps)

            for who, trace in self._contestants.each(fly):
                short = trace._replace(error=trace.error[: round(100 * (1 + RANDOM_LOOPS * period))])
                self.eights[who, period] = (
                    evaluate.tracking_rmse_m(trace)[:known],
                    evaluate.tracking_rmse_m(short)[known:],
                )
            self._eight_rows(rows, period)

    def _eight_rows(self, rows: Rows, period: float) -> None:
        (ours, ours_random), (raptor, raptor_random) = (self.eights[name, period] for name in (OURS, RAPTOR))
        for index, name in enumerate((*NAMED, *OTHERS)):
            measure = f"figure-eight {period:g} s, {name}: RMSE"
            if name in OTHERS or not np.isfinite(raptor[index]) or period == 3.5:
                rows.at_most(measure, OURS, ours[index], "m", 1.0, "completed")
            else:
                rows.at_most(measure, OURS, ours[index], "m", raptor[index] / 2, "half of RAPTOR's")
            if name in NAMED and period != 3.5:
                published = RAPTOR_EIGHT_M[name][PERIODS_S.index(period)]
                rows.near(measure, RAPTOR, raptor[index], "m", published, max(0.003, 0.03 * published))
            else:
                rows.add(measure, RAPTOR, raptor[index], "m")
        for who, errors in ((OURS, ours_random), (RAPTOR, raptor_random)):
            share, mean = 100 * (errors < 1).mean(), errors[errors < 1].mean()
            measure = f"figure-eight {period:g} s, random vehicles: mean RMSE of those below 1 m"
            if who == RAPTOR:
                if period in RAPTOR_RANDOM_M:
                    rows.near(measure, who, mean, "m", RAPTOR_RANDOM_M[period], 0.06 * RAPTOR_RANDOM_M[period])
                else:
                    rows.add(measure, who, mean, "m")
            elif period == 3.5:
                rows.add(measure, who, mean, "m")
            else:
                rows.at_most(measure, who, mean, "m", raptor_random[raptor_random < 1].mean(), "RAPTOR's")
            measure = f"figure-eight {period:g} s, random vehicles: below 1 m"
            if who == OURS:
                rows.at_least(measure, who, share, "%", 99.0)
            elif period == 3.5:
                rows.near(measure, who, share, "%", 88.0, 6.0)
            else:
                rows.add(measure, who, share, "%")
