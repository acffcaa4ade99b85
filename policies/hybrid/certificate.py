"""Proves that a scalar claim holds everywhere in a box, by branch and bound: proved, disproved, or undecided.

A claim is: wherever all of its conditions are negative, its quantity is negative. A box is done when the quantity's
upper bound is negative, or some condition's lower bound is positive; otherwise it is divided. A state at which the
bounds say that the claim is false is returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.interval import Interval, Scalar, bound, natural

BATCH = 1024


class Outcome(Enum):
    """What became of a claim."""

    PROVED = "proved"
    DISPROVED = "disproved"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """Wherever all conditions are at most zero, the quantity is negative.

    Attributes:
      quantity: (n,) -> ().
      conditions: (n,) -> () each.
    """

    quantity: Scalar
    conditions: tuple[Scalar, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
      outcome: of the three.
      state: (n,) where the claim is false, if it was disproved.
      boxes: that were looked at.
      remaining: share of the volume that is undecided.
    """

    outcome: Outcome
    state: np.ndarray | None
    boxes: int
    remaining: float


@partial(jax.jit, static_argnums=0)
def _look(claim: Claim, low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For boxes (B, n): whether each is done, whether its middle disproves, and the coordinate to divide."""

    def one(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        box = Interval(low, high)
        quantity, share = bound(claim.quantity, box)
        bounds = [bound(condition, box) for condition in claim.conditions]
        done = quantity.high < 0
        for found, _ in bounds:
            done |= found.low > 0
        centre = (low + high) / 2
        point = Interval(centre, centre + 0.0)
        false = natural(claim.quantity, point).low >= 0
        for condition in claim.conditions:
            false &= natural(condition, point).high <= 0
        return done, false & ~done, jnp.argmax(share * (high > low))

    found: tuple[jax.Array, jax.Array, jax.Array] = jax.vmap(one)(low, high)
    return found


def prove(
    claim: Claim,
    low: np.ndarray,
    high: np.ndarray,
    most: int = 200_000,
    seconds: float = float("inf"),
    report: Callable[[int, float], None] | None = None,
) -> Verdict:
    """Proves or disproves a claim over a box.

    Args:
      claim: what is to hold.
      low: (n,) of the box.
      high: (n,).
      most: boxes to look at before giving up.
      seconds: time before giving up, counted from the end of the first batch, with which all is compiled, s.
      report: called now and then with the boxes looked at, and the share of the volume that is undecided.
    Raises:
      ConfigError: the box is not one, or JAX computes in single precision.
    """
    if jnp.zeros(()).dtype != jnp.float64:
        raise ConfigError("bounds are sound in double precision only: call within jax.enable_x64(True)")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ConfigError(f"{low} to {high} is not a box")
    whole = np.maximum(high - low, 1e-300)
    lows, highs = np.array(low, np.float64)[None], np.array(high, np.float64)[None]
    seen, begun = 0, time.monotonic()
    while len(lows) and seen < most and (seen == 0 or time.monotonic() - begun < seconds):
        count = min(len(lows), BATCH)
        some_low, some_high = lows[-count:], highs[-count:]
        lows, highs = lows[:-count], highs[:-count]
        pad = ((0, BATCH - count), (0, 0))
        looked = _look(claim, np.pad(some_low, pad, mode="edge"), np.pad(some_high, pad, mode="edge"))
        done, false, axis = (np.asarray(leaf)[:count] for leaf in looked)
        begun = begun if seen else time.monotonic()
        seen += count
        if false.any():
            at = int(false.argmax())
            return Verdict(Outcome.DISPROVED, (some_low[at] + some_high[at]) / 2, seen, 1.0)
        some_low, some_high, axis = some_low[~done], some_high[~done], axis[~done]
        rows = np.arange(len(axis))
        middle = (some_low[rows, axis] + some_high[rows, axis]) / 2
        left, right = some_high.copy(), some_low.copy()
        left[rows, axis], right[rows, axis] = middle, middle
        lows, highs = np.concatenate([lows, some_low, right]), np.concatenate([highs, left, some_high])
        if report is not None:
            report(seen, _share(lows, highs, whole))
    remaining = _share(lows, highs, whole)
    return Verdict(Outcome.UNDECIDED if len(lows) else Outcome.PROVED, None, seen, remaining)


def _share(lows: np.ndarray, highs: np.ndarray, whole: np.ndarray) -> float:
    """Of the volume; a side without width counts as whole."""
    sides = np.where(whole > 1e-300, (highs - lows) / whole, 1.0)
    return float(np.maximum(sides, 0.0).prod(1).sum())


def refuted(claim: Claim, state: jax.Array) -> bool:
    """Whether a state (n,) is sure to contradict the claim: by bounds of its quantity and conditions there."""

    @jax.jit
    def false(state: jax.Array) -> jax.Array:
        point = Interval(state, state + 0.0)
        found = natural(claim.quantity, point).low >= 0
        for condition in claim.conditions:
            found &= natural(condition, point).high <= 0
        return found

    return bool(false(state))
