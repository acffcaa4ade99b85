"""Pogobots in corridors: the floor, what is counted, and a controller that knows the model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.hybrid import corridors, deadbeat, hopping
from haltere.policies.hybrid.corridors import Corridor
from haltere.policies.hybrid.hopping import Lanes, Run, Segment
from haltere.policies.plants import pogobot


def straight(floor: list[float], ceiling: float = 4.0) -> Corridor:
    count = len(floor)
    return Corridor(np.full(count, 3.0), np.array(floor), np.full(count, ceiling), np.ones(count))


def still(state: jax.Array, here: Segment, ahead: Segment) -> jax.Array:
    """A vertical leg, without force unless the segment is slow."""
    return jnp.stack([jnp.zeros_like(state[0]), jnp.where(here.speed < 0.5, -2000.0, 0.0)])


SOME = hopping.lanes([straight([0.0, 0.0]), straight([0.0, 0.5, 0.5]), straight([0.5, 0.0]), straight([0.0, 0.0], 1.6)])
BEGIN = jnp.array([[0.0] * 4, [0.0, 0.0, 0.0, 0.0], [1.7, 1.7, 2.2, 1.7], [0.0] * 4, [0.0] * 4])
RUN = jax.jit(hopping.hop_through, static_argnums=(0, 3))


def test_lanes() -> None:
    x = jnp.array([2.9, 3.1, 7.0, -1.0])
    np.testing.assert_allclose(SOME.at(x).floor, [0.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(SOME.at(x, 1).floor, [0.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(SOME.last, [3.0, 6.0, 3.0, 3.0])
    np.testing.assert_allclose(SOME.end[-1], [6.0, 9.0, 6.0, 6.0])


def test_one_hop_is_that_of_the_plant() -> None:
    run: Run = RUN(still, BEGIN, SOME, 1)
    alone = jax.jit(pogobot.hop)(BEGIN.at[2].add(jnp.array([0.0, 0.0, -0.5, 0.0])), jnp.zeros((2, 4)))
    for v, floor in enumerate((0.0, 0.0, 0.5)):
        np.testing.assert_allclose(run.state[2, v], alone.state[2, v] + floor, atol=5e-4)
    assert bool(run.done[3])
    assert float(run.samples[3]) == 0


def test_a_floor_lifts_those_that_land_on_it() -> None:
    """Energy, with heights in the world, is the same on both sides of a step that is landed on."""
    begin = BEGIN.at[0].set(jnp.array([2.9, 2.9, 2.9, 2.9])).at[1].set(0.6)
    run: Run = RUN(still, begin, SOME, 1)
    energy = [0.5 * x[1] ** 2 + 10 * x[2] for x in (run.state, begin)]
    np.testing.assert_allclose(energy[0][:3], energy[1][:3], atol=0.15)
    assert (run.state[0, :3] > 3.0).all()


def test_collisions_are_counted() -> None:
    slow = SOME._replace(speed=SOME.speed.at[:, 1].set(0.25), ceiling=jnp.full_like(SOME.ceiling, 1.9))
    begin = BEGIN.at[2].set(jnp.array([1.7, 1.89, 1.85, 2.0]))
    score = hopping.score(RUN(still, begin, slow, 1), slow)
    assert score.collision[0] == 0
    assert score.collision[1] > 0.05
    np.testing.assert_allclose(score.remaining_m, SOME.end[-1], atol=1e-6)
    np.testing.assert_allclose(score.speed_error_m_s[:3], [1.0, 0.25, 1.0], atol=1e-5)
    assert not score.succeeded.any()


@pytest.mark.slow
def test_deadbeat_reaches_the_next_apex_and_most_ends() -> None:
    found = corridors.published()
    where: Lanes = hopping.lanes(found)
    start = jnp.asarray(np.stack([corridor.start() for corridor in found], axis=1), jnp.float32)
    speed, height = start[1] - 0.5, start[2]

    @jax.jit
    def once(x: jax.Array) -> tuple[jax.Array, pogobot.Hop]:
        action = deadbeat.aim(x, speed, height)
        return action, pogobot.apex_map(x, action)

    action, reached = once(start)
    assert (jnp.abs(action) <= jnp.array([[deadbeat.LARGEST_ANGLE_RAD], [deadbeat.LARGEST_FORCE_N]])).all()
    np.testing.assert_allclose(reached.state[1], speed, atol=0.01)
    np.testing.assert_allclose(reached.state[2], height, atol=0.01)
    score = hopping.score(RUN(deadbeat.law, start, where, 100), where)
    assert score.succeeded.mean() >= 0.75
    assert score.speed_error_m_s.mean() < 0.1
    assert score.remaining_m[score.succeeded].max() < 0.5
    assert score.collision.mean() < 0.01
