"""The pogobot in corridors for reinforcement learning: one step is one hop of the published simulator.

The published reward is the way since the start, minus the error of the speed, minus ten for a collision: it pays for
being fast, and not for the wanted speed. Here it is what the benchmark measures: minus the mean error of the speed in
the air, and minus ten for a collision or a fall, which ends the episode. The bounds are the published ones. The policy
sees this segment and the next two; in the published environment, this one and the next.

Source: the environment of the published code of Meng & Fan 2023 (`nn_roa_planner`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import corridors, hopping
from haltere.policies.hybrid.baselines import policy
from haltere.policies.hybrid.deadbeat import LARGEST_ANGLE_RAD, LARGEST_FORCE_N, LEAST_HEIGHT_M
from haltere.policies.hybrid.hopping import Lanes, Law, Segment
from haltere.policies.hybrid.network import Network

AHEAD = 2
OBSERVATION_SIZE = 6 + 5 * AHEAD
LIMIT = (LARGEST_ANGLE_RAD, LARGEST_FORCE_N)
LONGEST = 60
FAILED = 10.0
CORRIDORS = 4096
SPEED_SPREAD_M_S = 0.6


class Hopping(NamedTuple):
    """Robots on their way, each at an apex.

    Attributes:
      state: (5, V) world.
      corridor: (V,) which of them.
    """

    state: jax.Array
    corridor: jax.Array


def observe(state: jax.Array, where: Lanes) -> jax.Array:
    """What the policy sees of states (5, V), world, at apexes in corridors: (o, V)."""
    here, *ahead = (where.at(state[0], index) for index in range(AHEAD + 1))
    rows = [state[1], state[2] - here.floor, here.end - state[0]]
    rows += [here.ceiling - here.floor, here.speed, here.height - here.floor]
    for segment in ahead:
        rows += [segment.end - here.end, segment.floor - here.floor, segment.ceiling - here.floor, segment.speed]
        rows += [segment.height - here.floor]
    return jnp.stack(rows)


def law(weights: Network, where: Lanes) -> Law:
    """The policy as a `hopping.Law`, for these corridors."""

    def act(state: jax.Array, here: Segment, ahead: Segment) -> jax.Array:
        return policy.act(weights, observe(state, where), LIMIT)

    return act


class PogobotEnvironment:
    """Random corridors; see `environment.Environment`."""

    OBSERVATION_SIZE = OBSERVATION_SIZE
    LIMIT: tuple[float, ...] = LIMIT
    LONGEST = LONGEST

    def __init__(self, count: int = CORRIDORS, seed: int = corridors.SEED + 1) -> None:
        self._lanes = hopping.lanes(corridors.published(count, seed))

    def begin(self, key: jax.Array, count: int) -> Hopping:
        """Apexes anywhere in corridors, at about the wanted speed."""
        which, along, up, fast = jax.random.split(key, 4)
        corridor = jax.random.randint(which, (count,), 0, self._lanes.last.shape[0])
        where = self._lanes_of(corridor)
        x = jax.random.uniform(along, (count,)) * where.end[-1]
        here = where.at(x)
        low, high = here.floor + LEAST_HEIGHT_M, here.ceiling
        speed = here.speed + SPEED_SPREAD_M_S * jax.random.uniform(fast, (count,), minval=-1.0)
        none = jnp.zeros(count)
        state = jnp.stack([x, speed, low + (high - low) * jax.random.uniform(up, (count,)), none, none])
        return Hopping(state, corridor)

    def observe(self, state: Hopping) -> jax.Array:
        """See `observe`."""
        return observe(state.state, self._lanes_of(state.corridor))

    def step(self, state: Hopping, action: jax.Array) -> tuple[Hopping, jax.Array, jax.Array]:
        """One hop."""
        where = self._lanes_of(state.corridor)
        run = hopping.hop_once(state.state, action, where)
        here = where.at(run.state[0])
        inside = (run.state[2] >= here.floor) & (run.state[2] <= here.ceiling)
        arrived = run.state[0] >= where.end[-1]
        failed = (run.outside > 0) | ~inside | (run.done & ~arrived)
        error = run.speed_error / jnp.maximum(run.flights, 1)
        return Hopping(run.state, state.corridor), -error - FAILED * failed, failed | arrived

    def _lanes_of(self, corridor: jax.Array) -> Lanes:
        found: Lanes = jax.tree.map(lambda leaf: leaf[..., corridor], self._lanes)
        return found
