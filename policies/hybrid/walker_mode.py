"""The walker's mode as its controller is learned: one period is one stride, from impact to impact.

The state is the error of the state just after an impact, against the wanted gait's: q1 (rad), the gap 2 q1 + q2 (rad),
q1_dot and q2_dot (rad/s). The gap is zero after every impact, but not where a walker is put down. The configuration is
the wanted gait's angle. The action is how the stride differs from `MIDDLE`: lead, landing, slope and hold, rad each.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import swing, walk
from haltere.policies.hybrid.domain import Domain
from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.hybrid.swing import LEAST_LANDING_RAD, Swing
from haltere.policies.plants import walker

DOMAIN = Domain(
    state=(0.07, 0.05, 0.4, 0.7),
    low=(0.06,),
    high=(0.195,),
    limit=(0.45, 0.04, 0.5, 0.06),
    period_s=1.0,
    free=False,
)
"""Gaits are those of the published tasks; the period counts strides."""
MIDDLE = (0.5, 0.0, -0.1, 0.06)
"""Lead, landing (less the wanted gait's angle), slope and hold of an action of zeros, rad."""
START = (0.01, 0.04, 0.1, 0.2)
"""Half widths of the published starts around a gait, in the coordinates of the state."""
LARGEST_CHANGE_RAD = 0.06
"""Of the angle, from gait to gait."""
LOST = 3.0
"""Error (in half widths) of a walker that did not come to a valid impact."""
FAR, MARGIN_RAD, WIDEST_RAD = 10.0, 0.02, 0.5
"""What is added to it for each radian that the stance leg did not come, and that the swing leg was too far ahead.

The latter is counted from a margin inside its range, and up to a largest value, which those who fall reach."""


class Made(NamedTuple):
    """A stride.

    Attributes:
      state: (4, V) plant, just after the impact, or where there was none, after `walk.TICKS` periods.
      valid: (V,) bool; there was an impact, and no angle left its range before.
      lowest: (V,) rad, least q1.
      widest: (V,) rad, largest |q2|.
    """

    state: jax.Array
    valid: jax.Array
    lowest: jax.Array
    widest: jax.Array


def gait(angle: jax.Array) -> jax.Array:
    """State (4, V) just after the impact of gaits (V,), between those of the published table."""
    rows = POST_IMPACT[::-1].astype(float)
    rates = [jnp.interp(angle, jnp.asarray(rows[:, 0]), jnp.asarray(rows[:, column])) for column in (2, 3)]
    return jnp.stack([angle, -2 * angle, *rates])


def error(state: jax.Array, numbers: jax.Array) -> jax.Array:
    """Errors (4, V) of states (4, V) of the plant."""
    moved = state - gait(numbers[0])
    return moved.at[1].add(2 * moved[0])


def placed(errors: jax.Array, numbers: jax.Array) -> jax.Array:
    """States (4, V) of the plant with these errors (4, V)."""
    return gait(numbers[0]) + errors.at[1].add(-2 * errors[0])


def swing_of(action: jax.Array, numbers: jax.Array) -> Swing:
    """The stride that an action (4, V) means."""
    lead, landing, slope, hold = action + jnp.asarray(MIDDLE)[:, None]
    return Swing(lead, jnp.maximum(numbers[0] + landing, LEAST_LANDING_RAD), slope, hold)


def make(state: jax.Array, stride: Swing) -> Made:
    """One stride from states (4, V) of the plant, period by period as published."""

    @jax.checkpoint
    def one(carry: tuple[Made, jax.Array], _: None) -> tuple[tuple[Made, jax.Array], None]:
        before, landed = carry
        after, impact = walker.tick(before.state, swing.law(before.state, stride))
        inside = (jnp.abs(after[0]) <= walk.LARGEST_Q1_RAD) & (jnp.abs(after[1]) <= walk.LARGEST_Q2_RAD)
        made = Made(
            after,
            before.valid & inside,
            jnp.minimum(before.lowest, after[0]),
            jnp.maximum(before.widest, jnp.abs(after[1])),
        )
        kept: Made = jax.tree.map(lambda old, new: jnp.where(landed, old, new), before, made)
        return (kept, landed | impact), None

    no = jnp.zeros(state.shape[-1], bool)
    begin = (Made(state, ~no, state[0], jnp.abs(state[1])), no)
    (made, landed), _ = jax.lax.scan(one, begin, None, length=walk.TICKS)
    return made._replace(valid=made.valid & landed)


def outcome(made: Made, numbers: jax.Array) -> jax.Array:
    """Errors (4, V) of strides against gaits of `numbers` (1, V); `LOST` and more where there was no impact."""
    half = jnp.asarray(DOMAIN.state)[:, None]
    after = jnp.clip(error(made.state, numbers), -LOST * half, LOST * half)
    short = jnp.maximum(made.lowest - walker.LANDING_ANGLE_RAD, 0.0)
    wide = jnp.clip(made.widest - walk.LARGEST_Q2_RAD + MARGIN_RAD, 0.0, WIDEST_RAD)
    lost = half * (LOST + FAR * (short + wide))
    return jnp.where(made.valid, after, lost)


def step(numbers: jax.Array, state: jax.Array, action: jax.Array) -> jax.Array:
    """One stride: errors (4, V) just after the next impact."""
    return outcome(make(placed(state, numbers), swing_of(action, numbers)), numbers)


def cost(state: jax.Array) -> jax.Array:
    """Distance from the wanted gait (V,), as exact when it is small."""
    return jnp.sqrt((DOMAIN.scaled(state) ** 2).sum(0) + 1e-4)


def danger(state: jax.Array) -> jax.Array:
    """Squared distance from the wanted gait, (V,)."""
    return (DOMAIN.scaled(state) ** 2).sum(0)


def safe(state: jax.Array) -> jax.Array:
    """Inside the domain."""
    return DOMAIN.inside(state)


def scatter(key: jax.Array, count: int) -> jax.Array:
    """Errors (4, count) as of walkers that are put down around another gait."""
    along, around = jax.random.split(key)
    low, high = (jnp.asarray(bound) for bound in (DOMAIN.low, DOMAIN.high))
    change = LARGEST_CHANGE_RAD * jax.random.uniform(along, (count,), minval=-1.0)
    middle = jnp.full((1, count), (low[0] + high[0]) / 2)
    there = error(gait(middle[0] + change), middle)
    return there + jnp.asarray(START)[:, None] * jax.random.uniform(around, (4, count), minval=-1.0)


def switch(key: jax.Array, numbers: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Random next gaits, not too far from these, and walkers as the published tasks put them down."""
    change, around = jax.random.split(key)
    low, high = jnp.asarray(DOMAIN.low)[:, None], jnp.asarray(DOMAIN.high)[:, None]
    moved = LARGEST_CHANGE_RAD * jax.random.uniform(change, numbers.shape, minval=-1.0)
    following = jnp.clip(numbers + moved, low, high)
    push = jnp.asarray(START)[:, None] * jax.random.uniform(around, state.shape, minval=-1.0)
    return following, error(placed(state, numbers), following) + push
