"""The pogobot's mode in hops, and the plan of its apexes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import corridors, hop_planner, hopping, learned, pogobot_mode
from haltere.policies.hybrid.hop_planner import Outlook
from haltere.policies.hybrid.mode import Mode
from haltere.policies.plants import pogobot

MODE: Mode = pogobot_mode
LANES = hopping.lanes(corridors.published(4))


def test_a_step_is_a_hop() -> None:
    numbers = jnp.array([[1.0, 0.5, 2.0], [1.7, 2.5, 1.4]])
    error = jnp.array([[0.3, -0.2, 0.0], [0.1, 0.0, 0.2]])
    action = jnp.array([[0.1, 0.02, 0.2], [0.0, -1500.0, 800.0]])
    state = pogobot_mode.apex(numbers, error)
    np.testing.assert_allclose(state[1:3], numbers + error, atol=1e-6)
    hop = jax.jit(pogobot.hop)(state, action)
    after = jax.jit(MODE.step)(numbers, error, action)
    np.testing.assert_allclose(after + numbers, hop.state[1:3], atol=0.02)


def test_another_wanted_apex_leaves_the_robot() -> None:
    numbers, error = pogobot_mode.DOMAIN.configurations(jax.random.key(0), 64), jnp.zeros((2, 64))
    following, after = MODE.switch(jax.random.key(1), numbers, error)
    np.testing.assert_allclose(following + after, numbers + error, atol=1e-6)
    low, high = (jnp.asarray(bound)[:, None] for bound in (pogobot_mode.DOMAIN.low, pogobot_mode.DOMAIN.high))
    assert (following >= low).all()
    assert (following <= high).all()


def test_corridors_are_narrowed_near_steps() -> None:
    x = jnp.linspace(0.3, 18.0, 40)[:, None] * jnp.ones(4)
    near = (jnp.abs(x[:, None] - LANES.end[None, :-1]) < 0.5).any(1)
    floor, ceiling = LANES.near(x, 0.5)
    exact, sides = LANES.at(x), [LANES.at(x + shift) for shift in (-0.5, 0.5)]
    np.testing.assert_array_equal(floor, jnp.stack([exact.floor, *(side.floor for side in sides)]).max(0))
    np.testing.assert_array_equal(ceiling, jnp.stack([exact.ceiling, *(side.ceiling for side in sides)]).min(0))
    assert (floor >= exact.floor).all()
    assert (ceiling <= exact.ceiling).all()
    np.testing.assert_array_equal(jnp.where(near, 0.0, floor), jnp.where(near, 0.0, exact.floor))


def test_a_flight_through_the_ceiling_costs() -> None:
    weights, outlook = learned.draw(jax.random.key(2), MODE), Outlook()
    start = jnp.asarray(np.stack([corridor.start() for corridor in corridors.published(4)], axis=1), jnp.float32)
    fly = jax.jit(lambda state, choice: hop_planner.fly(weights, LANES, outlook, state, choice))
    low, high = fly(start, jnp.zeros((2, 4))), fly(start.at[2].add(1.5), jnp.zeros((2, 4)))
    assert (high.cost > low.cost + 1).all()
