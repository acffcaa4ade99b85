"""What is to be proved of the pogobot's file: around a wanted apex, V decreases with every hop.

The hop is `pogobot.apex_map` in real numbers, with steps on the ground that are as long as its accuracy allows: fewer
links, and fewer that a box may need more or less of. States are in half widths of the domain.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import controller, lyapunov, pogobot_mode, region_of_attraction
from haltere.policies.hybrid.claim_numbers import checked
from haltere.policies.hybrid.enclosure import Chain, Layers
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.phase import Phase
from haltere.policies.hybrid.return_map import ReturnMap
from haltere.policies.plants import pogobot
from haltere.policies.plants.pogobot import GRAVITY_M_S2, LEG_M

DOMAIN = pogobot_mode.DOMAIN
NUMBERS = ("speed_m_s", "height_m")
PERIOD_S = 8e-3
"""Of a step on the ground; the next apex differs from that of learning by less than a hundredth of the domain."""
LONGEST = 20
"""Steps on the ground in each of the two phases: 0.16 s."""


class Hopping(NamedTuple):
    """What a hop depends on.

    Attributes:
      weights: float64.
      numbers: (2, 1) wanted speed (m/s) and height (m) of the apex.
    """

    weights: Learned
    numbers: jax.Array


def hopping_of(weights: Learned, numbers: tuple[float, ...]) -> Hopping:
    """The closed loop with the file's controller.

    Raises:
      ConfigError: the configuration is outside of what was learned.
    """
    given = checked(NUMBERS, numbers, DOMAIN)
    return Hopping(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights), given)


def level(hopping: Hopping) -> float:
    """Of V, up to which the file says that the region of attraction reaches."""
    return float(region_of_attraction.level(hopping.weights.region, pogobot_mode, hopping.numbers)[0])


def _error(state: jax.Array) -> jax.Array:
    return (jnp.asarray(DOMAIN.state) * state)[:, None]


def _seen(hopping: Hopping, state: jax.Array) -> jax.Array:
    """What the networks see at a state (2,) in half widths."""
    return DOMAIN.inputs(_error(state), hopping.numbers)[:, 0]


def _value(hopping: Hopping, state: jax.Array) -> jax.Array:
    """V (1,) by state (2,) and output of its network."""
    return lyapunov.of_root(state[2:, None], state[:2, None])


def _fall(hopping: Hopping, state: jax.Array) -> jax.Array:
    """At touch-down, (6,): the plant's state less the foot, which is at zero; the force, and the period.

    By state (2,) and output of the controller's network.
    """
    error = _error(state[:2])
    angle, force = controller.of_output(state[2:, None], DOMAIN, state[:2, None])[:, 0]
    speed, height = (hopping.numbers + error)[:, 0]
    height = jnp.where(height > pogobot_mode.LEAST_HEIGHT_M, height, pogobot_mode.LEAST_HEIGHT_M)
    foot = LEG_M * jnp.cos(angle)
    down = -jnp.sqrt(2 * GRAVITY_M_S2 * (height - foot))
    period = jnp.full((), PERIOD_S)
    return jnp.stack([-LEG_M * jnp.sin(angle), speed, foot, down, force, period])


def _ride(hopping: Hopping, state: jax.Array) -> jax.Array:
    place = jnp.concatenate([state[:4], jnp.zeros(1)])
    after = pogobot.ride(place[:, None], state[4:5], state[5:6])[:4, 0]
    return jnp.concatenate([after, state[4:]])


def _lowest(hopping: Hopping, state: jax.Array) -> jax.Array:
    return state[3:4]


def _stretched(hopping: Hopping, state: jax.Array) -> jax.Array:
    return jnp.sqrt(state[0:1] ** 2 + state[2:3] ** 2) - LEG_M


def _until_lowest(hopping: Hopping, both: jax.Array) -> jax.Array:
    left, past = _lowest(hopping, both[:6]), _lowest(hopping, both[6:])
    return jnp.concatenate([both[:5], both[5:6] * left / (left - past)])


def _until_stretched(hopping: Hopping, both: jax.Array) -> jax.Array:
    left, past = _stretched(hopping, both[:6]), _stretched(hopping, both[6:])
    return jnp.concatenate([both[:5], both[5:6] * left / (left - past)])


def _let_loose(hopping: Hopping, both: jax.Array) -> jax.Array:
    """The lowest point, with which extension begins without force."""
    period = jnp.full(1, PERIOD_S)
    return jnp.concatenate([both[6:10], jnp.zeros_like(both[:1]), period])


def _lift_off(hopping: Hopping, both: jax.Array) -> jax.Array:
    return both[6:]


def _above_floor(hopping: Hopping, state: jax.Array) -> jax.Array:
    return -state[2:3]


def _rise(hopping: Hopping, state: jax.Array) -> jax.Array:
    """Errors of the apex, (2,)."""
    top = state[2] + state[3] ** 2 / (2 * GRAVITY_M_S2)
    return (jnp.stack([state[1], top]) - hopping.numbers[:, 0]) / jnp.asarray(DOMAIN.state)


FALL = Chain((Layers(lambda hopping: hopping.weights.controller, _seen), _fall))
VALUE = Chain((Layers(lambda hopping: hopping.weights.lyapunov, _seen), _value))
HOP = ReturnMap(
    FALL,
    (
        Phase(_ride, _lowest, _let_loose, LONGEST, within=_above_floor, shorten=_until_lowest),
        Phase(_ride, _stretched, _lift_off, LONGEST, within=_above_floor, shorten=_until_stretched),
    ),
    _rise,
    VALUE,
    2,
)
