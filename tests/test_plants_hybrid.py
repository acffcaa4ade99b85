"""The contract that every hybrid plant keeps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.hybrid import lqr
from haltere.policies.hybrid.systems import SYSTEMS

COUNT = 5
MIDDLE = {
    "car": [0.1, -0.2, 0.05, 0.3, 0.1, -0.1, 0.02],
    "pogobot": [1.0, 0.5, 0.95, -0.3, 1.1],
    "walker": [0.1, -0.15, -0.6, 0.3],
}
EACH = [(name, mode) for name, system in SYSTEMS.items() for mode in range(len(system.MODES))]


def draw(name: str) -> tuple[Any, jax.Array, jax.Array]:
    """Configurations all over their ranges, states and actions."""
    system = SYSTEMS[name]
    k = jax.random.split(jax.random.key(0), 3)
    low, high = (jnp.array([getattr(span, end) for span in system.RANGES])[:, None] for end in ("low", "high"))
    numbers = low + (high - low) * jax.random.uniform(k[0], (len(system.RANGES), COUNT))
    state = jnp.array(MIDDLE[name])[:, None] + 0.02 * jax.random.normal(k[1], (system.STATE_SIZE, COUNT))
    return system.configure(numbers), state, 0.1 * jax.random.normal(k[2], (system.INPUT_SIZE, COUNT))


@pytest.mark.parametrize(("name", "mode"), EACH)
def test_contract(name: str, mode: int) -> None:
    """Shapes, independence of the V systems, and finite slopes of flow, guard and reset."""
    system = SYSTEMS[name]
    configuration, state, action = draw(name)
    time = jnp.linspace(0.1, 0.5, COUNT)

    def all_of(x: jax.Array, u: jax.Array, p: Any, t: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return system.flow(mode, x, u, p), system.guard(mode, x, u, p, t), system.reset(mode, x, u, p, p)

    together = jax.jit(all_of)(state, action, configuration, time)
    assert [leaf.shape for leaf in together] == [state.shape, (COUNT,), state.shape]
    alone = jax.jit(all_of)(*jax.tree.map(lambda leaf: leaf[..., 2:3], (state, action, configuration, time)))
    for found, single in zip(together, alone, strict=True):
        np.testing.assert_allclose(found[..., 2:3], single, rtol=1e-5, atol=2e-5)
    slopes = jax.jit(jax.grad(lambda *args: sum(leaf.sum() for leaf in all_of(*args)), argnums=(0, 1, 2, 3)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes(state, action, configuration, time)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_flow_uses_the_action_in_some_mode(name: str) -> None:
    system = SYSTEMS[name]
    configuration, state, action = draw(name)
    moved = [
        np.abs(
            system.flow(mode, state, action + 1, configuration) - system.flow(mode, state, action, configuration)
        ).max()
        for mode in range(len(system.MODES))
    ]
    assert max(moved) > 0


@pytest.mark.parametrize("name", SYSTEMS)
def test_linearisation_of_any_of_them(name: str) -> None:
    system, mode = SYSTEMS[name], len(SYSTEMS[name].MODES) // 3
    configuration, state, action = draw(name)
    a, b = lqr.linearise(system, mode, state, action, configuration)
    assert a.shape == (COUNT, system.STATE_SIZE, system.STATE_SIZE)
    assert b.shape == (COUNT, system.STATE_SIZE, system.INPUT_SIZE)
    flow = jax.jit(lambda x: system.flow(mode, x, action, configuration))
    push = jnp.zeros_like(state).at[1].set(1e-2)
    np.testing.assert_allclose(a[:, :, 1].T, (flow(state + push) - flow(state - push)) / 2e-2, rtol=1e-2, atol=5e-2)
