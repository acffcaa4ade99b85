"""The bound: no flight is made worse, and what physics forbids is not found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.foundation import bound, evaluate
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.plants.quadrotor import Quadrotor


@pytest.fixture(scope="module")
def flights() -> tuple[Quadrotor, evaluate.Initial]:
    vehicle = sample(jax.random.key(0), 8, load_population("raptor"))
    vehicle = vehicle._replace(force=jnp.zeros_like(vehicle.force))
    return vehicle, evaluate.scatter(jax.random.key(1), vehicle, "code")


def test_flights_are_improved(flights: tuple[Quadrotor, evaluate.Initial]) -> None:
    vehicle, initial = flights
    rest = jnp.broadcast_to(evaluate.at_rest(vehicle).action, (100, 4, 8))
    before, _ = bound.flown(vehicle, initial, rest)
    after = bound.improve(vehicle, initial, rest, 60)
    assert after.shape == before.shape
    assert np.median((after > 0.2).sum(0)) < 0.8 * np.median((before > 0.2).sum(0))


def test_nothing_is_faster_than_its_thrust(flights: tuple[Quadrotor, evaluate.Initial]) -> None:
    """Falling from rest 1 m below the origin: with all thrust up, the first 0.8 m take their time."""
    vehicle, _ = flights
    below = evaluate.at_rest(vehicle)
    below = below._replace(state=below.state._replace(position=below.state.position.at[2].set(-1.0)))
    distance = bound.improve(vehicle, below, jnp.broadcast_to(below.action, (150, 4, 8)), 150)
    reached = np.argmax(np.asarray(distance) < 0.2, axis=0) / 100
    ratio = np.asarray(vehicle.thrust_curve.sum((0, 1)) / (vehicle.mass * 9.81))
    fastest = np.sqrt(2 * 0.8 / (9.81 * (ratio - 1)))
    arrived = (np.asarray(distance) < 0.2).any(0)
    assert arrived.sum() >= 6
    assert (reached[arrived] >= fastest[arrived]).all()
