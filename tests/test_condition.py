"""What happens to a vehicle in flight: as often and as much as the population says, and never too much."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.foundation.condition import (
    Condition,
    apply,
    as_built,
    change,
    thrust_to_weight,
)
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.plants.quadrotor import Quadrotor

COUNT = 4000
WORLD = load_population("world")


@pytest.fixture(scope="module")
def vehicle() -> Quadrotor:
    return sample(jax.random.key(0), COUNT, WORLD)


def test_a_vehicle_as_built_is_the_built_one(vehicle: Quadrotor) -> None:
    for before, after in zip(vehicle, apply(vehicle, as_built(COUNT)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_changes_are_as_frequent_as_the_population_says(vehicle: Quadrotor) -> None:
    condition = change(jax.random.key(1), vehicle, as_built(COUNT), WORLD, 10.0)
    heavier = np.asarray(condition.payload != 1)
    damaged = np.asarray((condition.efficiency != 1).any(0))
    blown = np.asarray((condition.gust != 0).any(0))
    share = (1 - np.exp(-10.0 * WORLD.changes_per_s)) / 3
    for happened in (damaged, blown):
        assert happened.mean() == pytest.approx(share, abs=0.03)
    assert share - 0.05 < heavier.mean() < share + 0.02  # a payload that leaves too little thrust is not taken
    assert not (heavier & damaged).any()
    assert np.asarray(condition.payload).min() >= 1 - WORLD.payload_spread
    assert np.asarray(condition.payload).max() <= 1 + WORLD.payload_spread
    assert ((condition.efficiency != 1).sum(0) <= 1).all()
    assert np.asarray(condition.efficiency).min() >= WORLD.worn_efficiency


def test_a_long_flight_stays_in_the_population(vehicle: Quadrotor) -> None:
    condition = as_built(COUNT)
    built = np.asarray(thrust_to_weight(vehicle))
    step = jax.jit(lambda key, before: change(key, vehicle, before, WORLD, 1.2))
    for key in jax.random.split(jax.random.key(2), 60):
        condition = step(key, condition)
        left = np.asarray(thrust_to_weight(apply(vehicle, condition)))
        assert (left >= np.minimum(WORLD.least_thrust_to_weight, built) - 1e-4).all()
    charge = np.asarray(condition.charge)
    assert charge.min() >= WORLD.least_charge
    assert np.median(charge) == pytest.approx(WORLD.least_charge, abs=0.03)


def test_a_population_without_changes_leaves_all_as_built() -> None:
    wide = load_population("wide")
    vehicle = sample(jax.random.key(0), 64, wide)
    condition = change(jax.random.key(1), vehicle, as_built(64), wide, 100.0)
    for before, after in zip(as_built(64), condition, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_weakest_rotor_sets_what_a_vehicle_can_carry(vehicle: Quadrotor) -> None:
    one = jnp.ones((4, COUNT)).at[2].set(0.5)
    worn = apply(vehicle._replace(thrust_curve=vehicle.thrust_curve[:, :1] * jnp.ones((1, 4, 1))), as_built(COUNT))
    before = thrust_to_weight(worn)
    after = thrust_to_weight(apply(worn, Condition(jnp.ones(COUNT), one, jnp.ones(COUNT), jnp.zeros((3, COUNT)))))
    np.testing.assert_allclose(after, before / 2, rtol=1e-5)


def test_mismatched_and_worn_rotors(vehicle: Quadrotor) -> None:
    curve = np.asarray(vehicle.thrust_curve.sum(0))
    ratio = curve / curve.max(0)
    worn = (ratio < 0.7).any(0)
    assert 0 < worn.mean() < WORLD.worn_fraction
    same = sample(jax.random.key(0), COUNT, dataclasses.replace(WORLD, rotor_spread=0.0, worn_fraction=0.0))
    np.testing.assert_allclose(same.thrust_curve.max(1), same.thrust_curve.min(1), rtol=1e-6)
    np.testing.assert_array_equal(same.mass, vehicle.mass)
