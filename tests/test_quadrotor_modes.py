"""The quadrotor's modes: V of the file falls and tells starts apart, planted ones do not; bounds of probabilities."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import PolicyFileError
from haltere.policies.export import quadrotor_file
from haltere.policies.foundation import student
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import load_population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_learning as learning
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid import quadrotor_training
from haltere.policies.hybrid.guarantee import lower_bound, upper_bounds
from haltere.policies.hybrid.quadrotor_region import LEAST, level
from haltere.policies.hybrid_policy import load_hybrid
from haltere.policies.zoo.shipped import CAR, FOUNDATION, QUADROTOR
from haltere.tools.bench.contestants import load_student

COUNT = 250
POPULATION = load_population("raptor")
MODE = jnp.arange(COUNT) % len(modes.MODES)


@pytest.fixture(scope="module")
def flown() -> flights.Flown:
    policy, line = load_student(FOUNDATION), clean_line(COUNT)
    hover = flights.hovering(policy, jax.random.key(11), COUNT, POPULATION, line)
    return flights.flown_from(policy, jax.random.key(12), hover, MODE, jnp.ones(COUNT), line)[0]


def values(flown: flights.Flown, weights: lyapunov.Network) -> np.ndarray:
    which = lyapunov.one_hot(MODE)
    return np.exp(np.asarray(jax.vmap(lambda seen: lyapunov.log_value(weights, seen, which))(flown.seen)))


def falling(flown: flights.Flown, value: np.ndarray) -> float:
    """Share of unsettled states on returning flights from which V falls within a step."""
    step = learning.STEP_TICKS
    moving = (value[:-step] > learning.REST) & np.asarray(flown.back & flown.begun)
    return float((value[step:] < np.maximum(value[:-step], learning.REST))[moving].mean())


def test_most_flights_return_and_v_falls_on_them(flown: flights.Flown) -> None:
    assert np.asarray(flown.begun).mean() > 0.98
    assert np.asarray(flown.back).mean() > 0.95
    weights = quadrotor_file.read(QUADROTOR).lyapunov
    assert falling(flown, values(flown, weights)) > 0.9


def test_a_planted_v_that_does_not_fall_is_reported(flown: flights.Flown) -> None:
    """Speed alone, at rest at the far end of a transit, rises first; so does a random network's V."""
    speed = np.asarray((flown.seen[:, 12:15] ** 2).sum(1)) + 10 * learning.REST
    transit = np.asarray(MODE) == modes.TRANSIT
    step = learning.STEP_TICKS
    assert (speed[step] < speed[0])[transit].mean() < 0.1
    random = tuple(layer._replace(weight=30 * layer.weight) for layer in lyapunov.draw(jax.random.key(3)))
    assert falling(flown, values(flown, random)) < 0.8


def test_danger_to_come_falls_along_flights(flown: flights.Flown) -> None:
    ahead = np.asarray(flown.to_come(learning.LOST))
    assert (np.diff(ahead, axis=0) <= 1e-3).all()
    assert (ahead[0][~np.asarray(flown.back)] >= learning.LOST).all()


def test_modes_begin_as_they_are_told() -> None:
    key = jax.random.key(5)
    policy = load_student(FOUNDATION)
    policy = policy._replace(initial_hidden_state=policy.initial_hidden_state + 0.1)
    hover = modes.at_rest(key, COUNT, POPULATION, policy)
    hover = hover._replace(loop=hover.loop._replace(hidden=hover.loop.hidden + 1))
    begun = jax.jit(lambda: modes.switch(key, MODE, jnp.ones(COUNT), hover, policy))()
    anew = np.abs(np.asarray(begun.loop.hidden) - np.asarray(student.fresh(policy, COUNT))).max(0) < 1e-6
    let_go = np.isin(np.asarray(MODE), (modes.HOVER, modes.RECOVER))
    assert 0 < anew.sum() < let_go.sum()
    assert not anew[~let_go].any()
    seen, mode = np.asarray(modes.see(begun.loop)), np.asarray(MODE)
    distance, speed = np.linalg.norm(seen[:3], axis=0), np.linalg.norm(seen[12:15], axis=0)
    assert distance[mode == modes.TRANSIT].max() > 1.5
    assert distance[mode == modes.TRANSIT].max() <= modes.FAR_M
    assert distance[mode >= modes.PAYLOAD].max() == 0
    assert 3 < speed[mode == modes.RECOVER].max() <= modes.THROW_M_S + 1e-4
    assert seen[11, mode == modes.RECOVER].min() > -1e-3  # tilted to 90 degrees at most
    payload, efficiency = np.asarray(begun.condition.payload), np.asarray(begun.condition.efficiency)
    assert (payload[mode != modes.PAYLOAD] == 1).all()
    assert 0.7 <= payload[mode == modes.PAYLOAD].min() < 0.8
    assert 0.7 <= efficiency[:, mode == modes.ROTOR].min() < 0.8
    assert ((efficiency < 1).sum(0) <= 1).all()


def test_bounds_hold_and_are_tight() -> None:
    # Rule of three: no failure in n trials says that p < -log(1 - confidence) / n.
    assert lower_bound(1000, 1000) == pytest.approx(0.001 ** (1 / 1000))
    assert lower_bound(0, 10) == 0
    stream = np.random.default_rng(0)
    misses = sum(lower_bound(int(stream.binomial(500, 0.95)), 500, 0.9) > 0.95 for _ in range(2000))
    assert 0.05 < misses / 2000 <= 0.11
    assert upper_bounds(np.array([5]), np.array([500]))[0] == pytest.approx(1 - lower_bound(495, 500))


def test_levels_stop_where_flights_fail() -> None:
    value = np.linspace(0, 1, 10_000)
    back = value < 0.5
    assert 0.49 < level(value, back, 0.005, 0.999) < 0.51
    assert level(value, ~back, 0.005, 0.999) == LEAST


def test_file_repeats_jax_and_names_its_policy(flown: flights.Flown) -> None:
    loaded, file = load_hybrid(QUADROTOR)
    learned = quadrotor_file.read(QUADROTOR)
    value = values(flown, learned.lyapunov)
    for index in range(5):
        one_hot = np.eye(len(modes.MODES), dtype=np.float32)[index]
        answer = loaded.step(np.asarray(flown.seen[3, :, index]), one_hot)
        assert answer.lyapunov_value == pytest.approx(value[3, index], rel=1e-3)
        assert answer.region_level == pytest.approx(float(jnp.exp(learned.log_levels[index])), rel=1e-4)
        assert answer.action.size == 0
    assert file.card["policy"] == "foundation"
    assert list(file.card["levels"]) == list(modes.MODES)
    with pytest.raises(PolicyFileError, match="is not the quadrotor's"):
        quadrotor_file.read(CAR)


@pytest.mark.slow
def test_training_resumes_to_the_same_result(tmp_path: Path) -> None:
    policy = load_student(FOUNDATION)
    recipe = dataclasses.replace(
        learning.QuadrotorRecipe(), rounds=2, vehicles=48, fits=2, batch=32, falsified=8, calibration=1
    )

    class Stop(Exception):
        """A kill."""

    def stop(stage: str, done: int, total: int, reached: str) -> None:
        if done == 2:
            raise Stop

    def run(folder: Path, report: object) -> quadrotor_training.LearnedModes:
        return quadrotor_training.train(policy, POPULATION, recipe, 0, folder, report)  # type: ignore[arg-type]

    quadrotor_training.SAVE_EVERY_S, before = 0.0, quadrotor_training.SAVE_EVERY_S
    try:
        with pytest.raises(Stop):
            run(tmp_path / "a", stop)
        again = run(tmp_path / "a", lambda *_: None)
    finally:
        quadrotor_training.SAVE_EVERY_S = before
    whole = run(tmp_path / "b", lambda *_: None)
    for one, two in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, two)


def test_record_holds_what_was_asked() -> None:
    record = json.loads((Path(__file__).parent / "records" / "quadrotor.json").read_text())
    bounds = [row for row in record["rows"] if row["asked"]]
    assert len(bounds) == len(modes.MODES)
    assert all(row["met"] for row in bounds)
