"""Proves that a mode's Lyapunov function decreases with its return map, by branch and bound: hops, or strides.

The claim, for one configuration: from every state of the box with V <= level, the next state lies in the box, and V
there is less than `keep` times what it was, or less than `hole`. Then {V <= level} is never left, and all trajectories
from it come into {V <= hole}, where they stay: the set is a certified region of attraction, of the hole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import enclosure
from haltere.policies.hybrid.certificate import Outcome, Verdict
from haltere.policies.hybrid.enclosure import UNFUSED, Enclosure, through, through_at_once
from haltere.policies.hybrid.kept_proof import Kept, Open
from haltere.policies.hybrid.level_boxes import Bounds, axes_of, box_of, grid, in_order, volume, within
from haltere.policies.hybrid.phase import WAYS, passed
from haltere.policies.hybrid.return_map import BATCH, ReturnMap, middles, of_batches

SMALLER, BELOW = 0.7, 0.95
"""Next level over one that was undecided, and over V where it was disproved."""
MARGIN = 1e-9
"""Relative, by which a claim is to fail at a state in float64, to be called false there."""


def _begun(returns: ReturnMap, parameters: Any, claim: Bounds) -> Open:
    """All boxes, laid and put in order."""
    axes = axes_of(returns, parameters, claim)
    low, high, least = within(returns, parameters, claim, axes.along, *grid(claim, axes))
    order = in_order(returns, parameters, axes.along, low, high)
    return Open(axes.along, low[order], high[order], least[order], np.asarray((high - low).prod(1).sum()))


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
    value, next_value, _, told = of_batches(partial(middles, returns, parameters), middle)
    start = of_batches(lambda low, high: enclosure.begin(low, high, jnp.asarray(along)), low, high)
    state = of_batches(lambda some: through_at_once(returns.begin, parameters, some), start)
    box, good, steep = np.arange(count), np.ones(count, bool), np.zeros(low.shape)
    for phase in returns.phases:
        if not len(box):
            break
        past = of_batches(partial(passed, phase, parameters), state)
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
        falls, stays, change = of_batches(partial(_compare, returns, parameters, claim), before, state, least[box])
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
    folder: Path | None = None,
) -> Verdict:
    """Proves or disproves that V decreases with a return map.

    Args:
      returns: the map and V.
      parameters: of it, float64.
      claim: what is to hold.
      seconds: time limit, counted from the end of the first batch.
      most: boxes.
      report: told boxes looked at, and share of the volume with V <= level, about, that is undecided.
      folder: in which what is left is kept, once a minute and at the end; a proof of the same claim goes on from there.
    Returns:
      The verdict; a state in it is one at which the claim fails in float64. Its boxes are all that were looked at.
    Raises:
      ConfigError: the claim is none, JAX does not use float64, or nothing can be kept in the folder.
    """
    if not 0 < claim.keep < 1:
        raise ConfigError(f"keep is {claim.keep:g}: expected more than 0 and less than 1")
    if not 0 < claim.hole < claim.level:
        raise ConfigError(f"hole is {claim.hole:g}: expected more than 0 and less than the level, {claim.level:g}")
    if jnp.zeros(()).dtype != jnp.float64:
        raise ConfigError("JAX uses float32: expected jax_enable_x64, for bounds that hold")
    kept = Kept(folder, returns, parameters, claim)
    found = kept.read()
    left, seen = (_begun(returns, parameters, claim), 0) if found is None else found
    along, lows, highs, leasts, whole = left
    begun, fresh = time.monotonic(), True
    while len(lows) and seen < most and (fresh or time.monotonic() - begun < seconds):
        number = min(len(lows), BATCH)
        low, high, least = lows[-number:], highs[-number:], leasts[-number:]
        lows, highs, leasts = lows[:-number], highs[:-number], leasts[:-number]
        done, false, axis = _look(returns, parameters, claim, along, low, high, least)
        begun, fresh = time.monotonic() if fresh else begun, False
        seen += number
        if (false & ~done).any():
            at = int((false & ~done).argmax())
            return Verdict(Outcome.DISPROVED, along @ (low[at] + high[at]) / 2, seen, 1.0)
        low, high, axis = low[~done], high[~done], axis[~done]
        rows = np.arange(len(low))
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left_half, right_half = high.copy(), low.copy()
        left_half[rows, axis], right_half[rows, axis] = middle, middle
        halves = np.concatenate([low, right_half]), np.concatenate([left_half, high])
        low, high, least = within(returns, parameters, claim, along, *halves)
        lows, highs = np.concatenate([lows, low]), np.concatenate([highs, high])
        leasts = np.concatenate([leasts, least])
        kept.write(Open(along, lows, highs, leasts, whole), seen)
        if report is not None:
            report(seen, float((highs - lows).prod(1).sum() / whole))
    kept.write(Open(along, lows, highs, leasts, whole), seen, at_once=True)
    share = float((highs - lows).prod(1).sum() / max(whole, 1e-300))
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
    folder: Path | None = None,
) -> Proved:
    """Looks for the largest level up to which V decreases: smaller ones are tried until one is proved.

    Args:
      returns: the map and V.
      parameters: of it, float64.
      level: of the first claim. Behind one that is undecided the next is smaller by a factor, behind one that is
        disproved it is below V of the state that contradicts.
      keep, error: as in `Bounds`.
      hole: share of the level.
      seconds: for all of them; each but the last may take half of what is left.
      tries: at most.
      report: told what is being done.
      folder: as in `prove_return`.
    """
    begun, boxes = time.monotonic(), 0
    for index in range(tries):
        box = box_of(returns, parameters, level)

        def told(count: int, left: float, level: float = level) -> None:
            if report is not None:
                report(f"V <= {level:.3g}: {count} boxes, {100 * left:.3g} % undecided")

        left_s = max(seconds - (time.monotonic() - begun), 1.0) / min(tries - index, 2)
        claim = Bounds(box.low, box.high, keep, hole * level, level, error)
        verdict = prove_return(returns, parameters, claim, left_s, report=told, folder=folder)
        boxes += verdict.boxes
        if verdict.outcome is Outcome.PROVED:
            return Proved(level, volume(returns, parameters, level), verdict, boxes)
        following = SMALLER * level
        if verdict.state is not None:
            following = min(following, BELOW * float(returns.value(parameters, jnp.asarray(verdict.state))[0]))
        level = following
    return Proved(0.0, 0.0, verdict, boxes)
