"""Polished controllers, smooth networks, and the regulators that they are compared with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.hybrid import controller, linear, lyapunov, network, pogobot_mode, polish, region_of_attraction
from haltere.policies.hybrid.lyapunov_learning import closed_loop
from haltere.policies.hybrid.polish import PolishRecipe

DOMAIN = pogobot_mode.DOMAIN
NUMBERS = jnp.array([[1.0], [1.8]])


@pytest.fixture(scope="module")
def drawn() -> network.Network:
    return controller.draw(jax.random.key(0), DOMAIN)


def missed(weights: network.Network, state: jax.Array, numbers: jax.Array) -> jax.Array:
    """How far the next apexes are from those wanted, in half widths."""
    return jnp.sqrt((DOMAIN.scaled(closed_loop(pogobot_mode, weights, numbers, state)) ** 2).sum(0))


def test_improved_actions_lead_nearer_and_the_network_learns_them(drawn: network.Network) -> None:
    state, numbers = polish.draw(pogobot_mode, jax.random.key(1), 64)
    better = polish.improve(pogobot_mode, 6, drawn, state, numbers)
    limit = jnp.asarray(DOMAIN.limit)[:, None]
    assert (jnp.abs(better.action) <= 1).all()
    after = DOMAIN.scaled(pogobot_mode.step(numbers, state, limit * better.action))
    left, before = jnp.sqrt((after**2).sum(0)), missed(drawn, state, numbers)
    assert (left <= before + 1e-6).all()
    assert float(jnp.median(left)) < 0.05 * float(jnp.median(before))
    recipe = PolishRecipe(rounds=1, states=128, chunk=64, iterations=6, fits=400, batch=64, rate=5e-3)
    polished, miss = polish.round_of(pogobot_mode, recipe, drawn, jax.random.key(2))
    assert np.isfinite(miss)
    assert float(jnp.median(missed(polished, state, numbers))) < 0.5 * float(jnp.median(before))


def test_a_smooth_network_has_slopes_that_change_as_little_as_told(drawn: network.Network) -> None:
    """The bound is one: no difference of slopes is larger."""
    told = network.bend(drawn, 2)

    def slope(x: jax.Array) -> jax.Array:
        return jax.jacfwd(lambda given: network.apply(drawn, given[:, None])[:, 0])(x)[:, :2]

    base, step = jnp.array([0.3, -0.2, 0.1, 0.4]), 1e-3
    moved = jnp.abs(slope(base.at[:2].add(step)) - slope(base)).mean() / step
    assert 0 < float(moved) <= float(told)
    halved = tuple(layer._replace(weight=layer.weight / 2) for layer in drawn)
    assert float(network.bend(halved, 2)) < float(told) / 8


def test_the_regulator_keeps_the_equilibrium_and_its_value_falls(drawn: network.Network) -> None:
    held = linear.regulator(pogobot_mode, drawn, NUMBERS)
    assert float(missed(held.controller, jnp.zeros((2, 1)), NUMBERS)[0]) < 1e-3
    level = float(region_of_attraction.level(held.region, pogobot_mode, NUMBERS)[0])
    turn = np.linspace(-np.pi, np.pi, 400)
    edge = np.stack([np.cos(turn), np.sin(turn)]) / np.abs(np.stack([np.cos(turn), np.sin(turn)])).max(0)
    least = lyapunov.value(held.lyapunov, DOMAIN, jnp.asarray(edge), jnp.tile(NUMBERS, (1, 400))).min()
    assert np.isclose(level, float(least), rtol=1e-2)
    state = jnp.array([[0.05], [-0.04]])
    values = [lyapunov.value(held.lyapunov, DOMAIN, state, NUMBERS)[0]]
    for _ in range(3):
        state = closed_loop(pogobot_mode, held.controller, NUMBERS, state)
        values.append(lyapunov.value(held.lyapunov, DOMAIN, state, NUMBERS)[0])
    assert values[1] < 0.9 * values[0]
    assert values[3] < values[1]
