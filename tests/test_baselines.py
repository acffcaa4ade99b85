"""Baselines by reinforcement learning: their episodes are the benchmark's, and their files say what was learned."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import PolicyFileError
from haltere.policies.hybrid import drive, hopping, lqr, network, roads, walk
from haltere.policies.hybrid.baselines import car_environment, pogobot_environment, policy, walker_environment
from haltere.policies.hybrid.baselines.car_environment import CarEnvironment, Driving
from haltere.policies.hybrid.baselines.environment import Environment
from haltere.policies.hybrid.baselines.environments import ENVIRONMENTS
from haltere.policies.hybrid.baselines.pogobot_environment import PogobotEnvironment
from haltere.policies.hybrid.baselines.recipe import RECIPES, Recipe
from haltere.policies.hybrid.baselines.walker_environment import WalkerEnvironment, Walking
from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.hybrid.network import Network
from haltere.policies.plants import car
from haltere.policies.zoo.shipped import BASELINES

COUNT = 8


def small(name: str) -> Environment:
    """An environment with few maps."""
    makers = {"car": lambda: CarEnvironment(4), "pogobot": lambda: PogobotEnvironment(4), "walker": WalkerEnvironment}
    made: Environment = makers[name]()
    return made


def drawn(environment: Environment) -> Network:
    return network.draw(jax.random.key(0), (environment.OBSERVATION_SIZE, 16, 16, len(environment.LIMIT)))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_keeps_its_contract(name: str) -> None:
    environment = small(name)
    state = environment.begin(jax.random.key(1), COUNT)
    assert environment.observe(state).shape == (environment.OBSERVATION_SIZE, COUNT)
    action = policy.act(drawn(environment), environment.observe(state), environment.LIMIT)
    assert (jnp.abs(action) <= jnp.asarray(environment.LIMIT)[:, None]).all()
    after, reward, over = jax.jit(environment.step)(state, action)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert reward.shape == over.shape == (COUNT,)
    assert over.dtype == bool
    assert jnp.isfinite(environment.observe(after)).all()
    assert jnp.isfinite(reward).all()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_has_recipes(name: str) -> None:
    assert {algorithm for system, algorithm in RECIPES if system == name} == {"ppo", "sac"}


def test_cars_of_the_environment_drive_as_those_of_the_benchmark() -> None:
    """The same errors after every period, across the first switch, with a policy that looks ahead."""
    environment = CarEnvironment(COUNT, seed=roads.SEED + 5)
    plan = drive.timed(roads.published(COUNT, roads.SEED + 5).halves())
    weights = drawn(environment)
    guided = car_environment.guide(weights, plan)
    trace = jax.jit(lambda: drive.drive(plan, car_environment.law, guided, 100))()
    first = car.to_error(drive.start(COUNT), jax.tree.map(lambda leaf: leaf[0], plan))
    none = jnp.zeros(COUNT, jnp.int32)
    state = Driving(first, jnp.arange(COUNT), none, none)
    go = jax.jit(lambda s: environment.step(s, policy.act(weights, environment.observe(s), environment.LIMIT)))
    for index in range(120):
        half, tick = divmod(index, 100)
        known = trace.error[half, tick]
        some = (jnp.abs(known) < 50).all(0)
        np.testing.assert_allclose(state.error[:, some], known[:, some], rtol=1e-3, atol=2e-3)
        state, _, _ = go(state)


def test_a_car_that_leaves_its_lane_ends_and_pays() -> None:
    environment = CarEnvironment(2)
    state = environment.begin(jax.random.key(0), COUNT)
    state = state._replace(error=state.error.at[1].set(2.999).at[4].set(1.0).at[3].set(5.0))
    _, reward, over = environment.step(state, jnp.zeros((2, COUNT)))
    assert over.all()
    assert (reward < -car_environment.FAILED).all()


def test_regulated_cars_earn_more_than_idle_ones() -> None:
    environment = CarEnvironment(16)
    state = environment.begin(jax.random.key(0), 64)
    at_rest = jnp.zeros((7, 1)), jnp.zeros((2, 1))
    a, b = lqr.linearise(car, 0, *at_rest, car.configure(jnp.array([[1.0], [8.0], [0.0]])))
    gains = jnp.asarray(lqr.gain(np.asarray(a), np.asarray(b), np.eye(7), np.eye(2), car.PERIOD_S), jnp.float32)

    def earned(act: bool) -> float:
        now, total = state, jnp.zeros(64)
        step = jax.jit(environment.step)
        for _ in range(50):
            action = lqr.regulate(gains, now.error, 8.0) if act else jnp.zeros((2, 64))
            now, reward, _ = step(now, action)
            total += reward
        return float(jnp.median(total))

    assert earned(True) > earned(False)


def test_gaits_between_rows_of_the_table() -> None:
    found = walker_environment.gait(jnp.array([0.0, 3.0, 3.5, 15.0]))
    np.testing.assert_allclose(found[:, [0, 1, 3]].T, POST_IMPACT[[0, 3, 15]], rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], POST_IMPACT[3:5].mean(0), rtol=1e-5)


def test_a_walker_that_lands_on_the_gait_is_paid_and_one_that_falls_pays() -> None:
    environment = WalkerEnvironment()
    pose = jnp.array([-0.1305, 0.2612, -1.0, -1.0])
    state = Walking(jnp.stack([pose, pose.at[1].set(0.9995).at[3].set(30.0)], axis=1), jnp.full(2, 0.1305))
    _, reward, over = environment.step(state, jnp.zeros((1, 2)))
    assert over.all()
    assert reward[0] > 0.9 * walker_environment.REACHED
    assert reward[1] == -walker_environment.INVALID


def test_a_hop_of_the_environment_is_one_of_the_benchmark() -> None:
    environment = PogobotEnvironment(4)
    state = environment.begin(jax.random.key(3), COUNT)
    where = environment._lanes_of(state.corridor)
    action = jnp.stack([0.09 * state.state[1], jnp.zeros(COUNT)])
    after, reward, _ = jax.jit(environment.step)(state, action)
    run = jax.jit(lambda: hopping.hop_through(lambda *_: action, state.state, where, hops=1))()
    np.testing.assert_allclose(after.state, run.state, rtol=1e-5, atol=1e-5)
    clean = (run.outside == 0) & (run.done == (run.state[0] >= where.end[-1]))
    np.testing.assert_allclose(reward[clean], -(run.speed_error / run.flights)[clean], rtol=1e-5)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_file_is_read_back(name: str, tmp_path: Path) -> None:
    environment = small(name)
    weights = drawn(environment)
    path = policy.write(tmp_path / "some.npz", weights, {"seed": 3})
    found = policy.read(path, environment.OBSERVATION_SIZE)
    assert found.card == {"seed": 3}
    seen = jax.random.normal(jax.random.key(2), (environment.OBSERVATION_SIZE, COUNT))
    np.testing.assert_array_equal(
        policy.act(found.weights, seen, environment.LIMIT), policy.act(weights, seen, environment.LIMIT)
    )
    with pytest.raises(PolicyFileError, match="train it again"):
        policy.read(path, environment.OBSERVATION_SIZE + 1)


def test_what_is_no_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="cannot read"):
        policy.read(tmp_path / "none.npz", 3)
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(PolicyFileError, match="cannot read"):
        policy.read(tmp_path / "text.npz", 3)


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.npz")), ids=lambda path: path.stem)
def test_shipped_files_are_small_and_say_where_they_came_from(path: Path) -> None:
    assert path.stat().st_size < 100_000
    system, algorithm = path.stem.split("_")
    assert (system, algorithm) in RECIPES
    card = policy.read(path, ENVIRONMENTS[system]().OBSERVATION_SIZE).card
    assert card["name"] == path.stem
    assert {"command", "commit", "seed", "recipe", "training_s", "curve"} <= card.keys()


def test_walks_under_a_policy_are_scored() -> None:
    weights = drawn(WalkerEnvironment())
    task = walk.same_gait(1)
    walked = walk.walk(
        walker_environment.law(weights), jnp.asarray(task.start), walk.Gait(jnp.asarray(task.target[0])), strides=1
    )
    assert np.isfinite(walk.score(walked, task).rmse).all()


def test_hops_under_a_policy_stay_in_bounds() -> None:
    environment = PogobotEnvironment(2)
    where = environment._lanes_of(jnp.arange(2))
    state = environment.begin(jax.random.key(0), 2).state
    action = pogobot_environment.law(drawn(environment), where)(state, where.at(state[0]), where.at(state[0], 1))
    assert (jnp.abs(action) <= jnp.asarray(environment.LIMIT)[:, None]).all()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_training_repeats_itself_and_its_policy_is_brax_s(algorithm: str) -> None:
    pytest.importorskip("brax")
    from haltere.policies.hybrid.baselines import learning

    common = {"steps": 2000, "environments": 32, "discount": 0.9, "reward_scale": 0.01}
    recipe = Recipe(algorithm, **common, batch=32, unroll=5, minibatches=2, gradients=1, replay=4000)
    said: list[int] = []
    first, second = (
        learning.learn(WalkerEnvironment(), recipe, 0, lambda step, *_: said.append(step)) for _ in range(2)
    )
    assert max(said) >= recipe.steps
    for one, other in zip(jax.tree.leaves(first.weights), jax.tree.leaves(second.weights), strict=True):
        np.testing.assert_array_equal(one, other)
