"""References on a road, the descent through the closed loop, and the journey that they make."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.hybrid import drive, drivers, journey, planner, references, road_planner, roads
from haltere.policies.hybrid.road_planner import Descent, Outlook
from haltere.policies.plants import car

SHORT = Outlook(horizon=2, iterations=2, ticks=40, starts=((0.0, 0.5), (0.0, -0.5)))


def test_descent_finds_the_best_of_several_valleys() -> None:
    start = jnp.stack([jnp.linspace(-2.0, 2.0, 6), jnp.zeros(6)])
    objective = lambda x: (x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + (x[1] - 0.5) ** 2  # noqa: E731
    found, cost = jax.jit(partial(planner.descend, objective, iterations=80, rate=0.1))(start)
    best, least = planner.best_of(found[..., None], cost[:, None])
    np.testing.assert_allclose(best[:, 0], [-1.035, 0.5], atol=0.03)
    np.testing.assert_allclose(least, cost.min(), atol=1e-6)


def test_descent_never_returns_worse_than_its_start() -> None:
    start = jnp.array([[0.0, 3.0]])
    objective = lambda x: jnp.where(x[0] > 1, jnp.nan, x[0] ** 2)  # noqa: E731
    found, cost = planner.descend(objective, start, 3, 0.5)
    assert float(cost[0]) == 0.0
    assert float(found[0, 0]) == 0.0
    assert not np.isfinite(cost[1])


def test_the_search_finds_the_deeper_valley_of_each_system() -> None:
    deeper = jnp.array([0.3, -0.3])

    def objective(x: jax.Array) -> jax.Array:
        slope = jnp.tile(deeper, x.shape[1] // 2)
        cost = (x[0] ** 2 - 1) ** 2 + slope * x[0] + (x[1] - 0.5) ** 2
        return jnp.where(x[1] > 3, jnp.inf, cost)

    found = planner.search(objective, (2, 64, 2), 6, 8, 1.2)
    np.testing.assert_allclose(found, [[-1.035, 1.035], [0.5, 0.5]], atol=0.05)


def test_references_keep_the_published_bounds() -> None:
    maps = roads.published(5)
    halves = references.along(maps, 3)
    assert halves.weight.sum(0).tolist() == [20.0] * 5
    assert halves.slowest.min() >= 4.6
    assert halves.fastest.max() <= 15.7
    choice = 9 * jax.random.normal(jax.random.key(0), (23, 2, 5))
    road = jax.vmap(references.References.choose)(halves, choice)
    assert (road.speed >= halves.slowest - 1e-4).all()
    assert (road.speed <= halves.fastest + 1e-4).all()
    ends = jnp.stack([road.x + road.length * jnp.cos(road.heading), road.y + road.length * jnp.sin(road.heading)], 1)
    aside = jnp.hypot(*jnp.moveaxis(ends - halves.end, 1, 0))
    assert aside.max() <= 1.0 + 1e-4
    np.testing.assert_allclose(aside[19:], 0.0, atol=1e-4)
    np.testing.assert_allclose(halves.begin[20], maps.knots[-1], atol=1e-4)


def test_each_car_drives_its_own_periods_and_then_stays() -> None:
    road = car.configure(jnp.array([[1.0, 0.1], [8.0, 10.0], [0.0, 0.0]]))
    world, steps = drive.start(2), jnp.array([3, 5])
    law = lambda gain, error, road: jnp.stack([-gain * error[1], gain * jnp.ones(2)])  # noqa: E731
    end, trace = jax.jit(drive.follow, static_argnums=(1, 5))(road, law, 0.5, world, steps, 8)
    error = car.to_error(world, road)
    for tick in range(9):
        np.testing.assert_array_equal(trace.driven[tick], tick <= steps)
        now = jnp.minimum(tick, steps) * car.PERIOD_S
        np.testing.assert_allclose(trace.error[tick], error, atol=1e-5)
        np.testing.assert_allclose(trace.world[tick], car.to_world(error, car.at(road, now)), atol=1e-5)
        error = jnp.where(tick < steps, car.step(road, error, law(0.5, error, road)), error)
    np.testing.assert_array_equal(end, trace.world[-1])


@pytest.mark.slow
def test_prediction_agrees_with_the_drive_and_has_a_gradient() -> None:
    maps = roads.published(4)
    half = jax.tree.map(lambda leaf: leaf[0], references.along(maps, 2))
    world, table = jnp.zeros((7, 4)).at[3].set(5.0), drivers.lqr_table()
    outlook = Outlook(ticks=400)

    @jax.jit
    def predict(choice: jax.Array) -> tuple[jax.Array, jax.Array]:
        return road_planner.predict(drivers.LQR, outlook, table, half, choice, world)

    choice = jnp.array([[0.3] * 4, [0.5] * 4])
    road = half.choose(choice)
    steps = (road.length / road.speed / 0.01).astype(jnp.int32)
    end, _ = jax.jit(drive.follow, static_argnums=(1, 5))(road, drivers.table_law, table, world, steps, 410)
    predicted, _ = predict(choice)
    moved = np.hypot(*(np.asarray(end - predicted)[:2]))
    assert moved.max() < 0.3
    slope = jax.grad(lambda c: predict(c)[1].sum())(choice)
    push = jnp.array([[1e-2] * 4, [0.0] * 4])
    change = (predict(choice + push)[1] - predict(choice - push)[1]) / 2e-2
    np.testing.assert_allclose(slope[0], change, rtol=0.05, atol=0.05)


@pytest.mark.slow
def test_lqr_with_planned_speeds_goes_further() -> None:
    maps, table = roads.published(4), drivers.lqr_table()
    trip = journey.travel(Descent(drivers.LQR, table, SHORT), drivers.LQR.law, table, maps)
    score = drive.score(trip.trace, maps)
    assert trip.entry.shape == (20, 7, 4)
    assert score.in_lane.mean() > 0.5
    assert 15 < trip.duration_s.mean() < 26
