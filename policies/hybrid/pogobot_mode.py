"""The pogobot's mode as its controller is learned: one period is one hop, from apex to apex.

The state is the error of an apex: speed (m/s) and height (m) minus those wanted; the configuration is the wanted apex,
above the floor. The action is that of the plant: angle (rad) and force (N).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.domain import Domain
from haltere.policies.plants import pogobot

DOMAIN = Domain(
    state=(1.0, 1.0),
    low=(0.0, 1.05),
    high=(2.6, 3.6),
    limit=(0.5, 5000.0),
    period_s=1.0,
    free=False,
)
"""Wanted apexes are those of the published corridors; the period counts hops."""
LEAST_HEIGHT_M = 1.02
"""An apex below this has no room for a leg that leans."""
STANCE_PERIOD_S, LONGEST_STANCE_S = 2e-3, 0.25
"""The spring's half period is 0.16 s."""
LOST = 3.0
"""Error (in half widths) of a hop that did not come to an apex."""


def apex(numbers: jax.Array, state: jax.Array) -> jax.Array:
    """The plant's state (5, V) at an apex with these errors (2, V), for wanted apexes `numbers` (2, V)."""
    zero = jnp.zeros_like(state[0])
    height = jnp.maximum(numbers[1] + state[1], LEAST_HEIGHT_M)
    return jnp.stack([zero, numbers[0] + state[0], height, zero, zero])


def step(numbers: jax.Array, state: jax.Array, action: jax.Array) -> jax.Array:
    """One hop: errors (2, V) at the next apex; `LOST` where there is none."""
    hop = pogobot.apex_map(apex(numbers, state), action, STANCE_PERIOD_S, LONGEST_STANCE_S)
    after = hop.state[1:3] - numbers
    lost = LOST * jnp.asarray(DOMAIN.state)[:, None]
    return jnp.where(hop.mode == pogobot.APEX, jnp.clip(after, -lost, lost), lost)


def cost(state: jax.Array) -> jax.Array:
    """Distance from the wanted apex (V,), as exact when it is small."""
    return jnp.sqrt((DOMAIN.scaled(state) ** 2).sum(0) + 1e-4)


def danger(state: jax.Array) -> jax.Array:
    """Squared distance from the wanted apex, (V,)."""
    return (DOMAIN.scaled(state) ** 2).sum(0)


def safe(state: jax.Array) -> jax.Array:
    """Inside the domain."""
    return DOMAIN.inside(state)


def scatter(key: jax.Array, count: int) -> jax.Array:
    """Errors (2, count) of apexes as another wanted one leaves them."""
    return DOMAIN.uniform(key, count)


def switch(key: jax.Array, numbers: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Random next wanted apexes, not further than a step of the corridors from these."""
    change = 0.7 * jax.random.uniform(key, numbers.shape, minval=-1.0)
    low, high = jnp.asarray(DOMAIN.low)[:, None], jnp.asarray(DOMAIN.high)[:, None]
    following = jnp.clip(numbers + change, low, high)
    return following, state + numbers - following
