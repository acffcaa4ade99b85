"""Proves that a mode's Lyapunov function decreases with its return map, by branch and bound: hops, or strides.

The claim, for one configuration: from every state of the box with V <= level, the next state lies in the box, and V
there is less than `keep` times what it was, or less than `hole`. Then {V <= level} is never left, and all trajectories
from it come into {V <= hole}, where they stay: the set is a certified region of attraction, of the hole.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import enclosure
from haltere.policies.hybrid.certificate import Outcome, Verdict
from haltere.policies.hybrid.enclosure import UNFUSED, Enclosure, Map, through, through_at_once
from haltere.policies.hybrid.interval import Interval
from haltere.policies.hybrid.phase import WAYS, Phase, count, passed

BATCH = 256
"""Boxes that are looked at together."""
SIDES = 20
"""Parts into which each side of the first box is divided."""
SMALLER, BELOW = 0.7, 0.95
"""Next level over one that was undecided, and over V where it was disproved."""
MARGIN = 1e-9
"""Relative, by which a claim is to fail at a state in float64, to be called false there."""


@dataclass(frozen=True)
class ReturnMap:
    """A return map, and V; all functions of (parameters, array).

    Attributes:
      begin: state (n,) -> (m,) with which the first phase begins.
      phases: one behind the other.
      end: (m,) behind the last one -> next state (n,).
      value: state (n,) -> V (1,).
      states: n.
    """

    begin: Map
    phases: tuple[Phase, ...]
    end: Map
    value: Map
    states: int


class Bounds(NamedTuple):
    """What is claimed.

    Attributes:
      low: (n,) of the box.
      high: (n,).
      keep: of V in each period, less than 1.
      hole: V below which it need not decrease.
      level: V up to which the claim is made.
      error: in each coordinate of the next state, by which the plant may differ from its map.
    """

    low: jax.Array
    high: jax.Array
    keep: float
    hole: float
    level: float
    error: float = 0.0


def follow(returns: ReturnMap, parameters: Any, state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The next state (n,); for each phase (P,) the lesser of two likely numbers of steps; whether all is as told."""
    now, lower, known = returns.begin(parameters, state), [], jnp.ones((), bool)
    for phase in returns.phases:
        passing = count(phase, parameters, now)
        now, known = passing.end, known & passing.known
        lower.append(passing.lower())
    return returns.end(parameters, now), jnp.stack(lower), known


@partial(jax.jit, static_argnums=0)
def _middles(
    returns: ReturnMap, parameters: Any, middle: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """From states (B, n): V there and after it (B,), the lesser likely numbers of steps (B, P), whether all is told."""

    def one(state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        after, lower, told = follow(returns, parameters, state)
        return returns.value(parameters, state)[0], returns.value(parameters, after)[0], lower, told

    found: tuple[jax.Array, jax.Array, jax.Array, jax.Array] = jax.vmap(one)(middle)
    return found


def _look(
    returns: ReturnMap, parameters: Any, claim: Bounds, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For boxes (B, n): whether each is done, whether its middle contradicts, and the coordinate to divide.

    Each box goes many ways, by its numbers of steps; those that none of its states takes are not followed further, and
    a box of which one way is lost is not followed at all.
    """
    count = len(low)
    value, next_value, _, told = _of_batches(partial(_middles, returns, parameters), (low + high) / 2)
    start = _of_batches(lambda low, high: enclosure.begin(low, high), low, high)
    state = _of_batches(lambda some: through_at_once(returns.begin, parameters, some), start)
    box, good, steep = np.arange(count), np.ones(count, bool), np.zeros(low.shape)
    for phase in returns.phases:
        if not len(box):
            break
        past = _of_batches(partial(passed, phase, parameters), state)
        lost = ~np.tile(past.all_of_them, WAYS) | ~(past.never | past.within)
        box = np.tile(box, WAYS)
        good[box[lost]] = False
        taken = ~past.never & np.isfinite(past.end.error).all((1, 2))
        np.maximum.at(steep, box[taken], np.nan_to_num(np.abs(past.end.spread[taken]).max(1), nan=0.0, posinf=0.0))
        follow = ~past.never & good[box]
        state = jax.tree.map(lambda leaf, follow=follow: leaf[follow], past.end)
        box = box[follow]
    if len(box):
        before = jax.tree.map(lambda leaf: leaf[box], start)
        falls, stays, change = _of_batches(partial(_compare, returns, parameters, claim), before, state)
        good[box[~(falls & stays)]] = False
        steep[box] = 0.0
        np.maximum.at(steep, box, np.nan_to_num(np.abs(change), nan=0.0, posinf=0.0))
    limit = np.maximum(claim.keep * value, claim.hole)
    false = told & (value <= claim.level * (1 - MARGIN)) & ~(next_value < limit * (1 + MARGIN))
    share = steep + 1e-3 * (high - low) * np.maximum(steep.max(1, keepdims=True), 1e-300)
    return good, false, np.argmax(share, axis=1)


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def _compare(
    returns: ReturnMap, parameters: Any, claim: Bounds, start: Enclosure, state: Enclosure
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Whether V falls (B,), and the box is not left (B,), from a first state to that behind the last phase.

    And how the change of V depends on the place in the box, (B, n).
    """
    before = through(returns.value, parameters, start)
    state = through(returns.end, parameters, state).missed(claim.error)
    after = through(returns.value, parameters, state)
    change = after.less(before, claim.keep)
    falls = (change.box().high[:, 0] < 0) | (after.box().high[:, 0] < claim.hole)
    place = state.box()
    return falls, ((place.low >= claim.low) & (place.high <= claim.high)).all(1), change.spread[:, 0]


def prove_return(
    returns: ReturnMap,
    parameters: Any,
    claim: Bounds,
    seconds: float = float("inf"),
    most: int = 200_000,
    report: Callable[[int, float], None] | None = None,
) -> Verdict:
    """Proves or disproves that V decreases with a return map.

    Args:
      returns: the map and V.
      parameters: of it, float64.
      claim: what is to hold.
      seconds: time limit, counted from the end of the first batch.
      most: boxes.
      report: told boxes looked at, and share of the box that is undecided.
    Returns:
      The verdict; a state in it is one at which the claim fails in float64.
    Raises:
      ConfigError: the claim is none, or JAX does not use float64.
    """
    if not 0 < claim.keep < 1:
        raise ConfigError(f"keep is {claim.keep:g}: expected more than 0 and less than 1")
    if not 0 < claim.hole < claim.level:
        raise ConfigError(f"hole is {claim.hole:g}: expected more than 0 and less than the level, {claim.level:g}")
    if jnp.zeros(()).dtype != jnp.float64:
        raise ConfigError("JAX uses float32: expected jax_enable_x64, for bounds that hold")
    box = (np.asarray(side, np.float64) for side in (claim.low, claim.high))
    lows, highs = _within(returns, parameters, claim.level, *_grid(*box))
    lows, highs = _in_order(returns, parameters, lows, highs)
    begun, whole = time.monotonic(), np.asarray(claim.high - claim.low)
    seen = 0
    while len(lows) and seen < most and (seen == 0 or time.monotonic() - begun < seconds):
        number = min(len(lows), BATCH)
        low, high = lows[-number:], highs[-number:]
        lows, highs = lows[:-number], highs[:-number]
        done, false, axis = _look(returns, parameters, claim, low, high)
        begun = begun if seen else time.monotonic()
        seen += number
        if (false & ~done).any():
            at = int((false & ~done).argmax())
            return Verdict(Outcome.DISPROVED, (low[at] + high[at]) / 2, seen, 1.0)
        low, high, axis = low[~done], high[~done], axis[~done]
        rows = np.arange(len(low))
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left, right = high.copy(), low.copy()
        left[rows, axis], right[rows, axis] = middle, middle
        halves = np.concatenate([low, right]), np.concatenate([left, high])
        low, high = _within(returns, parameters, claim.level, *halves)
        lows, highs = np.concatenate([lows, low]), np.concatenate([highs, high])
        if report is not None:
            report(seen, float(((highs - lows) / whole).prod(1).sum()))
    share = float(((highs - lows) / whole).prod(1).sum())
    return Verdict(Outcome.UNDECIDED if len(lows) else Outcome.PROVED, None, seen, share)


class Proved(NamedTuple):
    """The largest level set that was found to be certain.

    Attributes:
      level: of V; zero if none was.
      volume: share of the domain that lies in it, by samples.
      verdict: of the last claim.
      boxes: that were looked at in all.
    """

    level: float
    volume: float
    verdict: Verdict
    boxes: int


def largest_proved(
    returns: ReturnMap,
    parameters: Any,
    level: float,
    keep: float,
    hole: float,
    error: float = 0.0,
    seconds: float = float("inf"),
    tries: int = 3,
    report: Callable[[str], None] | None = None,
) -> Proved:
    """Looks for the largest level up to which V decreases: smaller ones are tried until one is proved.

    Args:
      returns: the map and V.
      parameters: of it, float64.
      level: of the first claim. Behind one that is undecided the next is smaller by a factor, behind one that is
        disproved it is below V of the state that contradicts.
      keep, error: as in `Bounds`.
      hole: share of the level.
      seconds: for all of them, shared evenly among those that are left.
      tries: at most.
      report: told what is being done.
    """
    begun, boxes = time.monotonic(), 0
    for index in range(tries):
        box = box_of(returns, parameters, level)

        def told(count: int, left: float, level: float = level) -> None:
            if report is not None:
                report(f"V <= {level:.3g}: {count} boxes, {100 * left:.3g} % undecided")

        left_s = max(seconds - (time.monotonic() - begun), 1.0) / (tries - index)
        verdict = prove_return(
            returns, parameters, Bounds(box.low, box.high, keep, hole * level, level, error), left_s, report=told
        )
        boxes += verdict.boxes
        if verdict.outcome is Outcome.PROVED:
            return Proved(level, volume(returns, parameters, level), verdict, boxes)
        following = SMALLER * level
        if verdict.state is not None:
            following = min(following, BELOW * float(returns.value(parameters, jnp.asarray(verdict.state))[0]))
        level = following
    return Proved(0.0, 0.0, verdict, boxes)


def volume(returns: ReturnMap, parameters: Any, level: float, samples: int = 100_000, seed: int = 0) -> float:
    """Share of the domain, the box of half width one, in which V <= level, by samples."""
    some = np.random.default_rng(seed).uniform(-1.0, 1.0, (samples, returns.states))
    inside = jax.vmap(lambda state: returns.value(parameters, state)[0])(jnp.asarray(some)) <= level
    return float(inside.mean())


def _of_batches(function: Callable[..., Any], *arguments: Any) -> Any:
    """Of a function on batches: its results on as many rows as there are, as NumPy arrays."""
    count = len(jax.tree.leaves(arguments)[0])
    found = []
    for begin in range(0, count, BATCH):
        number = min(BATCH, count - begin)

        def some(leaf: Any, begin: int = begin, number: int = number) -> jax.Array:
            rows = np.asarray(leaf[begin : begin + number])
            return jnp.asarray(np.pad(rows, ((0, BATCH - number), *((0, 0),) * (rows.ndim - 1)), mode="edge"))

        def cut(leaf: jax.Array, number: int = number) -> np.ndarray:
            """Results may be of several times as many rows, for one after the other."""
            rows = np.asarray(leaf)
            return rows.reshape(len(rows) // BATCH, BATCH, *rows.shape[1:])[:, :number]

        found.append(jax.tree.map(cut, function(*jax.tree.map(some, arguments))))
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *found)
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), whole)


def _within(
    returns: ReturnMap, parameters: Any, level: float, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Those of some boxes (B, n) that may hold states with V <= level."""
    if not len(low):
        return low, high

    def least(low: jax.Array, high: jax.Array) -> jax.Array:
        lower: jax.Array = through_at_once(returns.value, parameters, enclosure.begin(low, high)).box().low[:, 0]
        return lower

    kept = ~(_of_batches(least, low, high) > level)
    return low[kept], high[kept]


def _in_order(returns: ReturnMap, parameters: Any, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, n) with like numbers of steps beside each other, for a batch takes as many as its longest one."""
    steps = _of_batches(partial(_middles, returns, parameters), (low + high) / 2)[2]
    order = np.lexsort(steps.T)
    return low[order], high[order]


def _grid(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box (n,) divided evenly, (B, n) each."""
    edges = np.linspace(low, high, SIDES + 1)
    index = np.array(list(itertools.product(range(SIDES), repeat=len(low))))
    axis = np.arange(len(low))
    return edges[index, axis], edges[index + 1, axis]


def box_of(returns: ReturnMap, parameters: Any, level: float, seed: int = 0) -> Interval:
    """A box, not larger than the domain, around what random rays find of {V <= level}."""
    rays = np.random.default_rng(seed).normal(size=(512, returns.states))
    rays /= np.abs(rays).max(1, keepdims=True)
    reach = np.linspace(0.0, 1.0, 101)[1:]
    grid = jnp.asarray(rays[:, None] * reach[:, None])
    inside = np.asarray(jax.vmap(jax.vmap(lambda x: returns.value(parameters, x)[0]))(grid) <= level)
    widths = np.abs(np.where(inside[..., None], grid, 0.0)).max((0, 1))
    widths = np.clip(1.1 * widths, 1e-3, 1.0)
    return Interval(jnp.asarray(-widths), jnp.asarray(widths))
