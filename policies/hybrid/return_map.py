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
from haltere.policies.hybrid.phase import WAYS, Counted, Phase, count, passed

BATCH = 256
"""Boxes that are looked at together."""
SIDES = 16
"""The first box is divided into about as many parts as if each side were into so many."""
STATES = 64
"""At which it is looked along which axes."""
PIECES = 4
"""Of each side of a box, for V."""
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


class Axes(NamedTuple):
    """Along which boxes are laid, so that few of them are needed.

    Attributes:
      along: (n, n) orthogonal, the columns; coordinates y are those of the state `along` y.
      steep: (n,) how fast a way through the phases changes along each of them, the fastest first.
    """

    along: np.ndarray
    steep: np.ndarray


def _passed(returns: ReturnMap, parameters: Any, state: jax.Array) -> tuple[jax.Array, list[Counted]]:
    """The state with which the first phase begins, and how each of them went."""
    begun = returns.begin(parameters, state)
    ways: list[Counted] = []
    for phase in returns.phases:
        ways.append(count(phase, parameters, ways[-1].end if ways else begun))
    return begun, ways


def follow(returns: ReturnMap, parameters: Any, state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The next state (n,); for each phase (P,) the lesser of two likely numbers of steps; whether all is as told."""
    _, ways = _passed(returns, parameters, state)
    known = jnp.stack([way.known for way in ways]).all()
    return returns.end(parameters, ways[-1].end), jnp.stack([way.lower() for way in ways]), known


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


@partial(jax.jit, static_argnums=0)
def _slopes(returns: ReturnMap, parameters: Any, states: jax.Array) -> jax.Array:
    """Of all states between the phases, one behind the other, by the first one: (B, m, n) for states (B, n)."""

    def between(state: jax.Array) -> jax.Array:
        begun, ways = _passed(returns, parameters, state)
        return jnp.concatenate([begun, *(way.end for way in ways)])

    slopes: jax.Array = jax.vmap(jax.jacfwd(between))(states)
    return slopes


def axes_of(returns: ReturnMap, parameters: Any, claim: Bounds, seed: int = 0) -> Axes:
    """By the slopes at random states with V <= level: an unstable way depends most on one direction of its first state.

    The axes are a choice that makes no claim true or false.
    """
    stream, count = np.random.default_rng(seed), 0
    states = np.zeros((STATES, returns.states))
    for _ in range(100):
        some = stream.uniform(claim.low, claim.high, (4 * STATES, returns.states))
        value = jax.vmap(lambda state: returns.value(parameters, state)[0])(jnp.asarray(some))
        found = some[np.asarray(value) <= claim.level][: STATES - count]
        states[count : count + len(found)] = found
        count += len(found)
    slopes = np.asarray(_slopes(returns, parameters, jnp.asarray(states)))
    slopes = slopes[np.isfinite(slopes).all((1, 2))].reshape(-1, returns.states)
    if not slopes.any():
        return Axes(np.eye(returns.states), np.ones(returns.states))
    _, steep, along = np.linalg.svd(slopes, full_matrices=False)
    return Axes(along.T, steep / steep[0])


def _look(
    returns: ReturnMap,
    parameters: Any,
    claim: Bounds,
    along: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    least: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For boxes (B, n) along axes: whether each is done, whether its middle contradicts, and the axis to divide.

    V is at least `least` (B,) in them.

    Each box goes many ways, by its numbers of steps; those that none of its states takes are not followed further, and
    a box of which one way is lost is not followed at all.
    """
    count = len(low)
    middle = (low + high) / 2 @ along.T
    value, next_value, _, told = _of_batches(partial(_middles, returns, parameters), middle)
    start = _of_batches(lambda low, high: enclosure.begin(low, high, jnp.asarray(along)), low, high)
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
        np.maximum.at(steep, box[taken], np.nan_to_num(past.steep[taken], nan=0.0, posinf=0.0))
        follow = ~past.never & good[box]
        state = jax.tree.map(lambda leaf, follow=follow: leaf[follow], past.end)
        box = box[follow]
    if len(box):
        before = jax.tree.map(lambda leaf: leaf[box], start)
        falls, stays, change = _of_batches(partial(_compare, returns, parameters, claim), before, state, least[box])
        good[box[~(falls & stays)]] = False
        steep[box] = 0.0
        np.maximum.at(steep, box, np.nan_to_num(change, nan=0.0, posinf=0.0))
    limit = np.maximum(claim.keep * value, claim.hole)
    claimed = ((middle >= claim.low) & (middle <= claim.high)).all(1) & (value <= claim.level * (1 - MARGIN))
    false = told & claimed & ~(next_value < limit * (1 + MARGIN))
    share = steep + 1e-3 * (high - low) * np.maximum(steep.max(1, keepdims=True), 1e-300)
    return good, false, np.argmax(share, axis=1)


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def _compare(
    returns: ReturnMap, parameters: Any, claim: Bounds, start: Enclosure, state: Enclosure, least: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Whether V falls (B,), and the box is not left (B,), from a first state to that behind the last phase.

    And along which axes the box is to be narrower for that, (B, n). `least` is a lower bound (B,) of the first V.
    """
    before = through(returns.value, parameters, start)
    state = through(returns.end, parameters, state).missed(claim.error)
    after = through(returns.value, parameters, state)
    change, high = after.less(before, claim.keep).box().high[:, 0], after.box().high[:, 0]
    place = state.box()
    stays = ((place.low >= claim.low) & (place.high <= claim.high)).all(1)
    return (change < 0) | (high < jnp.maximum(claim.hole, claim.keep * least)), stays, after.steep()


def prove_return(
    returns: ReturnMap,
    parameters: Any,
    claim: Bounds,
    seconds: float = float("inf"),
    most: int = 10_000_000,
    report: Callable[[int, float], None] | None = None,
) -> Verdict:
    """Proves or disproves that V decreases with a return map.

    Args:
      returns: the map and V.
      parameters: of it, float64.
      claim: what is to hold.
      seconds: time limit, counted from the end of the first batch.
      most: boxes.
      report: told boxes looked at, and share of the volume with V <= level, about, that is undecided.
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
    axes = axes_of(returns, parameters, claim)
    along = axes.along
    lows, highs, leasts = _within(returns, parameters, claim, along, *_grid(claim, axes))
    order = _in_order(returns, parameters, along, lows, highs)
    lows, highs, leasts = lows[order], highs[order], leasts[order]
    begun, whole = time.monotonic(), float((highs - lows).prod(1).sum())
    seen = 0
    while len(lows) and seen < most and (seen == 0 or time.monotonic() - begun < seconds):
        number = min(len(lows), BATCH)
        low, high, least = lows[-number:], highs[-number:], leasts[-number:]
        lows, highs, leasts = lows[:-number], highs[:-number], leasts[:-number]
        done, false, axis = _look(returns, parameters, claim, along, low, high, least)
        begun = begun if seen else time.monotonic()
        seen += number
        if (false & ~done).any():
            at = int((false & ~done).argmax())
            return Verdict(Outcome.DISPROVED, along @ (low[at] + high[at]) / 2, seen, 1.0)
        low, high, axis = low[~done], high[~done], axis[~done]
        rows = np.arange(len(low))
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left, right = high.copy(), low.copy()
        left[rows, axis], right[rows, axis] = middle, middle
        halves = np.concatenate([low, right]), np.concatenate([left, high])
        low, high, least = _within(returns, parameters, claim, along, *halves)
        lows, highs = np.concatenate([lows, low]), np.concatenate([highs, high])
        leasts = np.concatenate([leasts, least])
        if report is not None:
            report(seen, float((highs - lows).prod(1).sum()) / whole)
    share = float((highs - lows).prod(1).sum()) / max(whole, 1e-300)
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
    returns: ReturnMap, parameters: Any, claim: Bounds, along: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of some boxes (B, n) along axes that may hold states of the claim, and the least V there (B,).

    Parts of each box are looked at: V is told less closely than a way is, and far more quickly.
    """
    if not len(low):
        return low, high, np.zeros(0)
    found = _of_batches(partial(_least, returns, parameters, claim, jnp.asarray(along)), low, high)
    kept = found != np.inf  # Where nothing is known of V, a box is kept.
    return low[kept], high[kept], found[kept]


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def _least(
    returns: ReturnMap, parameters: Any, claim: Bounds, along: jax.Array, low: jax.Array, high: jax.Array
) -> jax.Array:
    """A lower bound of V (B,) at the states of the claim in boxes; infinite, where there are none."""
    side = (high - low) / PIECES

    def of_piece(corner: jax.Array) -> jax.Array:
        begun = enclosure.begin(low + corner * side, low + (corner + 1) * side, along)
        place, value = begun.box(), through(returns.value, parameters, begun).box().low[:, 0]
        inside = ((place.low <= claim.high) & (place.high >= claim.low)).all(1)
        return jnp.where(inside & ~(value > claim.level), value, jnp.inf)

    corners = jnp.array(list(itertools.product(range(PIECES), repeat=returns.states)))
    least: jax.Array = jax.lax.map(of_piece, corners).min(0)
    return least


def _in_order(returns: ReturnMap, parameters: Any, along: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Boxes (B, n) with like numbers of steps beside each other, for a batch takes as many as its longest one."""
    if not len(low):
        return np.zeros(0, int)
    steps: np.ndarray = _of_batches(partial(_middles, returns, parameters), (low + high) / 2 @ along.T)[2]
    return np.lexsort(steps.T)


def _grid(claim: Bounds, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """The box of a claim in parts, (B, n) each, that are shorter along steeper axes."""
    corner = np.maximum(np.abs(claim.low), np.abs(claim.high))
    reach = (1 + 1e-9) * np.abs(axes.along.T) @ corner
    need = np.maximum(axes.steep * reach, 1e-9)
    # As the parts of the least steep axes are rounded up to one, those of the others become fewer.
    parts = np.ones(len(reach), int)
    for axis in reversed(range(len(reach))):
        left = SIDES ** len(reach) / parts[axis + 1 :].prod()
        parts[axis] = max(1, round(need[axis] * (left / need[: axis + 1].prod()) ** (1 / (axis + 1))))
    edges = [np.linspace(-most, most, count + 1) for most, count in zip(reach, parts, strict=True)]
    index = np.array(list(itertools.product(*map(range, parts))))
    low, high = (np.stack([edge[index[:, k] + end] for k, edge in enumerate(edges)], axis=1) for end in range(2))
    return low, high


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
