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
from haltere.policies.hybrid.enclosure import Chain, Layers, Limit, Part
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.phase import Phase
from haltere.policies.hybrid.return_map import ReturnMap
from haltere.policies.hybrid.swing import Swing
from haltere.policies.plants import walker

DOMAIN = walker_mode.DOMAIN
NUMBERS = ("angle_rad",)
FREE = (0, 2, 3)
"""Rows of the mode's errors that are not zero just after an impact."""
LONGEST = (100, 140)
"""Control periods for which the swing leg is held, and after that."""
RATE = swing.FREQUENCY_RAD_S
"""Unit of the rates, 1/s, in which they are about as far off as the angles: those of the swing's error."""


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


def _seen(walking: Walking, state: jax.Array) -> jax.Array:
    """What the networks see at a state (3,) in half widths."""
    return DOMAIN.inputs(_error(state), walking.numbers)[:, 0]


def _value(walking: Walking, state: jax.Array) -> jax.Array:
    """V (1,) by state (3,) and output of its network."""
    return lyapunov.of_root(state[3:, None], DOMAIN.scaled(_error(state)))


def _begin(walking: Walking, state: jax.Array) -> jax.Array:
    """The plant's state (4,), rates by `RATE`, the stride (4,), no torque (1,), and of its path nothing yet (3,).

    By state (3,) in half widths and output of the controller's network.
    """
    error = _error(state)
    action = controller.of_output(state[3:, None], DOMAIN, DOMAIN.scaled(error))[:, 0]
    lead, landing, slope, hold = action + jnp.asarray(walker_mode.MIDDLE)
    landing = landing + walking.numbers[0, 0]
    landing = jnp.where(landing > swing.LEAST_LANDING_RAD, landing, swing.LEAST_LANDING_RAD)
    q1, _, q1_dot, q2_dot = walking.gait + error[:, 0]
    begun = jnp.stack([q1, -2 * q1, q1_dot / RATE, q2_dot / RATE, lead, landing, slope, hold])
    return jnp.concatenate([begun, jnp.zeros(4)])


def _plant(state: jax.Array) -> jax.Array:
    """The plant's state (4, 1)."""
    return jnp.concatenate([state[:2], RATE * state[2:4]])[:, None]


def _hold(walking: Walking, state: jax.Array) -> jax.Array:
    """The torque (1,) that holds the leg ahead, were it not limited, by state and lead (5,)."""
    none = jnp.zeros(1)
    return swing.unlimited(_plant(state), state[4:5], none, none)


def _wanted(walking: Walking, state: jax.Array) -> jax.Array:
    """The path (3,) on which the leg is set down: angle, slope, bend where the stance leg is; by q1 and stride (5,)."""
    stride = Swing(*(state[row : row + 1] for row in range(1, 5)))
    return jnp.concatenate(swing.set_down(state[0:1], stride))


def _follow(walking: Walking, state: jax.Array) -> jax.Array:
    """The torque (1,) that follows the path, were it not limited, by state and path (7,)."""
    return swing.unlimited(_plant(state), state[4:5], state[5:6], state[6:7])


def _substep(walking: Walking, state: jax.Array) -> jax.Array:
    """The plant's state (4,) after a part of a period, by state and torque (5,)."""
    before = _plant(state)
    rate = walker.flow(0, before, state[4:5][None], walker.Gait(walking.numbers[0]))
    after = (before + walker.PERIOD_S / walker.SUBSTEPS * rate)[:, 0]
    return jnp.concatenate([after[:2], after[2:] / RATE])


def _nothing(walking: Walking, state: jax.Array) -> jax.Array:
    return jnp.zeros(4)


LIMIT = Limit(8, -walker.LARGEST_TORQUE_N_M, walker.LARGEST_TORQUE_N_M)
HOLD = Part(_hold, (0, 1, 2, 3, 4), (8,))
SET_DOWN = Part(_wanted, (0, 4, 5, 6, 7), (9, 10, 11)), Part(_follow, (0, 1, 2, 3, 9, 10, 11), (8,))
GLIDE = (
    *(Part(_substep, (0, 1, 2, 3, 8), (0, 1, 2, 3)) for _ in range(walker.SUBSTEPS)),
    Part(_nothing, (8,), (8, 9, 10, 11)),
)
"""Nothing is left of torque and path, lest their errors outweigh the others."""


def _past_hold(walking: Walking, state: jax.Array) -> jax.Array:
    return state[7:8] - state[0:1]


def _touches(walking: Walking, state: jax.Array) -> jax.Array:
    return -(2 * state[0:1] + state[1:2])


def _may_land(walking: Walking, state: jax.Array) -> jax.Array:
    return jnp.stack([state[0] - walker.LANDING_ANGLE_RAD, 2 * state[2] + state[3]])


def _aloft(walking: Walking, state: jax.Array) -> jax.Array:
    """No impact has happened in the very period in which the stance leg came past `hold`, which is above zero."""
    return walker.LANDING_ANGLE_RAD - state[0:1]


def _valid(walking: Walking, state: jax.Array) -> jax.Array:
    largest = jnp.array([walk.LARGEST_Q1_RAD, walk.LARGEST_Q2_RAD])
    return jnp.concatenate([state[:2] - largest, -state[:2] - largest])


def _past_hold_for_good(walking: Walking, both: jax.Array) -> jax.Array:
    """Once past it, the stance leg is past it for all of the box, or goes on."""
    return jnp.stack([both[12] - both[7], both[12] - both[0]])


def _before(walking: Walking, both: jax.Array) -> jax.Array:
    return both[:12]


def _after(walking: Walking, both: jax.Array) -> jax.Array:
    return both[12:]


def _impact(walking: Walking, state: jax.Array) -> jax.Array:
    """The plant's state (4,) just after the impact, by state and torque (5,) before the period in which it is.

    As published, the way is straight within that period. Its direction is taken and not its end, which would have to
    be told apart from its beginning.
    """
    before = _plant(state)
    slope = walker.slope(before, state[4:5][None])
    time_s = (2 * before[0] + before[1]) / -(2 * slope[0] + slope[1])
    return walker.collide(before + time_s * slope)[:, 0]


def _landed(walking: Walking, state: jax.Array) -> jax.Array:
    return state[:4]


def _end(walking: Walking, state: jax.Array) -> jax.Array:
    """Errors (3,)."""
    moved = state - walking.gait
    return jnp.stack([moved[row] / DOMAIN.state[row] for row in FREE])


HELD, DOWN = Chain((HOLD, LIMIT, *GLIDE)), Chain((*SET_DOWN, LIMIT, *GLIDE))
LAND = Chain((_before, *SET_DOWN, LIMIT, Part(_impact, (0, 1, 2, 3, 8), (0, 1, 2, 3)), _landed))
BEGIN = Chain((Layers(lambda walking: walking.weights.controller, _seen), _begin))
VALUE = Chain((Layers(lambda walking: walking.weights.lyapunov, _seen), _value))
STRIDE = ReturnMap(
    BEGIN,
    (
        Phase(HELD, _past_hold, _after, LONGEST[0], within=_valid),
        Phase(
            DOWN, _touches, LAND, LONGEST[1], armed=_may_land, begins=_aloft, within=_valid, keeps=_past_hold_for_good
        ),
    ),
    _end,
    VALUE,
    3,
)
