"""Boxes that hold a level set of V: laid along what the ways from there depend on, divided, dropped outside of it."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import enclosure
from haltere.policies.hybrid.enclosure import UNFUSED, Enclosure, joined, through
from haltere.policies.hybrid.interval import Interval
from haltere.policies.hybrid.return_map import ReturnMap, middles, of_batches, passed_through
from haltere.policies.hybrid.taylor import substitution

SIDES = 16
"""The first box is divided into about as many parts as if each side were into so many."""
STATES = 64
"""At which it is looked along which axes."""
PIECES, PARTS = 2, 4
"""Of each side of a box, for V; and of each side of these, for V's polynomial there."""


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


@partial(jax.jit, static_argnums=0)
def _slopes(returns: ReturnMap, parameters: Any, states: jax.Array) -> jax.Array:
    """Of all states between the phases, one behind the other, by the first one: (B, m, n) for states (B, n)."""

    def between(state: jax.Array) -> jax.Array:
        begun, ways = passed_through(returns, parameters, state)
        return jnp.concatenate([begun, *(way.end for way in ways)])

    slopes: jax.Array = jax.vmap(jax.jacfwd(between))(states)
    return slopes


def axes_of(returns: ReturnMap, parameters: Any, claim: Bounds, seed: int = 0) -> Axes:
    """By the slopes at random states with V <= level: an unstable way depends most on one direction of its first state.

    The axes are a choice that makes no claim true or false.
    """
    found, _ = sampled(returns, parameters, Interval(claim.low, claim.high), claim.level, STATES, seed)
    states = np.pad(found, ((0, STATES - len(found)), (0, 0)))
    slopes = np.asarray(_slopes(returns, parameters, jnp.asarray(states)))
    slopes = slopes[np.isfinite(slopes).all((1, 2))].reshape(-1, returns.states)
    if not slopes.any():
        return Axes(np.eye(returns.states), np.ones(returns.states))
    _, steep, along = np.linalg.svd(slopes, full_matrices=False)
    return Axes(along.T, steep / steep[0])


def grid(claim: Bounds, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
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


def within(
    returns: ReturnMap, parameters: Any, claim: Bounds, along: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of some boxes (B, n) along axes that may hold states of the claim, and the least V there (B,).

    Each box is looked at in pieces, for each of which V is a polynomial, and that in parts.
    """
    if not len(low):
        return low, high, np.zeros(0)
    found = of_batches(partial(_least, returns, parameters, claim, jnp.asarray(along)), low, high)
    kept = found != np.inf  # Where nothing is known of V, a box is kept.
    return low[kept], high[kept], found[kept]


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def _least(
    returns: ReturnMap, parameters: Any, claim: Bounds, along: jax.Array, low: jax.Array, high: jax.Array
) -> jax.Array:
    """A lower bound of V (B,) at the states of the claim in boxes; infinite, where there are none."""
    side = (high - low) / PIECES
    places = (np.arange(PARTS) + 0.5) * 2 / PARTS - 1
    parts = itertools.product(places, repeat=returns.states)
    changes = jnp.asarray([substitution(enclosure.ORDER, part, 1 / PARTS) for part in parts])

    def of_piece(corner: jax.Array) -> jax.Array:
        begun = enclosure.begin(low + corner * side, low + (corner + 1) * side, along)
        both = joined(begun, through(returns.value, parameters, begun))
        least: jax.Array = jax.lax.map(partial(of_part, both), changes).min(0)
        return least

    def of_part(both: Enclosure, change: jax.Array) -> jax.Array:
        box = both.part(change).box()
        place, value = (Interval(box.low[:, rows], box.high[:, rows]) for rows in (slice(returns.states), -1))
        inside = ((place.low <= claim.high) & (place.high >= claim.low)).all(1)
        return jnp.where(inside & ~(value.low > claim.level), value.low, jnp.inf)

    corners = jnp.array(list(itertools.product(range(PIECES), repeat=returns.states)))
    least: jax.Array = jax.lax.map(of_piece, corners).min(0)
    return least


def in_order(returns: ReturnMap, parameters: Any, along: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Boxes (B, n) with like numbers of steps beside each other, for a batch takes as many as its longest one."""
    if not len(low):
        return np.zeros(0, int)
    steps: np.ndarray = of_batches(partial(middles, returns, parameters), (low + high) / 2 @ along.T)[2]
    return np.lexsort(steps.T)


def sampled(
    returns: ReturnMap, parameters: Any, box: Interval, level: float, count: int, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Random states of a box with V <= level, uniform.

    Args:
      returns: with V.
      parameters: of it.
      box: (n,).
      level: of V.
      count: of states.
      seed: of the draw.
    Returns:
      The states (k, n), fewer than `count` where hardly any are there; and their share of the box.
    """
    stream, tried, found = np.random.default_rng(seed), 0, np.zeros((0, returns.states))
    while len(found) < count and tried < 400 * count:
        some = stream.uniform(box.low, box.high, (4 * count, returns.states))
        value = jax.vmap(lambda state: returns.value(parameters, state)[0])(jnp.asarray(some))
        found, tried = np.concatenate([found, some[np.asarray(value) <= level]]), tried + len(some)
    return found[:count], len(found) / tried


def volume(returns: ReturnMap, parameters: Any, level: float, samples: int = 20_000) -> float:
    """Share of the domain, the box of half width one, in which V <= level, by that many samples therein."""
    box = box_of(returns, parameters, level)
    return sampled(returns, parameters, box, level, samples)[1] * float(((box.high - box.low) / 2).prod())


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
