"""What learning leaves for a mode: controller, Lyapunov function and region of attraction."""

from __future__ import annotations

from typing import NamedTuple

import jax

from haltere.policies.hybrid import controller, lyapunov, region_of_attraction
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network


class Learned(NamedTuple):
    """Weights of the three networks."""

    controller: Network
    lyapunov: Network
    region: Network


def draw(key: jax.Array, mode: Mode) -> Learned:
    """Untrained networks."""
    k = jax.random.split(key, 3)
    return Learned(
        controller.draw(k[0], mode.DOMAIN), lyapunov.draw(k[1], mode.DOMAIN), region_of_attraction.draw(k[2], mode)
    )


def excess(weights: Learned, mode: Mode, state: jax.Array, numbers: jax.Array, share: float) -> jax.Array:
    """How far V is above `share` of the region's level, relative to that; (V,), zero inside."""
    value = lyapunov.value(weights.lyapunov, mode.DOMAIN, state, numbers)
    limit = share * region_of_attraction.level(weights.region, mode, numbers)
    return jax.nn.relu(value / limit - 1)
