"""The sensors in a street: rays, weather, flow, and the rendered form against the vectorised one."""

from __future__ import annotations

import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.sim.senses import flow
from haltere.sim.senses.camera import FlowCamera, StreetScene
from haltere.sim.senses.conditions import CONTEXTS, UNKNOWN, draw
from haltere.sim.senses.drift import Drift
from haltere.sim.senses.street import DOWN, RING, Street, blind_alley
from haltere.sim.senses.suite import INVALID, Suite, Truth

COUNT = 60


@pytest.fixture(scope="module")
def scene():
    made = StreetScene(blind_alley())
    yield made
    made.close()


def fly(context: str, steps: int = 40, seed: int = 0, scene: StreetScene | None = None) -> dict[str, np.ndarray]:
    """Codes of vehicles that stand still in a context, by path, (arrivals, N, channels)."""
    random = np.random.default_rng(seed)
    conditions = draw([context] * COUNT, random)
    suite = Suite(scene or blind_alley(), COUNT, random)
    position = np.tile([0.5, -0.4, 1.5], (COUNT, 1))
    truth = Truth(position, np.zeros((COUNT, 3)), np.zeros((COUNT, 3)))
    found: dict[str, list[np.ndarray]] = {}
    for _ in range(steps):
        for name, codes in suite.measure(truth, conditions).items():
            found.setdefault(name, []).append(codes)
    return {name: np.array(codes) for name, codes in found.items()}


def lost(codes: np.ndarray) -> float:
    return float((codes == INVALID).any(axis=-1).mean())


def test_a_ray_meets_what_is_there() -> None:
    street = Street(np.array([[2.0, -1, 0]]), np.array([[3.0, 1, 4]]))
    origin = np.array([[0.0, 0, 1], [2.5, 0, 6], [0, 5, 2]])
    ranges = street.ranges(origin, np.array([[1.0, 0, 0], [0, 0, -1]]))
    np.testing.assert_allclose(ranges, [[2, 1], [np.inf, 2], [np.inf, 2]])
    with pytest.raises(ConfigError, match="low must lie below high"):
        Street(np.ones((1, 3)), np.zeros((1, 3)))


def test_rays_are_pybullet_s(scene: StreetScene) -> None:
    origin = np.random.default_rng(0).uniform([-2, -2, 0.5], [2, 2, 3], (50, 3))
    for direction in (RING, DOWN):
        np.testing.assert_allclose(
            blind_alley().ranges(origin, direction), scene.ranges(origin, direction), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("context", CONTEXTS)
def test_modelled_flow_errs_as_the_rendered_one(context: str, scene: StreetScene) -> None:
    random = np.random.default_rng(3)
    conditions, many = draw([context], random), 300
    camera = FlowCamera(scene, random)
    height, velocity = 1.5, np.array([0.9, 0.6, 0.0]) * conditions.haste[0]
    place = np.array([-0.8, -0.5, height])
    rendered = np.array([camera.rates(place + 0.01 * step * velocity, conditions)[0] for step in range(80)])[1:]
    alike = conditions.take(np.zeros(many, np.intp))
    rates = np.tile(velocity[:2] / height, (many, 1))
    modelled = flow.measured_rates(rates, flow.picture(np.full(many, height), alike), random)
    np.testing.assert_allclose(rendered.mean(axis=0) / rates[0], modelled.mean(axis=0) / rates[0], atol=0.12)
    ratio = np.linalg.norm(rendered.std(axis=0)) / np.linalg.norm(modelled.std(axis=0))
    assert 0.5 < ratio < 2.0


@pytest.mark.parametrize("context", ["clear", "fog", "rain"])
def test_both_forms_range_alike(context: str, scene: StreetScene) -> None:
    modelled, traced = fly(context, seed=1), fly(context, seed=1, scene=scene)
    np.testing.assert_array_equal(modelled["lidar"], traced["lidar"])


def test_weather_harms_what_it_should() -> None:
    clear = fly("clear")
    assert [lost(clear[name]) for name in ("flow", "lidar", "gps")] == [0, 0, 0]
    assert lost(fly("fog")["lidar"]) > 0.9
    assert 0.02 < lost(fly("rain")["lidar"]) < 0.9
    assert lost(fly("no GPS", steps=200)["gps"]) > 0.5
    assert fly("vibration")["imu"].std() > 5 * clear["imu"].std()
    assert lost(fly("dust")["flow"]) > 0.9
    assert "dust" in UNKNOWN


def test_clear_air_costs_nothing() -> None:
    clear = fly("clear")["lidar"] * 1e-3
    np.testing.assert_allclose(
        clear.mean(axis=(0, 1)), blind_alley().ranges(np.array([[0.5, -0.4, 1.5]]), RING)[0], atol=0.01
    )
    assert clear[..., 0].std() == pytest.approx(0.015, rel=0.2)


def test_a_drift_starts_at_nothing_and_settles() -> None:
    drift = Drift(np.random.default_rng(0), 4000, 1, 2.0, 10.0)
    assert np.abs(drift.step(1e-6)).max() < 0.01
    for _ in range(100):
        late = drift.step(1.0)
    # The difference of two values that have forgotten each other.
    assert late.std() == pytest.approx(2.0 * np.sqrt(2), rel=0.05)


def test_an_unknown_context_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'hail'.*fog"):
        draw(["hail"], np.random.default_rng(0))
