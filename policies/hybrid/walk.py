"""Lets walkers walk towards another gait, all at once, and says how well.

Tasks, measures and random stream are those of the published benchmark (Meng & Fan 2023, fig. 8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.plants.walker import Gait, tick

TICKS = 200
STRIDES = 10
REACHED_RAD = 0.01
LARGEST_Q1_RAD = 0.5
LARGEST_Q2_RAD = 1.0
SPREAD = (0.01, 0.02, 0.1, 0.2)
"""Half widths of the box around a gait from which the starts are drawn."""
TARGET = (0.13051651, -0.26103302, -0.66095102, 0.30043977)
"""Post-impact state of the gait to reach in the first task."""
SEED = 1007

Law = Callable[[jax.Array, Any], jax.Array]
"""(state (4, V), what was planned for the stride) -> torque (1, V)."""
Plan = Callable[[jax.Array, Gait], Any]
"""(state (4, V) at the beginning of a stride, target) -> plan of this stride: a gait, or whatever the law takes."""

_Carry = tuple[jax.Array, jax.Array, jax.Array]
_Step = tuple[jax.Array, jax.Array, Any]


class Task(NamedTuple):
    """V walks.

    Attributes:
      start: (4, V).
      target: (4, V) post-impact state of the gait to reach.
    """

    start: np.ndarray
    target: np.ndarray


class Walk(NamedTuple):
    """What happened.

    Attributes:
      ends: (S + 1, 4, V) the start, and the state at the end of each stride.
      walked: (S + 1, V) bool; false for strides after the target was reached, or after a fall.
      valid: (V,) bool; never |q1| > 0.5 rad or |q2| > 1 rad.
      plans: leaves (S, ..., V), what was planned for each stride; of no meaning where none was walked.
    """

    ends: jax.Array
    walked: jax.Array
    valid: jax.Array
    plans: Any


class Score(NamedTuple):
    """One number per walk.

    Attributes:
      reached: (V,) bool; q1 within 0.01 rad of the target's when the walk ended.
      valid: (V,) bool, as in `Walk`.
      rmse: (V,) mean distance of the strides' ends from the target's post-impact state, units mixed, as published.
    """

    reached: np.ndarray
    valid: np.ndarray
    rmse: np.ndarray


def same_gait(samples: int = 20, seed: int = SEED) -> Task:
    """The first published task: from seven gaits to that of 0.1305 rad."""
    stream = np.random.RandomState(seed)
    starts = [_around(POST_IMPACT[row], samples, stream) for row in range(1, 8)]
    start = np.concatenate(starts, axis=1)
    return Task(start, np.tile(np.array(TARGET, np.float32)[:, None], start.shape[1]))


def many_gaits(samples: int = 10, seed: int = SEED) -> Task:
    """The second published task: 80 pairs of gaits that are far from each other."""
    stream = np.random.RandomState(seed)
    rows = [(1 + i, 1 + j) for i in range(11) for j in range(14) if (i < 7) == (j > 5)]
    start = np.concatenate([_around(POST_IMPACT[source], samples, stream) for source, _ in rows], axis=1)
    return Task(start, np.repeat(POST_IMPACT[[target for _, target in rows]].T, samples, axis=1))


def _around(state: np.ndarray, samples: int, stream: np.random.RandomState) -> np.ndarray:
    """Starts (4, samples) in a box around a post-impact state (4,); the stance leg leans back."""
    start = (state + np.array(SPREAD) * (2 * stream.rand(samples, 4) - 1)).T
    return np.asarray(np.maximum(start, np.array([0.01, -np.inf, -np.inf, -np.inf])[:, None]), np.float32)


def stride(law: Law, plan: Any, state: jax.Array, ticks: int = TICKS) -> tuple[jax.Array, jax.Array]:
    """Walks to the state just after the next impact, or for `ticks` periods.

    Returns:
      The state (4, V), and whether no angle left its range on the way (V,).
    """

    def going(carry: tuple[jax.Array, _Carry]) -> jax.Array:
        return (carry[0] < ticks) & ~carry[1][1].all()

    def one(carry: tuple[jax.Array, _Carry]) -> tuple[jax.Array, _Carry]:
        count, (state, landed, valid) = carry
        after, impact = tick(state, law(state, plan))
        inside = (jnp.abs(after[0]) <= LARGEST_Q1_RAD) & (jnp.abs(after[1]) <= LARGEST_Q2_RAD)
        return count + 1, (jnp.where(landed, state, after), landed | impact, valid & (landed | inside))

    no = jnp.zeros(state.shape[-1], bool)
    _, (state, _, valid) = jax.lax.while_loop(going, one, (jnp.zeros((), jnp.int32), (state, no, ~no)))
    return state, valid


def walk(law: Law, start: jax.Array, target: Gait, plan: Plan | None = None, strides: int = STRIDES) -> Walk:
    """Walks until the target is reached, a walker has fallen, or `strides` are done.

    Args:
      law: torque controller.
      start: (4, V).
      target: gait to reach.
      plan: made before each stride; without it, the target itself.
      strides: at most.
    """

    choose = plan or (lambda state, target: target)

    def go(carry: _Carry) -> tuple[_Carry, _Step]:
        state, done, valid = carry
        planned = choose(state, target)
        after, inside = stride(law, planned, state)
        after, inside = jnp.where(done, state, after), valid & (done | inside)
        reached = jnp.abs(after[0] - target.angle) < REACHED_RAD
        return (after, done | ~inside | reached, inside), (after, ~done, planned)

    def rest(carry: _Carry) -> tuple[_Carry, _Step]:
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(choose, start, target))
        return carry, (carry[0], ~carry[1], nothing)

    def one(carry: _Carry, _: None) -> tuple[_Carry, _Step]:
        found: tuple[_Carry, _Step] = jax.lax.cond(carry[1].all(), rest, go, carry)
        return found

    no = jnp.zeros(start.shape[-1], bool)
    (_, _, valid), (ends, walked, plans) = jax.lax.scan(one, (start, no, ~no), None, length=strides)
    return Walk(jnp.concatenate([start[None], ends]), jnp.concatenate([~no[None], walked]), valid, plans)


def score(walked: Walk, task: Task) -> Score:
    """Measures.

    For the error, a leg that is outside the upright quadrant is put on its edge, and strides after that do not count.
    """
    ends = np.asarray(walked.ends, np.float64)
    low = np.array([0.0, -np.pi / 2, -np.inf, -np.inf])[:, None]
    high = np.array([np.pi / 4, 0.0, np.inf, np.inf])[:, None]
    kept = np.clip(ends, low, high)
    outside = (kept != ends).any(1)
    counted = np.asarray(walked.walked) & (np.cumsum(outside, axis=0) - outside == 0)
    distance = np.sqrt(((kept - task.target) ** 2).sum(1))
    rmse = np.where(counted, distance, 0.0).sum(0) / counted.sum(0)
    reached = np.abs(ends[-1, 0] - task.target[0]) < REACHED_RAD
    return Score(np.asarray(reached), np.asarray(walked.valid), rmse)
