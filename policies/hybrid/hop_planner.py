"""Chooses the pogobot's next apexes so that it hops through a corridor without touching floor or ceiling.

Before each hop, the speeds and heights of some apexes ahead are searched for through the closed loop: controller,
hop, and clearance along the parabolas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import controller, deadbeat, learned, planner, pogobot_mode
from haltere.policies.hybrid.hopping import Lanes, Law, Segment
from haltere.policies.hybrid.learned import Learned
from haltere.policies.plants import pogobot
from haltere.policies.plants.pogobot import GRAVITY_M_S2, LEG_M

MISSED = 10.0
"""Cost of a foot that does not land on the floor that was reckoned with, or too near a step."""
STANCE_PERIOD_S = 1e-2
"""Step of the prediction on the ground."""
SHARE = 0.9
"""Of the region's level, below which an apex is to land."""


@dataclass(frozen=True)
class Outlook:
    """How it is planned.

    Attributes:
      hops: that are looked at.
      rounds, plans, kept, spread, seed: of the search, as in `planner.search`.
      samples: along each parabola.
      margin_m: from a step of the corridor, along it.
      clearance_m: to floor and ceiling.
      clearance_weight: of the mean squared lack of it, 1/m^2.
      landing_weight: of an apex outside the region of attraction.
      speed_span_m_s: largest difference of a planned speed from the corridor's.
    """

    hops: int = 4
    rounds: int = 6
    plans: int = 256
    kept: int = 20
    spread: float = 1.2
    seed: int = 0
    samples: int = 24
    margin_m: float = 0.04
    clearance_m: float = 0.06
    clearance_weight: float = 1000.0
    landing_weight: float = 1.0
    speed_span_m_s: float = 0.6


class Flight(NamedTuple):
    """A predicted hop.

    Attributes:
      state: (5, V) world, at the next apex.
      cost: (V,).
    """

    state: jax.Array
    cost: jax.Array


def wanted(where: Lanes, state: jax.Array, choice: jax.Array, outlook: Outlook) -> tuple[jax.Array, jax.Array]:
    """Apex (2, V) to reach, above the floor on which the foot lands, and that floor (V,), from any numbers (2, V)."""
    here = where.at(state[0])
    drop = jnp.maximum(state[2] - here.floor - LEG_M, 0.0)
    landing = where.at(state[0] + state[1] * jnp.sqrt(2 * drop / GRAVITY_M_S2 + 1e-6))
    drop = jnp.maximum(state[2] - landing.floor - LEG_M, 0.0)
    landing = where.at(state[0] + state[1] * (jnp.sqrt(2 * drop / GRAVITY_M_S2 + 1e-6) + LEAN_S))
    low, high = (jnp.asarray(bound)[:, None] for bound in (pogobot_mode.DOMAIN.low, pogobot_mode.DOMAIN.high))
    speed = landing.speed + outlook.speed_span_m_s * jnp.tanh(choice[0])
    room = jnp.maximum(landing.ceiling - landing.floor, jnp.max(where.ceiling, axis=0) - landing.floor)
    height = low[1] + (jnp.minimum(high[1], room) - low[1]) * jax.nn.sigmoid(choice[1])
    return jnp.stack([jnp.clip(speed, low[0], high[0]), height]), landing.floor


LEAN_S = 0.09
"""About how far the foot lands ahead of the mass, over the speed."""


def decide(weights: Learned, apex: jax.Array, floor: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Action (2, V) towards an apex (2, V) above `floor` (V,), and how far outside its region the state is."""
    error = jnp.stack([state[1], state[2] - floor]) - apex
    action = controller.act(weights.controller, pogobot_mode.DOMAIN, error, apex)
    return action, learned.excess(weights, pogobot_mode, error, apex, SHARE)


def fly(weights: Learned, where: Lanes, outlook: Outlook, state: jax.Array, choice: jax.Array) -> Flight:
    """Predicts one hop towards an apex, chosen by any numbers (2, V), and what it costs."""
    apex, floor = wanted(where, state, choice, outlook)
    action, outside = decide(weights, apex, floor, state)
    card = state.at[2].add(-floor)
    hop = pogobot.apex_map(card, action, STANCE_PERIOD_S, pogobot_mode.LONGEST_STANCE_S)
    after = hop.state.at[2].add(floor)
    share = jnp.linspace(0.0, 1.0, outlook.samples)[:, None]
    foot = jnp.stack([LEG_M * jnp.sin(action[0]), -LEG_M * jnp.cos(action[0])])
    fall = jnp.sqrt(2 * jnp.maximum(card[2] + foot[1], 0.0) / GRAVITY_M_S2 + 1e-6)
    rise = jnp.sqrt(2 * jnp.maximum(hop.state[2] + foot[1], 0.0) / GRAVITY_M_S2 + 1e-6)
    down = jnp.stack([state[0] + share * fall * state[1], state[2] - GRAVITY_M_S2 / 2 * (share * fall) ** 2])
    up = jnp.stack([after[0] - share * rise * after[1], after[2] - GRAVITY_M_S2 / 2 * (share * rise) ** 2])
    stand = jnp.stack(
        [down[0, -1] + share * (up[0, -1] - down[0, -1]), jnp.broadcast_to(floor + hop.lowest, up[0].shape)]
    )
    paths = jnp.concatenate([down, up, stand], axis=1)
    lack = _lack(where, outlook, *paths)
    under = where.near(down[0] + foot[0], outlook.margin_m)[0] - down[1] - foot[1]
    squared = (lack**2).mean(0) + (jnp.maximum(under, 0.0) ** 2).mean(0)
    speeds = [jnp.abs(speed - where.at(path[0]).speed) for speed, path in ((state[1], down), (after[1], up))]
    time = fall + rise
    slow = (speeds[0].mean(0) * fall + speeds[1].mean(0) * rise) / time
    cost = slow + outlook.clearance_weight * squared
    level = where.near(down[0, -1] + foot[0], outlook.margin_m)[0]
    lower = where.at(down[0, -1] + foot[0] - outlook.margin_m).floor
    cost = cost + outlook.landing_weight * outside + MISSED * ((level != floor) | (lower != floor))
    return Flight(after, jnp.where(hop.mode == pogobot.APEX, cost, 1e3))


def _lack(where: Lanes, outlook: Outlook, x: jax.Array, y: jax.Array) -> jax.Array:
    """Lack of clearance of the mass at places (S, V), m."""
    floor, ceiling = where.near(x, outlook.margin_m)
    below = jnp.maximum(floor + outlook.clearance_m - y, 0.0)
    above = jnp.maximum(y - ceiling + outlook.clearance_m, 0.0)
    return jnp.maximum(below, above)


def plan(weights: Learned, where: Lanes, outlook: Outlook) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """The planner for these corridors: apexes (2, V) to reach, above floors (V,), from states (5, V) at an apex."""

    def look(state: jax.Array) -> tuple[jax.Array, jax.Array]:
        robots = state.shape[1]
        many, place = jax.tree.map(
            lambda leaf: jnp.tile(leaf, (*(1,) * (leaf.ndim - 1), outlook.plans)), (where, state)
        )

        def objective(choices: jax.Array) -> jax.Array:
            def one(state: jax.Array, choice: jax.Array) -> tuple[jax.Array, jax.Array]:
                flight = fly(weights, many, outlook, state, choice)
                return flight.state, flight.cost

            _, cost = jax.lax.scan(one, place, choices.reshape(outlook.hops, 2, -1))
            return jnp.nan_to_num(cost.sum(0), nan=jnp.inf)

        shape = (2 * outlook.hops, outlook.plans, robots)
        found = planner.search(objective, shape, outlook.rounds, outlook.kept, outlook.spread, outlook.seed)
        return wanted(where, state, found[:2], outlook)

    return look


def law(weights: Learned, where: Lanes, outlook: Outlook) -> Law:
    """The controller with its planner, for these corridors."""
    look = plan(weights, where, outlook)

    def act(state: jax.Array, here: Segment, ahead: Segment) -> jax.Array:
        return decide(weights, *look(state), state)[0]

    return act


def unplanned(weights: Learned) -> Law:
    """The controller towards the segment's own speed and height, and before its end towards the gap, as `deadbeat`."""

    def act(state: jax.Array, here: Segment, ahead: Segment) -> jax.Array:
        speed, height = deadbeat.target(state, here, ahead)
        low, high = (jnp.asarray(bound)[:, None] for bound in (pogobot_mode.DOMAIN.low, pogobot_mode.DOMAIN.high))
        apex = jnp.clip(jnp.stack([speed, height - here.floor]), low, high)
        return decide(weights, apex, here.floor, state)[0]

    return act
