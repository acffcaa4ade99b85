"""Controller, Lyapunov function and region of attraction: what holds before, during and after learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError, PolicyFileError
from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import (
    car_expert,
    car_mode,
    controller,
    controller_learning,
    learned,
    lqr,
    lyapunov,
    lyapunov_learning,
    region_of_attraction,
    training,
)
from haltere.policies.hybrid.controller_learning import ControllerRecipe
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import LyapunovRecipe
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.polish import PolishRecipe
from haltere.policies.hybrid.region_of_attraction import RegionRecipe
from haltere.policies.hybrid.training import Recipe
from haltere.policies.hybrid_policy import HybridPolicy, golden_error
from haltere.policies.plants import car

MODE: Mode = car_mode
DOMAIN = car_mode.DOMAIN
COUNT = 32
TINY = Recipe(
    ControllerRecipe(imitation=20, imitation_batch=32, updates=2, systems=8, window=10, shortest=3),
    PolishRecipe(rounds=1, states=16, chunk=8, iterations=2, fits=4, batch=8),
    LyapunovRecipe(rounds=2, systems=8, horizon=24, fits=2, batch=16, falsifier_steps=2, smooth=1e-3),
    RegionRecipe(configurations=4, chunk=4, border=16, descent=3, inside=32, followed=4, horizon=20, updates=20),
)


@pytest.fixture(scope="module")
def drawn() -> Learned:
    return learned.draw(jax.random.key(3), MODE)


@pytest.fixture(scope="module")
def some() -> tuple[jax.Array, jax.Array]:
    return DOMAIN.uniform(jax.random.key(1), COUNT), DOMAIN.configurations(jax.random.key(2), COUNT)


def test_the_equilibrium_needs_no_action_and_has_no_value(drawn: Learned, some: tuple[jax.Array, jax.Array]) -> None:
    zero = jnp.zeros((7, COUNT))
    assert not controller.act(drawn.controller, DOMAIN, zero, some[1]).any()
    assert not lyapunov.value(drawn.lyapunov, DOMAIN, zero, some[1]).any()


def test_actions_are_limited_and_values_bounded(drawn: Learned, some: tuple[jax.Array, jax.Array]) -> None:
    state, numbers = 50 * some[0], some[1]
    assert (jnp.abs(controller.act(drawn.controller, DOMAIN, state, numbers)) <= 12.0).all()
    alpha, beta = lyapunov.bounds(drawn.lyapunov)
    size = jnp.linalg.norm(DOMAIN.scaled(state), axis=0)
    root = jnp.sqrt(lyapunov.value(drawn.lyapunov, DOMAIN, state, numbers))
    assert (root >= 0.999 * alpha * size).all()
    assert (root <= 1.001 * beta * size).all()


def test_the_expert_is_the_riccati_solution_at_the_grid() -> None:
    schedule = car_expert.schedule()
    state = jnp.zeros((7, 1)).at[3].set(2.0)
    found = schedule.at(state, jnp.array([[1.0], [10.0], [0.0]]))[..., 0]
    some = car.configure(jnp.array([[1.0], [12.0], [0.0]]))
    a, b = lqr.linearise(car, 0, jnp.zeros((7, 1)), jnp.zeros((2, 1)), some)
    weights = np.diag(car_expert.STATE_WEIGHTS), np.diag(car_expert.ACTION_WEIGHTS)
    wanted = lqr.gain(np.asarray(a), np.asarray(b), *weights, 0.01)[0]
    np.testing.assert_allclose(found * 12 / np.array(DOMAIN.state), wanted, rtol=1e-3, atol=1e-3)


def test_a_switch_turns_and_shifts_but_keeps_the_car_or_begins_a_road() -> None:
    state, numbers = 0.3 * DOMAIN.uniform(jax.random.key(4), 256), DOMAIN.configurations(jax.random.key(5), 256)
    following, after = car_mode.switch(jax.random.key(6), numbers, state)
    starts = np.asarray((after[jnp.array([0, 1, 2, 5, 6])] == 0).all(0))
    assert starts.mean() == pytest.approx(car_mode.STARTS, abs=0.05)
    begun = np.asarray(after[3] + following[1])[starts]
    slowest = np.asarray(following[1])[starts] - car_mode.LARGEST_LAG_M_S
    np.testing.assert_allclose(begun, np.maximum(car_mode.START_M_S, slowest), atol=1e-4)
    assert np.abs(np.asarray(after[4])[starts]).max() <= car_mode.START_RAD
    state, numbers, following, after = (leaf[:, ~starts] for leaf in (state, numbers, following, after))
    np.testing.assert_allclose(after[3] + following[1], state[3] + numbers[1], atol=1e-4)
    np.testing.assert_allclose(after[jnp.array([2, 5, 6])], state[jnp.array([2, 5, 6])], atol=1e-6)
    assert jnp.abs(after[4] - state[4]).max() < np.pi / 4 + 1e-3
    moved = jnp.hypot(after[0], after[1]) - jnp.hypot(state[0], state[1])
    assert jnp.abs(moved).max() <= 1.0 + 1e-4


def test_the_target_of_v_falls_along_trajectories(drawn: Learned) -> None:
    state, numbers = 0.2 * DOMAIN.uniform(jax.random.key(7), 8), DOMAIN.configurations(jax.random.key(8), 8)
    samples = lyapunov_learning.trajectories(MODE, drawn.controller, state, numbers, 40)
    target = np.asarray(samples.target).reshape(20, 8)
    assert (np.diff(target, axis=0) <= 1e-6).all()
    assert np.asarray(samples.state).reshape(7, 20, 8)[:, 0] == pytest.approx(np.asarray(state))


def test_growth_at_rest_is_what_small_errors_show() -> None:
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: 3.0 * jnp.asarray(leaf, jnp.float64), learned.draw(jax.random.key(3), MODE))
        numbers = DOMAIN.configurations(jax.random.key(5), 3).astype(jnp.float64)
        slopes = lyapunov_learning.slopes_at_rest(MODE, exact.controller, numbers)
        rates = lyapunov_learning.growth_at_rest(MODE, exact.lyapunov, slopes, numbers)
        some = 1e-2 * DOMAIN.uniform(jax.random.key(6), 600).astype(jnp.float64)
        many = jnp.repeat(numbers, 200, axis=1)
        shown = lyapunov_learning.growth(MODE, exact.controller, exact.lyapunov, some, many).reshape(3, 200)
        assert (shown.max(1) <= rates[:, -1] + 0.2).all()
        assert (shown.min(1) >= rates[:, 0] - 0.2).all()
        assert (shown.max(1) - shown.min(1) > 0.1 * (rates[:, -1] - rates[:, 0])).all()


@pytest.mark.slow
def test_v_that_rises_at_rest_is_pulled_down(drawn: Learned) -> None:
    recipe = replace(TINY.lyapunov, rounds=3, fits=20, resting=16, rest_weight=10.0)
    law = controller_learning.imitate(
        MODE, car_expert.schedule().at, replace(TINY.controller, imitation=300), drawn.controller, jax.random.key(0)
    )
    learning = lyapunov_learning.begin(recipe, drawn.lyapunov)
    numbers = DOMAIN.configurations(jax.random.key(5), 32)
    slopes = lyapunov_learning.slopes_at_rest(MODE, law, numbers)
    before = lyapunov_learning.growth_at_rest(MODE, drawn.lyapunov, slopes, numbers)[:, -1]
    for index in range(recipe.rounds):
        learning, _ = lyapunov_learning.round_of(MODE, recipe, law, learning, jax.random.key(index))
    after = lyapunov_learning.growth_at_rest(MODE, learning.weights, slopes, numbers)[:, -1]
    assert (before > 0).all()
    assert jnp.median(after) < 0.5 * jnp.median(before)


def test_the_falsifier_finds_worse_states(drawn: Learned, some: tuple[jax.Array, jax.Array]) -> None:
    recipe = LyapunovRecipe()
    worse = lyapunov_learning.falsify(MODE, drawn.controller, drawn.lyapunov, recipe, *some)
    grown = [
        lyapunov_learning.growth(MODE, drawn.controller, drawn.lyapunov, state, some[1]) for state in (some[0], worse)
    ]
    assert float((grown[1] > grown[0]).mean()) > 0.8
    assert DOMAIN.inside(worse).all()


def test_samples_within_the_level_set_and_on_its_border(drawn: Learned, some: tuple[jax.Array, jax.Array]) -> None:
    limit = jnp.full(COUNT, 0.2)
    inside, border = region_of_attraction.within(MODE, drawn.lyapunov, jax.random.key(9), some[1], limit)
    assert (lyapunov.value(drawn.lyapunov, DOMAIN, inside, some[1]) <= 0.2001).all()
    np.testing.assert_allclose(lyapunov.value(drawn.lyapunov, DOMAIN, border, some[1]), 0.2, rtol=0.01)


def test_no_sample_of_the_border_is_below_its_level(drawn: Learned) -> None:
    numbers = DOMAIN.configurations(jax.random.key(10), 4)
    found = region_of_attraction.border_level(MODE, drawn.lyapunov, RegionRecipe(), jax.random.key(11), numbers)
    assert (found > 0.3).all()
    assert (found < 2.0).all()


def test_the_region_network_stays_below_most_levels() -> None:
    numbers = DOMAIN.configurations(jax.random.key(12), 128)
    levels = jnp.exp(0.3 * jax.random.normal(jax.random.key(13), (128,)))
    recipe = RegionRecipe(updates=300)
    weights = region_of_attraction.fit(MODE, recipe, learned.draw(jax.random.key(0), MODE).region, numbers, levels)
    below = float((region_of_attraction.level(weights, MODE, numbers) < levels).mean())
    assert 0.75 < below < 1.0


def quiet(stage: str, done: int, total: int, reached: str) -> None:
    """Reports nothing."""


def linear(state: jax.Array, numbers: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.eye(2, 7)[..., None], (2, 7, state.shape[1]))


@pytest.mark.slow
def test_training_resumes_to_the_same_result(tmp_path: Path) -> None:
    trained = training.train(MODE, linear, TINY, 0, tmp_path / "whole", quiet)

    class Stop(Exception):
        """Ends the training as a kill would."""

    def stop(stage: str, done: int, total: int, reached: str) -> None:
        if stage == "lyapunov":
            raise Stop

    with pytest.raises(Stop):
        training.train(MODE, linear, TINY, 0, tmp_path, stop)
    again = training.train(MODE, linear, TINY, 0, tmp_path, quiet)
    for one, other in zip(jax.tree.leaves(trained), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ConfigError, match="another recipe or seed"):
        training.train(MODE, linear, TINY, 1, tmp_path, quiet)


def test_the_file_repeats_the_networks(drawn: Learned, tmp_path: Path) -> None:
    path = hybrid_file.write(tmp_path / "car.onnx", drawn, MODE, {"name": "car"})
    for one, other in zip(jax.tree.leaves(drawn), jax.tree.leaves(hybrid_file.read(path, MODE)), strict=True):
        np.testing.assert_array_equal(one, other)
    samples = hybrid_file.golden(drawn, MODE)
    assert golden_error(HybridPolicy(path.read_bytes()), samples) < 1e-5
    samples["action"] = samples["action"] + 1e-2
    assert golden_error(HybridPolicy(path.read_bytes()), samples) > 1e-3
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(PolicyFileError):
        hybrid_file.read(tmp_path / "no.onnx", MODE)


def test_recipes_scale() -> None:
    half = replace(TINY, controller=replace(TINY.controller, updates=100)).scaled(0.5)
    assert half.controller.updates == 50
    assert half.lyapunov.rounds == 1
