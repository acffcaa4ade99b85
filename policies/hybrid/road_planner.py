"""Plans a car's next references by descent through the closed loop, and says what a way costs.

The plan looks some half pieces ahead: it rolls the closed loop out along them, and makes small what the way costs and
how far each switch lands outside of the next mode's region of attraction.

Source: Meng & Fan 2023, eq. 6 and its conditions; there the exit from a mode is taken to be at its equilibrium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import car_mode, planner
from haltere.policies.hybrid.drive import Law
from haltere.policies.hybrid.references import References
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

LARGEST_EXCESS = 10.0
"""Beyond it, further out is no worse: both are far from where V was learned."""

Excess = Callable[[Any, jax.Array, Road], jax.Array]
"""(parameters, errors (7, V), road) -> how far each car is outside the region of attraction, (V,); zero inside."""


@dataclass(frozen=True)
class Outlook:
    """How it is planned.

    Attributes:
      horizon: half pieces that are looked at.
      iterations: of gradient descent.
      rate: of its steps.
      ticks: steps in which a half piece is predicted.
      time_weight: cost of a second; below zero, since errors count by their mean over time.
      landing_weight: cost of landing outside, for each switch.
      edge_m: beside the reference, beyond which the lane's edge is too near.
      lane_weight: cost of each metre beyond that, for each half piece.
      starts: of the descent: (speed, offset) for all half pieces, before their limits.
    """

    horizon: int = 3
    iterations: int = 5
    rate: float = 0.3
    ticks: int = 64
    time_weight: float = -3.0
    landing_weight: float = 0.1
    edge_m: float = 2.5
    lane_weight: float = 100.0
    starts: tuple[tuple[float, float], ...] = tuple((a, b) for a in (-1.5, 0.0, 1.5) for b in (-0.8, 0.8))


class Driver(NamedTuple):
    """Who drives.

    Attributes:
      law: controller; called with the parameters.
      excess: of the region of attraction, or None if it has none.
    """

    law: Law
    excess: Excess | None = None


def predict(
    driver: Driver, outlook: Outlook, parameters: Any, half: References, choice: jax.Array, world: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """World states (7, V) at the end of a half piece, and what it costs (V,); differentiable by `choice` (2, V).

    The half piece is divided into as many steps at any speed, so that its end moves smoothly.
    """
    road = half.choose(choice)
    duration = road.length / road.speed
    error = car.to_error(world, road)

    def tick(error: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        action = driver.law(parameters, error, road)
        after = car.step(road, error, action, duration / outlook.ticks)
        return after, (car_mode.cost(after), jnp.abs(after[1]))

    outside = driver.excess(parameters, error, road) if driver.excess else jnp.zeros_like(duration)
    beside = jnp.abs(error[1])
    error, (cost, besides) = jax.lax.scan(tick, error, None, length=outlook.ticks)
    over = jnp.maximum(jnp.maximum(beside, besides.max(0)) - outlook.edge_m, 0.0)
    total = (cost.mean(0) + outlook.time_weight) * duration + outlook.lane_weight * over
    total = total + outlook.landing_weight * jnp.minimum(outside, LARGEST_EXCESS)
    return car.to_world(error, car.at(road, duration)), half.weight * total


@partial(jax.tree_util.register_dataclass, data_fields=["parameters"], meta_fields=["driver", "outlook"])
@dataclass(frozen=True)
class Descent:
    """The planner by gradient descent; what it remembers is its plan so far, (H, 2, V).

    Attributes:
      driver: whose closed loop is rolled out.
      parameters: of its law and region.
      outlook: how.
    """

    driver: Driver
    parameters: Any
    outlook: Outlook = field(default_factory=Outlook)

    @property
    def ahead(self) -> int:
        """Half pieces that it looks at."""
        return self.outlook.horizon

    def begin(self, cars: int) -> jax.Array:
        """No plan yet."""
        return jnp.zeros((self.ahead, 2, cars))

    def plan(self, halves: References, world: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `journey.Planner`."""
        found, _ = self.descend(halves, world, before)
        return found[0], jnp.concatenate([found[1:], found[-1:]])

    def descend(self, halves: References, world: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Plans the next half pieces.

        Args:
          halves: leaves (H, ..., V).
          world: (7, V) now.
          before: (H, 2, V) the plan so far, from which the descent begins, too.
        Returns:
          Choices (H, 2, V), and their cost (V,).
        """
        outlook, cars = self.outlook, world.shape[1]
        starts = jnp.asarray(outlook.starts).T[None, :, :, None]
        start = jnp.broadcast_to(starts, (outlook.horizon, 2, len(outlook.starts), cars))
        start = jnp.concatenate([start, before[:, :, None]], axis=2)
        count = start.shape[2]
        many, place = jax.tree.map(lambda leaf: jnp.tile(leaf, (*(1,) * (leaf.ndim - 1), count)), (halves, world))

        def objective(choices: jax.Array) -> jax.Array:
            def one(world: jax.Array, piece: tuple[References, jax.Array]) -> tuple[jax.Array, jax.Array]:
                return predict(self.driver, outlook, self.parameters, piece[0], piece[1], world)

            _, cost = jax.lax.scan(one, place, (many, choices))
            return jnp.nan_to_num(cost.sum(0), nan=jnp.inf)

        start = start.reshape(outlook.horizon, 2, -1)
        found, cost = planner.descend(objective, start, outlook.iterations, outlook.rate)
        return planner.best_of(found.reshape(outlook.horizon, 2, count, cars), cost.reshape(count, cars))
