"""The car's CLF-QP: its function decreases as asked, with no more action than LQR needs for it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.hybrid import car_clf, lqr
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

COUNT = 64
LAW, FLOW = jax.jit(car_clf.law), jax.jit(car.flow, static_argnums=0)


@pytest.fixture(scope="module")
def clf() -> car_clf.Clf:
    return car_clf.solve()


@pytest.fixture(scope="module")
def road() -> Road:
    many = jnp.ones(COUNT)
    return car.configure(jnp.stack([car_clf.FRICTION * many, car_clf.SPEED_M_S * many, 0.0 * many]))


def rate(clf: car_clf.Clf, state: jax.Array, action: jax.Array, road: Road) -> np.ndarray:
    """dV/dt, by hand."""
    slope = 2 * np.asarray(clf.shape, np.float64) @ np.asarray(state, np.float64)
    return np.asarray((slope * np.asarray(FLOW(0, state, action, road), np.float64)).sum(0))


def test_v_decreases_as_asked_where_the_action_is_not_limited(clf: car_clf.Clf, road: Road) -> None:
    state = 0.05 * jax.random.normal(jax.random.key(0), (7, COUNT))
    action = LAW(clf, state, road)
    assert (jnp.abs(action) <= car_clf.LIMIT).all()
    free = np.asarray((jnp.abs(action) < car_clf.LIMIT).all(0))
    assert free.sum() > 10
    asked = np.asarray((state * (clf.decay @ state)).sum(0))
    value = np.asarray((state * (clf.shape @ state)).sum(0))
    found = rate(clf, state, action, road)
    assert (found[free] <= -asked[free] + 1e-3 * value[free] / car.PERIOD_S).all()


def test_no_smaller_action_would_do(clf: car_clf.Clf, road: Road) -> None:
    state = 0.05 * jax.random.normal(jax.random.key(1), (7, COUNT))
    action = LAW(clf, state, road)
    used = np.asarray((jnp.abs(action) < car_clf.LIMIT).all(0) & (jnp.abs(action).max(0) > 1e-3))
    asked = np.asarray((state * (clf.decay @ state)).sum(0))
    less = rate(clf, state, 0.98 * action, road)
    assert used.sum() > 10
    assert (less[used] > -asked[used]).all()


def test_the_riccati_solution_is_that_of_lqr(clf: car_clf.Clf, road: Road) -> None:
    one = jax.tree.map(lambda leaf: leaf[..., :1], road)
    a, b = lqr.linearise(car, 0, jnp.zeros((7, 1)), jnp.zeros((2, 1)), one)
    gain = lqr.gain(np.asarray(a), np.asarray(b), np.eye(7), np.eye(2), car.PERIOD_S)[0]
    closed = np.eye(7) + car.PERIOD_S * (np.asarray(a[0], np.float64) - np.asarray(b[0], np.float64) @ gain)
    shape = np.asarray(clf.shape, np.float64)
    wanted = shape - closed.T @ shape @ closed
    np.testing.assert_allclose(
        car.PERIOD_S * np.asarray(clf.decay), wanted, rtol=2e-2, atol=2e-2 * np.abs(wanted).max()
    )
