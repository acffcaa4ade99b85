"""The car's learned planner: what it sees, how it learns, its file, and cars on roads that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError, PolicyFileError
from haltere.policies.export import hybrid_file, planner_file
from haltere.policies.hybrid import car_mode, car_planner, car_planner_learning, drive, drivers, journey, references
from haltere.policies.hybrid import roads as maps
from haltere.policies.hybrid.car_planner import CarPlanner
from haltere.policies.hybrid.car_planner_learning import PlannerRecipe
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.road_planner import Outlook
from haltere.policies.planner_policy import PlannerPolicy, golden_error, load_planner
from haltere.policies.zoo.shipped import CAR, CAR_PLANNER, WALKER

TINY = PlannerRecipe(roads=8, cars=4, window=2, chosen=1, updates=3, outlook=Outlook(ticks=12))
OTHER_SEED = 4_321


@pytest.fixture(scope="module")
def drawn() -> Network:
    return car_planner.draw(jax.random.key(0))


def quiet(stage: str, done: int, total: int, reached: str) -> None:
    """Reports nothing."""


def test_it_sees_the_same_wherever_a_road_lies_and_points(drawn: Network) -> None:
    road = maps.published(3)
    angle, shift = 0.7, np.array([30.0, -20.0])
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = maps.Roads(np.einsum("ij,kjv->kiv", turned, road.knots) + shift[:, None], road.friction)
    world = jax.random.normal(jax.random.key(1), (7, 3)).at[3].add(8.0)
    there = world.at[:2].set(turned @ world[:2] + shift[:, None]).at[4].add(angle)
    choices = [
        car_planner.choose(drawn, jax.tree.map(lambda leaf: leaf[: car_planner.AHEAD], references.along(one, 4)), state)
        for one, state in ((road, world), (moved, there))
    ]
    np.testing.assert_allclose(choices[0], choices[1], atol=1e-4)


def test_cars_see_their_own_road() -> None:
    halves = references.along(maps.published(3), 4)
    road, piece = jnp.array([2, 0]), jnp.array([5, 0])
    view = car_planner_learning.ahead_of(halves, road, piece, 4)
    np.testing.assert_array_equal(view.begin[..., 0], halves.begin[5:9, :, 2])
    np.testing.assert_array_equal(view.friction[:, 1], halves.friction[:4, 0])


def test_roads_of_the_training_are_not_the_published_ones() -> None:
    with pytest.raises(ConfigError, match="published"):
        car_planner_learning.draw_roads(TINY, -1)


@pytest.mark.slow
def test_training_resumes_to_the_same_result(tmp_path: Path) -> None:
    table = drivers.lqr_table()
    whole = car_planner_learning.train(drivers.LQR, table, TINY, 0, tmp_path / "whole", quiet)

    class Stop(Exception):
        """Ends the training as a kill would."""

    def stop(stage: str, done: int, total: int, reached: str) -> None:
        if done == 2:
            raise Stop

    patched = pytest.MonkeyPatch()
    patched.setattr(car_planner_learning, "SAVE_EVERY_S", 0.0)
    with patched.context(), pytest.raises(Stop):
        car_planner_learning.train(drivers.LQR, table, TINY, 0, tmp_path, stop)
    patched.undo()
    again = car_planner_learning.train(drivers.LQR, table, TINY, 0, tmp_path, quiet)
    start = car_planner.draw(jax.random.split(jax.random.key(0), 3)[0])
    for one, other, first in zip(*map(jax.tree.leaves, (whole, again, start)), strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one != first).any()
    with pytest.raises(ConfigError, match="another recipe or seed"):
        car_planner_learning.train(drivers.LQR, table, replace(TINY, rate=1.0), 0, tmp_path, quiet)


def test_the_file_repeats_the_network(drawn: Network, tmp_path: Path) -> None:
    path = planner_file.write(tmp_path / "planner.onnx", drawn, {"name": "car-planner"})
    for one, other in zip(jax.tree.leaves(drawn), jax.tree.leaves(planner_file.read(path)), strict=True):
        np.testing.assert_array_equal(one, other)
    policy, file = load_planner(path)
    samples = dict(file.golden)
    assert golden_error(policy, samples) < 1e-5
    samples["speed"] = samples["speed"] + 0.1
    assert golden_error(PlannerPolicy(path.read_bytes()), samples) > 1e-3
    for read in (planner_file.read, load_planner):
        with pytest.raises(PolicyFileError, match="not a planner"):
            read(CAR)


@pytest.mark.parametrize("read", [planner_file.read, load_planner])
def test_a_planner_is_refused_beside_another_controller(read: Callable[..., object]) -> None:
    read(CAR_PLANNER, CAR.read_bytes())
    with pytest.raises(PolicyFileError, match="--car FILE"):
        read(CAR_PLANNER, WALKER.read_bytes())


def test_shipped_planner_keeps_cars_on_roads_that_it_never_saw() -> None:
    road = maps.published(4, OTHER_SEED)
    weights = hybrid_file.read(CAR, car_mode)
    trip = journey.travel(CarPlanner(planner_file.read(CAR_PLANNER)), drivers.LEARNED.law, weights, road)
    score = drive.score(trip.trace, road)
    assert score.reached.all()
    assert score.deviation_m.mean() < 0.45
