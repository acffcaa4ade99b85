"""Proves contraction in a ball of many dimensions, by bounds of the step's second derivative.

`contraction` covers a ball by boxes, which is for few states. Here the ball |T (x - c)| <= r is taken whole. In it the
Jacobian in the frame is L + sum_k z_k H_k, |z| <= r: L at the centre, and H_k the second derivative along the frame's
k-th direction, which is known up to its own change over the ball. With M the inverse root of rho^2 - L' L, the step
contracts by rho if |M (L' E + E' L + E' E) M| < 1 for E the sum; the norms of a tensor's unfoldings bound that of all
sums at once, so that nothing is lost to signs; only the change of H is bounded entry by entry.

The step is piecewise smooth: each case of its parameters is a piece, and guards, positive in the ball, say that no
other piece is met. If every case contracts in the same frame, so does the step, in whatever order the pieces come:
between any two states, the mean Jacobian is one of the convex hull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.contraction import ROUNDING, Ball, Step, check_factor
from haltere.policies.hybrid.interval import Interval, surveyed

SLACK = 1e-6
"""Of the bound, for what is computed in float64 without intervals."""


class Piece(NamedTuple):
    """A smooth piece of a closed loop: (parameters, (n,)) -> (n,) for one period, and -> (m,) for the guards."""

    step: Step
    guards: Step


@dataclass(frozen=True)
class Local:
    """A case near the centre.

    Attributes:
      slope: (n, n) Jacobian at the centre.
      slope_error: (n, n) bound of its error.
      bend: (n, n, n) middle of the second derivative over the box.
      bend_error: (n, n, n) bound of its change.
      smooth: no choice is left open in the box.
    """

    slope: np.ndarray
    slope_error: np.ndarray
    bend: np.ndarray
    bend_error: np.ndarray
    smooth: bool


def _halves(bounds: Interval) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.asarray(side) for side in bounds)
    return (low + high) / 2, (high - low) / 2 * (1 + ROUNDING)


def _around(centre: np.ndarray, widths: np.ndarray) -> Interval:
    return Interval(jnp.asarray(centre - widths), jnp.asarray(centre + widths))


def local(piece: Piece, case: Any, centre: np.ndarray, widths: np.ndarray) -> Local:
    """Bounds a case's derivatives over the box of half widths (n,); not compiled, as that takes longer."""

    def step(state: jax.Array) -> jax.Array:
        return piece.step(case, state)

    at, _ = surveyed(jax.jacfwd(step), _around(centre, 0 * widths))
    over, jumps = surveyed(jax.jacfwd(jax.jacfwd(step)), _around(centre, widths))
    return Local(*_halves(at), *_halves(over), not bool(jumps))


class Guarded(NamedTuple):
    """Guards near the centre: their least values there (m,), slopes (m, n) and the slopes' change over the box."""

    value: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray


def guarded(piece: Piece, case: Any, centre: np.ndarray, widths: np.ndarray) -> Guarded:
    """Bounds the guards over the box of half widths (n,)."""

    def guards(state: jax.Array) -> jax.Array:
        return piece.guards(case, state)

    at, _ = surveyed(guards, _around(centre, 0 * widths))
    over, _ = surveyed(jax.jacfwd(guards), _around(centre, widths))
    return Guarded(np.asarray(at.low), *_halves(over))


def _norm(tensor: np.ndarray) -> float:
    """Bound of |sum_k z_k X_k|, |z| <= 1, of a tensor (n, n, n): the least norm of its unfoldings."""
    last = tensor.reshape(-1, tensor.shape[2])
    first = tensor.reshape(tensor.shape[0], -1)
    grams = (last.T @ last, first @ first.T)
    return float(min(np.linalg.eigvalsh(gram)[-1] for gram in grams) ** 0.5) * (1 + ROUNDING)


class Bound(NamedTuple):
    """What a case does in a frame, as needed for a factor.

    Attributes:
      linear: bound of |M (L' H + H' L) M| over the sums of H.
      square: bound of |H M|.
      before: (n, n) sizes of M L' T, entry by entry.
      behind: (n, n) sizes of T^-1 M.
      frame: (n, n) sizes of T.
    """

    linear: float
    square: float
    before: np.ndarray
    behind: np.ndarray
    frame: np.ndarray

    def of(self, radius: float, rest: np.ndarray) -> float:
        """|M (L' E + E' L + E' E) M| at most, in a ball, where `rest` (n, n) bounds what the tensor leaves out."""
        cross = self.before @ rest @ self.behind
        more = float(np.linalg.norm(cross + cross.T, 2))
        side = float(np.linalg.norm(self.frame @ rest @ self.behind, 2))
        return radius * self.linear + more + (radius * self.square + side) ** 2


def bound_of(case: Local, frame: np.ndarray, factor: float) -> Bound | None:
    """The bound of a case, or None if it does not contract at the centre."""
    inverse = np.linalg.inv(frame)
    slope = frame @ case.slope @ inverse
    sizes, vectors = np.linalg.eigh(factor**2 * np.eye(len(frame)) - slope.T @ slope)
    if not sizes[0] > ROUNDING:
        return None
    root = vectors / np.sqrt(sizes) @ vectors.T
    bend = np.einsum("ai,ijk,jb,kc->abc", frame, case.bend, inverse, inverse, optimize=True)
    both = np.einsum("ab,bck,cd->adk", root @ slope.T, bend, root, optimize=True)
    square = np.einsum("abk,bc->ack", bend, root, optimize=True)
    sizes_of = np.abs(root @ slope.T @ frame), np.abs(inverse @ root), np.abs(frame)
    return Bound(_norm(both + both.transpose(1, 0, 2)), _norm(square), *sizes_of)


def load(case: Local, ball: Ball, factor: float) -> float:
    """How much of the margin of contraction is used up in the ball; below one, the case contracts by `factor`."""
    found = bound_of(case, ball.frame, factor)
    if found is None:
        return float("inf")
    return found.of(ball.radius, case.slope_error + case.bend_error @ ball.half_widths())


def reach(found: Guarded, ball: Ball) -> float:
    """Radius up to which all guards stay positive, their slopes as over the ball's box."""
    far = np.linalg.norm(found.slope @ np.linalg.inv(ball.frame), axis=1) * (1 + ROUNDING)
    left = found.value - found.slope_error @ ball.half_widths()
    return float((left / far).min())


def _shift(piece: Piece, case: Any, centre: np.ndarray) -> np.ndarray:
    """How far a step moves the centre, (n,) at most."""
    moved, _ = surveyed(lambda state: piece.step(case, state) - state, _around(centre, 0 * centre))
    far: np.ndarray = np.abs(np.stack([np.asarray(side) for side in moved])).max(0)
    return far


def rest(found: Local, shift: np.ndarray, ball: Ball) -> float:
    """Radius around the centre, in the frame, in which there is an equilibrium; infinite if that is not proved.

    With A the Jacobian at the centre, x + (I - A)^-1 (f(x) - x) contracts nearby by a half, and leads from the centre
    nowhere farther than half the radius: it has a fixed point there (Krawczyk), which is the loop's.
    """
    solve = np.abs(ball.frame @ np.linalg.inv(np.eye(len(found.slope)) - found.slope))
    radius = 2 * float(np.linalg.norm(solve @ shift)) * (1 + SLACK)
    small = ball._replace(radius=radius)
    change = found.slope_error + (np.abs(found.bend) + found.bend_error) @ small.half_widths()
    grows = float(np.linalg.norm(solve @ change @ np.abs(np.linalg.inv(ball.frame)), 2)) * (1 + SLACK)
    return radius if radius < ball.radius and grows <= 0.5 else float("inf")


def contracts(piece: Piece, cases: Sequence[Any], ball: Ball, factor: float) -> float:
    """Proves that there is an equilibrium, and that all cases contract by `factor` in a ball around it.

    Args:
      piece: of the closed loop.
      cases: its parameters, each of them.
      ball: all is proved within it; its centre is near the equilibrium.
      factor: of each period.
    Returns:
      The radius of the ball around the equilibrium; zero if nothing is proved.
    Raises:
      ConfigError: the factor is not between 0 and 1, or JAX does not use float64.
    """
    check_factor(factor)
    widths, left = ball.half_widths() * (1 + ROUNDING), ball.radius
    for case in cases:
        if not reach(guarded(piece, case, ball.centre, widths), ball) > ball.radius:
            return 0.0
        found = local(piece, case, ball.centre, widths)
        if not (found.smooth and load(found, ball, factor) < 1 - SLACK):
            return 0.0
        left = min(left, ball.radius - rest(found, _shift(piece, case, ball.centre), ball))
    return max(left, 0.0)
