"""Gaits of the compass walker: tabulated starts, and periodic gaits found by walking.

Source: the published code of Meng & Fan 2023 (`nn_roa_planner`): the same table, and the same search.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import clf_qp
from haltere.policies.plants.walker import Gait, tick

POST_IMPACT = np.array(
    [
        [0.1954769, -0.39095381, -0.75098276, 0.84715623],
        [0.18701912, -0.37403822, -0.75194013, 0.73399985],
        [0.17828843, -0.35657686, -0.73985833, 0.61868256],
        [0.16904408, -0.33808815, -0.73270839, 0.53684717],
        [0.15945166, -0.31890333, -0.72131479, 0.46414152],
        [0.14933339, -0.29866678, -0.70566869, 0.40447736],
        [0.14032325, -0.2806465, -0.68168187, 0.35481673],
        [0.13121651, -0.26243302, -0.66095102, 0.30043977],
        [0.12171151, -0.24342301, -0.63801199, 0.24864183],
        [0.11198891, -0.2239778, -0.61313689, 0.19832826],
        [0.1021308, -0.2042616, -0.58539337, 0.15049179],
        [0.09220324, -0.18440647, -0.55220789, 0.10623652],
        [0.08216057, -0.16432115, -0.51310581, 0.06603827],
        [0.07203654, -0.14407308, -0.46698153, 0.03131433],
        [0.06186418, -0.12372836, -0.41152471, 0.00328764],
        [0.05160491, -0.10320982, -0.34765154, -0.01696834],
        [0.04122806, -0.08245611, -0.27609453, -0.02837917],
    ],
    np.float32,
)
"""(17, 4) states just after the impact, from long strides to short ones; the published tasks start around them."""

ANGLES_RAD = np.linspace(0.04, 0.18, 29)
GUESS_Q1_DOT = (978.807593, -551.510121, 127.49847, -15.9978385, 0.19423559)
GUESS_Q2_DOT = (2771.77316, -1232.66758, 212.218175, -11.9956292, 0.186437853)
"""Polynomials in the angle, highest power first: rates just after the impact, rad/s."""

_Carry = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


class Table(NamedTuple):
    """Periodic gaits, one for each of G angles.

    Attributes:
      angle: (G,) rad.
      state: (4, G) just after the impact.
      discrepancy: (G,) distance to the state after the next impact; infinite where no walker made two steps.
    """

    angle: np.ndarray
    state: np.ndarray
    discrepancy: np.ndarray


def guess(angle: np.ndarray) -> np.ndarray:
    """Published guess of the state just after the impact: (G,) rad -> (4, G)."""
    return np.stack([angle, -2 * angle, np.polyval(GUESS_Q1_DOT, angle), np.polyval(GUESS_Q2_DOT, angle)])


def search(angle: np.ndarray = ANGLES_RAD, trials: int = 100, ticks: int = 200, seed: int = 1007) -> Table:
    """Finds periodic gaits: of `trials` walks each, the last stride of that which repeats itself best.

    The rates of the guess are perturbed by up to 0.5 and 1 rad/s.
    """
    stream = np.random.RandomState(seed)
    push = np.stack([stream.uniform(-0.5, 0.5, trials), stream.uniform(-1.0, 1.0, trials)])
    start = np.repeat(guess(angle)[:, :, None], trials, axis=2)
    start[2:] += push[:, None]
    gait = Gait(jnp.asarray(np.repeat(angle, trials), jnp.float32))
    last, before, impacts = _walk(jnp.asarray(start.reshape(4, -1), jnp.float32), gait, ticks)
    shape = (len(angle), trials)
    error = np.sqrt(((np.asarray(last) - np.asarray(before)) ** 2).sum(0)).reshape(shape)
    error = np.where((np.asarray(impacts).reshape(shape) >= 2) & np.isfinite(error), error, np.inf)
    best = error.argmin(1)
    state = np.asarray(before).reshape(4, *shape)[:, np.arange(len(angle)), best]
    return Table(angle, state, error.min(1))


def _walk(state: jax.Array, gait: Gait, ticks: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The last two states just after an impact, (4, V) each, and how many there were (V,)."""

    def one(carry: _Carry, _: None) -> tuple[_Carry, None]:
        state, last, before, count = carry
        state, impact = tick(state, clf_qp.law(state, gait))
        before = jnp.where(impact, last, before)
        return (state, jnp.where(impact, state, last), before, count + impact), None

    begin = (state, state, state, jnp.zeros(state.shape[-1], jnp.int32))
    (_, last, before, count), _ = jax.lax.scan(one, begin, None, length=ticks)
    return last, before, count
