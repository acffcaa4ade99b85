"""The car's planner as a network: from the state and the half pieces ahead to the reference on the next one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import network
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.references import References
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

AHEAD = 4
"""Half pieces that the network sees."""
HIDDEN = 64
STATE = ("s_x_m", "s_y_m", "delta_rad", "speed_m_s", "psi_rad", "psi_dot_rad_s", "beta_rad")
"""Of the car, in the frame of the next half piece: at its beginning, along the middle of the road."""
STATE_CENTRE = (0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0)
STATE_SCALE = (2.0, 1.0, 0.3, 3.0, 0.5, 1.0, 0.3)
HALF = ("length_m", "turn_rad", "friction", "slowest_m_s", "fastest_m_s", "on_road")
"""Of each half piece; the turn is that from the half before, and zero for the next one."""
HALF_CENTRE = (9.0, 0.0, 0.55, 8.0, 10.0, 0.5)
HALF_SCALE = (6.0, 0.5, 0.45, 4.0, 4.0, 0.5)


def draw(key: jax.Array, hidden: int = HIDDEN) -> Network:
    """An untrained planner: near the middle of speeds and road."""
    return network.draw(key, (len(STATE) + AHEAD * len(HALF), hidden, hidden, 2))


def observe(halves: References, world: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the network is told.

    Args:
      halves: leaves (AHEAD, ..., V).
      world: (7, V) now.
    Returns:
      The car's `STATE` (7, V), and `HALF` (AHEAD, 6, V), in these units.
    """
    way = halves.end - halves.begin
    heading, length = jnp.arctan2(way[:, 1], way[:, 0]), jnp.hypot(way[:, 0], way[:, 1])
    still = jnp.zeros_like(length[0])
    here = Road(halves.friction[0], still, still, halves.begin[0, 0], halves.begin[0, 1], heading[0], length[0])
    turn = jnp.concatenate([still[None], car.wrap(heading[1:] - heading[:-1])])
    rows = (length, turn, halves.friction, halves.slowest, halves.fastest, halves.weight)
    return car.to_error(world, here), jnp.stack(rows, axis=1)


def choose(weights: Network, halves: References, world: jax.Array) -> jax.Array:
    """The choice (2, V) of the reference on the next half piece, as `References.choose` reads it.

    Args:
      weights: of the network.
      halves: leaves (AHEAD, ..., V), the next half piece first.
      world: (7, V) now.
    """
    state, ahead = observe(halves, world)
    state = (state - jnp.asarray(STATE_CENTRE)[:, None]) / jnp.asarray(STATE_SCALE)[:, None]
    ahead = (ahead - jnp.asarray(HALF_CENTRE)[:, None]) / jnp.asarray(HALF_SCALE)[:, None]
    return network.apply(weights, jnp.concatenate([state, ahead.reshape(-1, state.shape[1])]))


@partial(jax.tree_util.register_dataclass, data_fields=["weights"], meta_fields=[])
@dataclass(frozen=True)
class CarPlanner:
    """The network as a `journey.Planner`, which remembers nothing.

    Attributes:
      weights: of the network.
    """

    weights: Network

    @property
    def ahead(self) -> int:
        """Half pieces that it looks at."""
        return AHEAD

    def begin(self, cars: int) -> tuple[()]:
        """Nothing."""
        return ()

    def plan(self, halves: References, world: jax.Array, memory: tuple[()]) -> tuple[jax.Array, tuple[()]]:
        """See `journey.Planner`."""
        return choose(self.weights, halves, world), memory
