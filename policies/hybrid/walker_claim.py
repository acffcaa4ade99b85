"""What is to be proved of the walker's file: around a gait, V decreases with every stride.

The stride is that of the published simulator, period by period, in real numbers, from impact to impact (a Poincare
map): all states are those just after an impact, where 2 q1 + q2 = 0. They are q1, q1_dot and q2_dot less the wanted
gait's, in half widths of the domain.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import controller, lyapunov, region_of_attraction, swing, walk, walker_mode
from haltere.policies.hybrid.claim_numbers import checked
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.phase import Phase
from haltere.policies.hybrid.return_map import ReturnMap
from haltere.policies.hybrid.swing import Swing
from haltere.policies.plants import walker

DOMAIN = walker_mode.DOMAIN
NUMBERS = ("angle_rad",)
FREE = (0, 2, 3)
"""Rows of the mode's errors that are not zero just after an impact."""
LONGEST = (100, 80)
"""Control periods for which the swing leg is held, and after that."""


class Walking(NamedTuple):
    """What a stride depends on.

    Attributes:
      weights: float64.
      numbers: (1, 1) angle of the wanted gait, rad.
      gait: (4,) state of the plant just after its impact.
    """

    weights: Learned
    numbers: jax.Array
    gait: jax.Array


def walking_of(weights: Learned, numbers: tuple[float, ...]) -> Walking:
    """The closed loop with the file's controller.

    Raises:
      ConfigError: the configuration is outside of what was learned.
    """
    given = checked(NUMBERS, numbers, DOMAIN)
    exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)
    return Walking(exact, given, walker_mode.gait(given[0])[:, 0])


def level(walking: Walking) -> float:
    """Of V, up to which the file says that the region of attraction reaches."""
    return float(region_of_attraction.level(walking.weights.region, walker_mode, walking.numbers)[0])


def _error(state: jax.Array) -> jax.Array:
    """The mode's errors (4, 1) of a state (3,)."""
    half = DOMAIN.state
    return jnp.stack([half[0] * state[0], jnp.zeros_like(state[0]), half[2] * state[1], half[3] * state[2]])[:, None]


def value(walking: Walking, state: jax.Array) -> jax.Array:
    """V (1,) at a state (3,) in half widths."""
    return lyapunov.value(walking.weights.lyapunov, DOMAIN, _error(state), walking.numbers)


def _begin(walking: Walking, state: jax.Array) -> jax.Array:
    """The plant's state (4,) and the stride (4,)."""
    error = _error(state)
    action = controller.act(walking.weights.controller, DOMAIN, error, walking.numbers)[:, 0]
    lead, landing, slope, hold = action + jnp.asarray(walker_mode.MIDDLE)
    landing = landing + walking.numbers[0, 0]
    landing = jnp.where(landing > swing.LEAST_LANDING_RAD, landing, swing.LEAST_LANDING_RAD)
    q1, _, q1_dot, q2_dot = walking.gait + error[:, 0]
    return jnp.stack([q1, -2 * q1, q1_dot, q2_dot, lead, landing, slope, hold])


def _stride(state: jax.Array) -> Swing:
    return Swing(*(state[row : row + 1] for row in range(4, 8)))


def _glide(state: jax.Array, torque: jax.Array) -> jax.Array:
    return jnp.concatenate([walker.glide(state[:4, None], torque)[:, 0], state[4:]])


def _hold(walking: Walking, state: jax.Array) -> jax.Array:
    none = jnp.zeros(1)
    return _glide(state, swing.torque(state[:4, None], state[4:5], none, none))


def _set_down(walking: Walking, state: jax.Array) -> jax.Array:
    return _glide(state, swing.torque(state[:4, None], *swing.set_down(state[0:1], _stride(state))))


def _past_hold(walking: Walking, state: jax.Array) -> jax.Array:
    return state[7:8] - state[0:1]


def _touches(walking: Walking, state: jax.Array) -> jax.Array:
    return -(2 * state[0:1] + state[1:2])


def _may_land(walking: Walking, state: jax.Array) -> jax.Array:
    return jnp.stack([state[0] - walker.LANDING_ANGLE_RAD, 2 * state[2] + state[3]])


def _valid(walking: Walking, state: jax.Array) -> jax.Array:
    largest = jnp.array([walk.LARGEST_Q1_RAD, walk.LARGEST_Q2_RAD])
    return jnp.concatenate([state[:2] - largest, -state[:2] - largest])


def _valid_past_hold(walking: Walking, state: jax.Array) -> jax.Array:
    return jnp.concatenate([_valid(walking, state), -_past_hold(walking, state)])


def _go_on(walking: Walking, before: jax.Array, after: jax.Array) -> jax.Array:
    return after


def _land(walking: Walking, before: jax.Array, after: jax.Array) -> jax.Array:
    """The plant's state (4,) just after the impact."""
    gap, end = -_touches(walking, before), -_touches(walking, after)
    return walker.land(before[:4, None], after[:4, None], -end / (gap - end))[:, 0]


def _end(walking: Walking, state: jax.Array) -> jax.Array:
    """Errors (3,)."""
    moved = state - walking.gait
    return jnp.stack([moved[row] / DOMAIN.state[row] for row in FREE])


STRIDE = ReturnMap(
    _begin,
    (
        Phase(_hold, _past_hold, _go_on, LONGEST[0], within=_valid),
        Phase(_set_down, _touches, _land, LONGEST[1], armed=_may_land, within=_valid_past_hold),
    ),
    _end,
    value,
    3,
)
