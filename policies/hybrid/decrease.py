"""Proves that V = |R(z) z|^2 + floor |z|^2 decreases in a box around an equilibrium, with no hole in the middle.

With V = z' M(z) z and z+ = B z, where B is a mean of the closed loop's Jacobian between 0 and z,
V(z+) - keep V(z) = z' (B' M(z+) B - keep M(z)) z. That matrix is bounded over the whole box, around its value at the
equilibrium: by how much the Jacobian changes, by how much M changes, and by how much M changes along a step. If all
matrices within these bounds are negative definite, V decreases from every state of the box but zero. The largest
{V <= c} inside the box is then never left: a certified region of attraction, with a rate.

Source: Moore, Kearfott & Cloud 2009, Introduction to Interval Analysis, sec. 7; Khalil 2002, Nonlinear Systems, 8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.certificate import Outcome
from haltere.policies.hybrid.contraction import ROUNDING
from haltere.policies.hybrid.interval import Interval, natural, surveyed

Map = Callable[[Any, jax.Array], jax.Array]
"""(parameters, (n,)) -> (n,) for a step, (n, n) for R."""


class Function(NamedTuple):
    """A closed loop and its Lyapunov function.

    Attributes:
      step: one period; zero is its equilibrium.
      root: R.
      floor: of V over |z|^2.
    """

    step: Map
    root: Map
    floor: float


class Decrease(NamedTuple):
    """What was found.

    Attributes:
      outcome: of the three.
      level: V up to which the region of attraction is certified, if it is.
      widths: (n,) half widths of the box.
      state: (n,) from which V does not decrease, if the claim is disproved.
    """

    outcome: Outcome
    level: float
    widths: np.ndarray
    state: np.ndarray | None


def value(function: Function, parameters: Any, state: jax.Array) -> jax.Array:
    """V () at a state (n,)."""
    return ((function.root(parameters, state) @ state) ** 2).sum() + function.floor * (state**2).sum()


@partial(jax.jit, static_argnums=0)
def _at_rest(function: Function, parameters: Any, zero: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the step leads from zero (n,), and R (n, n) there."""
    return function.step(parameters, zero), function.root(parameters, zero)


@partial(jax.jit, static_argnums=0)
def _bends(function: Function, parameters: Any, widths: jax.Array) -> jax.Array:
    """Largest sizes of the slopes of R (n, n, n) over the box."""
    found = natural(jax.jacfwd(partial(function.root, parameters)), Interval(-widths, widths))
    return jnp.maximum(jnp.abs(found.low), jnp.abs(found.high))


@partial(jax.jit, static_argnums=0)
def _rises(function: Function, parameters: Any, state: jax.Array, keep: float) -> jax.Array:
    """Whether it is sure that V does not decrease from a state (n,)."""

    def change(state: jax.Array) -> jax.Array:
        after = value(function, parameters, function.step(parameters, state))
        return after - keep * value(function, parameters, state)

    return natural(change, Interval(state, state + 0.0)).low >= 0


def _shape(root: np.ndarray, floor: float) -> np.ndarray:
    found: np.ndarray = root.T @ root + floor * np.eye(len(root))
    return found


def _change(root: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Largest change of R' R, entry by entry, where R changes by at most `by`."""
    found: np.ndarray = np.abs(root).T @ by + by.T @ np.abs(root) + by.T @ by
    return found


def _relative(matrix: np.ndarray, spread: np.ndarray) -> float:
    """Largest share of a positive definite matrix that a symmetric one within +- `spread` can take away."""
    sizes, vectors = np.linalg.eigh(matrix)
    if sizes.min() <= ROUNDING * sizes.max():
        return float("inf")
    root = np.abs(vectors / np.sqrt(sizes))
    return float(np.linalg.norm(root.T @ (spread + ROUNDING * np.abs(matrix)) @ root, 2))


def box_shape(function: Function, parameters: Any, states: int) -> np.ndarray:
    """Half widths (n,) of the box around {V <= c} near the equilibrium; the largest is one."""
    _, root = _at_rest(function, parameters, jnp.zeros(states))
    widths = np.sqrt(np.diag(np.linalg.inv(_shape(np.asarray(root), function.floor))))
    return np.asarray(widths / widths.max())


@partial(jax.jit, static_argnums=0)
def _slopes(
    step: Map, parameters: Any, low: jax.Array, high: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Bounds (B, n, n) of the Jacobian over boxes (B, n), by its own slopes.

    Returns also what each coordinate adds to them, (B, n, n, n), and whether the step may jump there, (B,).
    """

    def moved(state: jax.Array) -> jax.Array:
        return step(parameters, state)

    def one(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        centre = (low + high) / 2
        reach = jnp.maximum(high - centre, centre - low)
        bend, jumps = surveyed(jax.jacfwd(jax.jacfwd(moved)), Interval(low, high))
        at, _ = surveyed(jax.jacfwd(moved), Interval(centre, centre + 0.0))
        parts = jnp.maximum(jnp.abs(bend.low), jnp.abs(bend.high)) * reach * (1 + ROUNDING)
        change = parts.sum(-1)
        return at.low - change, at.high + change, parts, jumps

    bounds: tuple[jax.Array, jax.Array, jax.Array, jax.Array] = jax.vmap(one)(low, high)
    return bounds


def prove_decrease(function: Function, parameters: Any, widths: np.ndarray, keep: float) -> Decrease:
    """Proves or disproves that V falls at least by the factor `keep` with each step, from all states of a box but zero.

    Args:
      function: closed loop and V; compiled once.
      parameters: of both, arrays of float64.
      widths: (n,) half widths of the box around zero.
      keep: of V in each period, at most 1.
    Raises:
      ConfigError: zero is no equilibrium, `keep` is no share, or JAX does not use float64.
    """
    if not 0 < keep <= 1:
        raise ConfigError(f"keep is {keep:g}: expected more than 0 and at most 1")
    if jnp.zeros(()).dtype != jnp.float64:
        raise ConfigError("JAX uses float32: expected jax_enable_x64, for bounds that hold")
    zero = jnp.zeros(len(widths))
    moved, root = (np.asarray(leaf) for leaf in _at_rest(function, parameters, zero))
    if moved.any():
        raise ConfigError(f"the step leads from zero to {moved}: expected an equilibrium there")
    found = _slopes(function.step, parameters, -widths[None], widths[None])
    low, high, parts, jumps = (np.asarray(leaf)[0] for leaf in found)
    # Between 0 and z the Jacobian changes in proportion to the way, so that its mean changes by half as much.
    slope, bend = (low + high) / 2, ((high - low) / 2 - parts.sum(-1) / 2) * (1 + ROUNDING)
    shape = _shape(root, function.floor)
    change = slope.T @ shape @ slope - keep * shape
    sizes, vectors = np.linalg.eigh(change)
    if sizes[-1] >= 0:
        towards = vectors[:, -1] * np.min(widths / np.maximum(np.abs(vectors[:, -1]), 1e-12))
        for share in (1e-3, 1e-2, 0.1, 1.0):
            state = share * towards
            if bool(_rises(function, parameters, jnp.asarray(state), keep)):
                return Decrease(Outcome.DISPROVED, 0.0, widths, state)
    largest = np.abs(slope) + bend
    wide = np.maximum(widths, largest @ widths)
    steps = np.abs(slope - np.eye(len(widths))) @ widths + bend @ widths
    bends = np.asarray(_bends(function, parameters, jnp.asarray(wide)))
    off = _change(root, bends @ widths)
    along = _change(np.abs(root) + bends @ widths, bends @ steps)
    same = np.eye(len(widths))
    kept = np.einsum("ki,lj->ijkl", slope, slope) - keep * np.einsum("ki,lj->ijkl", same, same)
    spread = np.einsum("ijkl,kl->ij", np.abs(kept), off)
    cross = bend.T @ (np.abs(shape) + off) @ np.abs(slope)
    spread = spread + cross + cross.T + bend.T @ (np.abs(shape) + off) @ bend + largest.T @ along @ largest
    if jumps or not np.isfinite(spread).all() or not _relative(-change, spread) < 1 - ROUNDING:
        return Decrease(Outcome.UNDECIDED, 0.0, widths, None)
    left = 1 - _relative(shape, _change(root, bends @ wide))
    if left <= 0:
        return Decrease(Outcome.UNDECIDED, 0.0, widths, None)
    level = left * float((widths**2 / np.diag(np.linalg.inv(shape))).min())
    return Decrease(Outcome.PROVED, level * (1 - ROUNDING), widths, None)
