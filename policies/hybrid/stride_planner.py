"""Chooses the gait of the walker's next stride, so that it stays in regions of attraction on the way to its target.

Before each stride, the angles of the next gaits are found by gradient descent through the closed loop, stride by
stride; the walker gets the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import controller, learned, planner, swing, walker_mode
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.swing import Swing
from haltere.policies.hybrid.walk import Plan
from haltere.policies.plants.walker import Gait

SHARE = 0.9
"""Of the region's level, below which a stride is to begin."""
DOMAIN = walker_mode.DOMAIN


@dataclass(frozen=True)
class Outlook:
    """How it is planned.

    Attributes:
      strides: that are looked at.
      iterations: of gradient descent.
      rate_rad: of its steps.
      starts: of the descent: share of the way from the present angle to the target's, for all strides but the last,
        which begins as the target's.
      landing_weight: cost of beginning a stride outside of the region of attraction.
      largest_excess: beyond it, further out is no worse.
    """

    strides: int = 2
    iterations: int = 3
    rate_rad: float = 0.01
    starts: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5)
    landing_weight: float = 0.2
    largest_excess: float = 5.0


class Planned(NamedTuple):
    """One stride.

    Attributes:
      stride: what the law follows.
      angle: (V,) rad, of the gait that was chosen.
      excess: (V,) how far outside of its region of attraction the stride begins; zero inside.
    """

    stride: Swing
    angle: jax.Array
    excess: jax.Array


def law(state: jax.Array, planned: Planned) -> jax.Array:
    """Torque (1, V) for states (4, V)."""
    return swing.law(state, planned.stride)


def decide(weights: Learned, state: jax.Array, angle: jax.Array) -> Planned:
    """The learned stride from states (4, V) of the plant to gaits of `angle` (V,)."""
    numbers = angle[None]
    error = walker_mode.error(state, numbers)
    action = controller.act(weights.controller, DOMAIN, error, numbers)
    outside = learned.excess(weights, walker_mode, error, numbers, SHARE)
    return Planned(walker_mode.swing_of(action, numbers), angle, outside)


def plan(weights: Learned, outlook: Outlook) -> Plan:
    """The planner, as `walk.walk` asks for it."""
    (low,), (high,) = DOMAIN.low, DOMAIN.high

    def look(state: jax.Array, target: Gait) -> Planned:
        walkers, count = state.shape[1], len(outlook.starts)
        place, wanted = jnp.tile(state, (1, count)), jnp.tile(target.angle, count)

        def one(state: jax.Array, angle: jax.Array) -> tuple[jax.Array, jax.Array]:
            chosen = decide(weights, state, jnp.clip(angle, low, high))
            made = walker_mode.make(state, chosen.stride)
            away = walker_mode.cost(walker_mode.outcome(made, wanted[None]))
            return made.state, away + outlook.landing_weight * jnp.minimum(chosen.excess, outlook.largest_excess)

        def objective(angles: jax.Array) -> jax.Array:
            _, cost = jax.lax.scan(one, place, angles[:, 0])
            return jnp.nan_to_num(cost.sum(0), nan=jnp.inf)

        share = jnp.asarray(outlook.starts)[:, None]
        begin = (state[0] + share * (target.angle - state[0])).reshape(-1)
        begins = jnp.stack([begin] * (outlook.strides - 1) + [wanted])[:, None]
        found, cost = planner.descend(objective, begins, outlook.iterations, outlook.rate_rad)
        shape = (count, walkers)
        angles, _ = planner.best_of(found.reshape(outlook.strides, 1, *shape), cost.reshape(shape))
        return decide(weights, state, jnp.clip(angles[0, 0], low, high))

    return look


def unplanned(weights: Learned) -> Plan:
    """The controller towards the target at once."""
    (low,), (high,) = DOMAIN.low, DOMAIN.high

    def go(state: jax.Array, target: Gait) -> Planned:
        return decide(weights, state, jnp.clip(target.angle, low, high))

    return go
