"""The Gymnasium environment: Gymnasium's own checks, the contract's observation, the reward."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from haltere.policies.errors import ConfigError
from haltere.sim.environment import ENVIRONMENT_ID, QuadrotorEnvironment, observation_of
from haltere.sim.sensors import SensorConfig
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State


@pytest.fixture
def environment():
    made = gymnasium.make(ENVIRONMENT_ID, vehicle="x500", render_mode="rgb_array")
    yield made
    made.close()


def test_gymnasium_finds_nothing_wrong(environment):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment.unwrapped)


def test_observation_follows_the_contract():
    half = np.sqrt(0.5)
    state = State(
        0.0,
        np.array([1.0, 2, 3]),
        np.array([half, 0, 0, half]),
        np.array([0.1, 0.2, 0.3]),
        np.array([4.0, 5, 6]),
        np.zeros(4),
    )
    ahead = Setpoint(np.array([0.5, 2, 3]), np.array([0.1, 0, 0]), np.zeros(3), 0.0)
    observation = observation_of(state, ahead, [0.1, 0.2, 0.3, 0.4])
    assert observation.dtype == np.float32
    assert observation[:3] == pytest.approx([0.5, 0, 0])
    assert observation[3:12] == pytest.approx([0, -1, 0, 1, 0, 0, 0, 0, 1], abs=1e-6)
    assert observation[12:15] == pytest.approx([0, 0.2, 0.3])
    assert observation[15:] == pytest.approx([4, 5, 6, 0.1, 0.2, 0.3, 0.4])
    turned = observation_of(state, ahead._replace(yaw_rad=np.pi / 2), [0.0] * 4)
    assert turned[:3] == pytest.approx([0, -0.5, 0], abs=1e-6)
    assert turned[3:12] == pytest.approx(np.eye(3).ravel(), abs=1e-6)


def test_hovering_still_earns_most():
    with_spread = []
    for spread in (0.0, 1.0):
        environment = QuadrotorEnvironment("x500", start_spread=spread)
        environment.reset(seed=1)
        action = np.full(4, environment.vehicle.hover_action, np.float32)
        reward = [environment.step(action)[1] for _ in range(20)]
        with_spread.append(np.mean(reward))
        environment.close()
    assert with_spread[0] == pytest.approx(1.5, abs=0.01)
    assert with_spread[1] < 1.4


def test_an_episode_ends_by_crash_distance_or_time():
    environment = QuadrotorEnvironment("x500", duration_s=0.2, limit_m=0.5)
    environment.reset(seed=0)
    hover = np.full(4, environment.vehicle.hover_action, np.float32)
    ends = [environment.step(hover)[2:4] for _ in range(20)]
    assert ends[-1] == (False, True)
    assert not any(any(end) for end in ends[:-1])
    environment.reset(seed=0)
    rewards = []
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = environment.step(np.ones(4, np.float32))
        rewards.append(reward)
    assert info["tracking_error_m"] > 0.5
    assert rewards[-1] < -95 < min(rewards[:-1])
    environment.close()


def test_the_same_seed_gives_the_same_episode():
    episodes = []
    for seed in (5, 5, 6):
        environment = QuadrotorEnvironment("racer250", sensors=SensorConfig(position_noise_m=0.01))
        observations = [environment.reset(seed=seed)[0]]
        observations += [environment.step(np.zeros(4, np.float32))[0] for _ in range(10)]
        episodes.append(np.array(observations))
        environment.close()
    assert np.array_equal(episodes[0], episodes[1])
    assert not np.array_equal(episodes[0], episodes[2])


def test_render_shows_the_vehicle(environment):
    environment.reset(seed=0)
    image = environment.render()
    assert image.shape == (360, 480, 3)
    orange = (image[..., 0] > 150) & (image[..., 2] < 110) & (image[..., 1] < 150)
    assert orange.sum() > 100


def test_wrong_values_say_what_is_wrong():
    with pytest.raises(ConfigError, match="render_mode"):
        QuadrotorEnvironment(render_mode="human")
    with pytest.raises(ConfigError, match="duration_s"):
        QuadrotorEnvironment(duration_s=0)
    with pytest.raises(ConfigError, match="did you mean 'hover'"):
        QuadrotorEnvironment(trajectory="hoover")
