"""Sensors: latency is exact, noise has the asked size, and without either nothing changes."""

from dataclasses import replace

import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.sim.sensors import SensorConfig, Sensors
from haltere.sim.state import State


def state_at(time):
    """A vehicle that moves along x at 2 m/s and turns about z at 1 rad/s."""
    quat = np.array([np.cos(0.5 * time), 0.0, 0.0, np.sin(0.5 * time)])
    position, velocity = np.array([2.0 * time, 0, 1]), np.array([2.0, 0, 0])
    return State(time, position, quat, velocity, np.array([0, 0, 1.0]), np.full(4, 0.5))


def sensors(seed=0, **values):
    return Sensors(SensorConfig(**values), np.random.default_rng(seed))


def test_perfect_sensors_say_the_truth():
    truth = state_at(0.3)
    seen = sensors().measure(truth)
    for name in ("time_s", "position_world_m", "velocity_world_m_s", "angular_velocity_body_rad_s"):
        assert np.array_equal(getattr(seen, name), getattr(truth, name))
    assert seen.quat_wxyz == pytest.approx(truth.quat_wxyz, abs=1e-15)


@pytest.mark.parametrize("latency_s", [0.010, 0.015, 0.030, 0.0371])
def test_latency_is_exact_also_between_periods(latency_s):
    late = sensors(latency_s=latency_s)
    for tick in range(50):
        now = 0.01 * tick
        seen = late.measure(state_at(now))
        when = max(0.0, now - latency_s)
        assert seen.time_s == pytest.approx(when, abs=1e-12)
        assert seen.position_world_m[0] == pytest.approx(2 * when, abs=1e-12)
        assert seen.quat_wxyz == pytest.approx(state_at(when).quat_wxyz, abs=1e-6)
    late.reset()
    assert late.measure(state_at(0.0)).time_s == 0.0


def test_a_quaternion_and_its_negative_are_the_same_attitude():
    late = sensors(latency_s=0.015)
    for tick in range(20):
        state = state_at(0.01 * tick)
        flipped = replace(state, quat_wxyz=state.quat_wxyz * (-1) ** tick)
        seen = late.measure(flipped)
        assert abs(seen.quat_wxyz @ state_at(seen.time_s).quat_wxyz) == pytest.approx(1.0, abs=1e-6)


def test_noise_has_the_asked_size():
    noisy = sensors(
        position_noise_m=0.01,
        velocity_noise_m_s=0.05,
        attitude_noise_rad=0.02,
        angular_velocity_noise_rad_s=0.1,
    )
    truth = state_at(1.0)
    seen = [noisy.measure(state_at(1.0 + 1e-9 * k)) for k in range(4000)]
    for name, size in (
        ("position_world_m", 0.01),
        ("velocity_world_m_s", 0.05),
        ("angular_velocity_body_rad_s", 0.1),
    ):
        error = np.array([getattr(s, name) for s in seen]) - getattr(truth, name)
        assert error.std(axis=0) == pytest.approx(np.full(3, size), rel=0.05)
        assert error.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.1 * size)
    quat = np.array([s.quat_wxyz for s in seen])
    assert np.linalg.norm(quat, axis=1) == pytest.approx(np.ones(4000))
    angle = 2 * np.arccos(np.minimum(1.0, np.abs(quat @ truth.quat_wxyz)))
    assert np.sqrt(np.mean(angle**2)) == pytest.approx(0.02 * np.sqrt(3), rel=0.05)


def test_the_same_seed_measures_the_same():
    measured = [sensors(seed, position_noise_m=0.1).measure(state_at(0)).position_world_m for seed in (1, 1, 2)]
    assert np.array_equal(measured[0], measured[1])
    assert not np.array_equal(measured[0], measured[2])


def test_wrong_sensors_say_what_is_wrong():
    with pytest.raises(ConfigError, match=r"latency_s = -0\.01"):
        SensorConfig(latency_s=-0.01)
    with pytest.raises(ConfigError, match="position_noise_m = nan"):
        SensorConfig(position_noise_m=float("nan"))
