"""Proves that a sampled closed loop contracts around its equilibrium, by Taylor models of its Jacobian.

In a ball |T (x - c)| <= r, any two states come nearer to each other in every period, by a factor of at most rho, if
|T J T^-1| <= rho for every Jacobian J that occurs there; and if c itself moves by at most (1 - rho) r, the ball is
mapped into itself. Then there is one fixed point in it, and all trajectories from the ball go there exponentially
(Banach): the ball is a certified region of attraction, and |T (x - x*)| a Lyapunov function in it.

The ball is covered by boxes. On each, J is a Taylor model, and I rho^2 - (T J T^-1)' (T J T^-1) is positive definite
for all of these if it is for the middle, by more than what the other terms can change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.certificate import Outcome, Verdict
from haltere.policies.hybrid.enclosure import UNFUSED
from haltere.policies.hybrid.interval import Interval, surveyed
from haltere.policies.hybrid.taylor import Algebra, Model, monomials

BATCH = 128
ROUNDING = 1e-9
"""Relative slack for what is computed in float64 without intervals: products of small matrices, eigenvalues."""
SLACK = 1e-6
"""Of the margin, for the same."""
HUGE = 1e100
"""Where slopes may be that large, nothing is known."""
ORDER = 2
"""Degree of the Jacobian's polynomials."""
Step = Callable[[Any, jax.Array], jax.Array]
"""One period of the closed loop: (parameters, (n,)) -> (n,)."""


class Ball(NamedTuple):
    """{|T (x - c)| <= radius}.

    Attributes:
      centre: (n,) c.
      frame: (n, n) T.
      radius: in the frame.
    """

    centre: np.ndarray
    frame: np.ndarray
    radius: float

    def half_widths(self) -> np.ndarray:
        """Of the smallest box around it, (n,)."""
        widths: np.ndarray = self.radius * np.linalg.norm(np.linalg.inv(self.frame), axis=1)
        return widths

    def log_volume(self) -> float:
        """Logarithm of its volume over that of a unit ball."""
        return float(len(self.centre) * np.log(self.radius) - np.linalg.slogdet(self.frame)[1])


def frame_of(slope: np.ndarray) -> np.ndarray:
    """T (n, n) in which a Jacobian (n, n) is block-diagonal: columns of its inverse are eigenvectors of length one.

    Raises:
      ConfigError: the Jacobian has an eigenvalue outside of the unit circle: nothing contracts.
    """
    values, vectors = np.linalg.eig(slope)
    if np.abs(values).max() >= 1:
        raise ConfigError(f"the largest eigenvalue is {np.abs(values).max():.4g}: expected less than 1, to contract")
    columns: list[np.ndarray] = []
    for value, vector in zip(values, vectors.T, strict=True):
        if abs(value.imag) < 1e-12:
            columns.append(vector.real / np.linalg.norm(vector.real))
        elif value.imag > 0:
            columns += [vector.real, vector.imag]
    frame: np.ndarray = np.linalg.inv(np.array(columns).T)
    return frame


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def jacobians(step: Step, parameters: Any, low: jax.Array, high: jax.Array) -> tuple[Model, jax.Array]:
    """The Jacobian in boxes (B, n) as Taylor models (B, n, n), and whether the step may jump there, (B,)."""
    places = low.shape[1]
    lacking = len(monomials(places, ORDER)) - places - 1

    def slope(parameters: Any, state: jax.Array) -> jax.Array:
        found: jax.Array = jax.jacfwd(partial(step, parameters))(state)
        return found

    def one(low: jax.Array, high: jax.Array) -> tuple[Model, jax.Array]:
        centre = (low + high) / 2
        reach = jnp.maximum(high - centre, centre - low) * (1 + ROUNDING)
        terms = jnp.pad(jnp.concatenate([centre[:, None], jnp.diag(reach)], axis=1), ((0, 0), (0, lacking)))
        found = Algebra(places, ORDER).expanded(slope, parameters, Model(terms, jnp.zeros_like(centre)))
        return found, surveyed(partial(step, parameters), Interval(low, high))[1]

    bounds: tuple[Model, jax.Array] = jax.vmap(one)(low, high)
    return bounds


@partial(jax.jit, static_argnums=0)
def _shift(step: Step, parameters: Any, centre: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bounds (n,) of how far a step moves a state (n,)."""
    moved, _ = surveyed(lambda state: step(parameters, state) - state, Interval(centre, centre + 0.0))
    return moved.low, moved.high


class Used(NamedTuple):
    """How much of the margin of contraction is used up in boxes; below one, they contract.

    Attributes:
      terms: (B, N - 1) by each term of the Jacobian's polynomials but the constant.
      rest: (B,) by what the polynomials leave out.
      whole: (B,) in all; infinite where the middle does not contract.
      never: (B,) bool; it is sure that no state of the box contracts.
    """

    terms: np.ndarray
    rest: np.ndarray
    whole: np.ndarray
    never: np.ndarray


def used(frame: np.ndarray, slope: Model, factor: float) -> Used:
    """Bounds |T J T^-1| by `factor`, for all J (B, n, n) of Taylor models.

    With J = L + E in the frame, and M the inverse root of factor^2 - L' L, that holds if
    |M (L' E + E' L + E' E) M| < 1. Norms are taken term by term, so that within a term no signs are lost.
    """
    terms, rest = np.asarray(slope.terms), np.asarray(slope.rest)
    finite = (np.abs(terms) < HUGE).all((1, 2, 3)) & (rest < HUGE).all((1, 2))
    terms = np.where(finite[:, None, None, None], terms, 0.0)
    rest = np.where(finite[:, None, None], rest, 1.0) + ROUNDING * np.abs(terms).sum(-1)
    inverse = np.linalg.inv(frame)
    parts = np.einsum("ai,zijk,jb->zkab", frame, terms, inverse, optimize=True)
    seen, parts = parts[:, 0], parts[:, 1:]
    values, vectors = np.linalg.eigh(factor**2 * np.eye(len(frame)) - _turned(seen) @ seen)
    positive = values.min(1) > ROUNDING
    root = vectors / np.sqrt(np.where(positive[:, None], values, 1.0))[:, None, :] @ _turned(vectors)
    left = root @ _turned(seen)
    cross, square = left[:, None] @ parts @ root[:, None], parts @ root[:, None]
    linear = np.abs(np.linalg.eigvalsh(cross + _turned(cross))).max(-1)
    squares = np.abs(np.linalg.eigvalsh(_turned(square) @ square)).max(-1) ** 0.5
    behind = np.abs(inverse @ root)
    beside = np.abs(left @ frame) @ rest @ behind
    more = np.linalg.norm(beside + _turned(beside), axis=(1, 2))
    side = np.linalg.norm(np.abs(frame) @ rest @ behind, axis=(1, 2))
    whole = np.where(finite & positive, linear.sum(1) + more + (squares.sum(1) + side) ** 2, np.inf)
    apart = np.linalg.norm(parts, axis=(2, 3)).sum(1)
    apart += np.linalg.norm(np.abs(frame) @ rest @ np.abs(inverse), axis=(1, 2))
    never = finite & (np.linalg.norm(seen, 2, axis=(1, 2)) - apart > factor)
    return Used(linear, more, whole, never)


def _turned(matrices: np.ndarray) -> np.ndarray:
    return np.swapaxes(matrices, -1, -2)


def check_factor(factor: float) -> None:
    """Checks what a proof of contraction needs.

    Raises:
      ConfigError: the factor is not between 0 and 1, or JAX does not use float64.
    """
    if not 0 < factor < 1:
        raise ConfigError(f"factor is {factor:g}: expected more than 0 and less than 1")
    if jnp.zeros(()).dtype != jnp.float64:
        raise ConfigError("JAX uses float32: expected jax_enable_x64, for bounds that hold")


def prove_contraction(
    step: Step,
    parameters: Any,
    ball: Ball,
    factor: float,
    seconds: float = float("inf"),
    most: int = 200_000,
    report: Callable[[int, float], None] | None = None,
) -> Verdict:
    """Proves or disproves that a step contracts in a ball by `factor`, in the ball's frame, and maps it into itself.

    Args:
      step: of the closed loop, differentiable; it is compiled once.
      parameters: of the step, arrays of float64.
      ball: where.
      factor: of each period, less than 1.
      seconds: time limit; one batch may be begun before.
      most: boxes.
      report: told boxes looked at, and share of the box around the ball that is undecided.
    Returns:
      The verdict; its state is a middle of a box at which the Jacobian is sure not to contract.
    Raises:
      ConfigError: the factor is not between 0 and 1, or JAX does not use float64.
    """
    check_factor(factor)
    begun, widths = time.monotonic(), ball.half_widths()
    moved = np.abs(np.stack(_shift(step, parameters, jnp.asarray(ball.centre)))).max(0)
    shift = np.abs(ball.frame) @ moved
    stays = bool(np.linalg.norm(shift) <= (1 - factor) * ball.radius * (1 - ROUNDING))
    lows, highs = (ball.centre - widths)[None], (ball.centre + widths)[None]
    seen = 0
    while len(lows) and seen < most and (seen == 0 or time.monotonic() - begun < seconds):
        count = min(len(lows), BATCH)
        low, high = lows[-count:], highs[-count:]
        lows, highs = lows[:-count], highs[:-count]
        pad = ((0, BATCH - count), (0, 0))
        bounds = jacobians(step, parameters, np.pad(low, pad, mode="edge"), np.pad(high, pad, mode="edge"))
        slope, jumps = jax.tree.map(lambda leaf, count=count: np.asarray(leaf)[:count], bounds)
        found = used(ball.frame, slope, factor)
        done, never = found.whole < 1 - SLACK, found.never
        within, without = _places(ball, low, high)
        seen += count
        if (never & within).any():
            at = int((never & within).argmax())
            return Verdict(Outcome.DISPROVED, (low[at] + high[at]) / 2, seen, 1.0)
        on = ~((done & ~jumps) | without)
        low, high = low[on], high[on]
        axis = _widest(jax.tree.map(lambda leaf, on=on: leaf[on], found), (high - low) / widths)
        rows = np.arange(len(low))
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left, right = high.copy(), low.copy()
        left[rows, axis], right[rows, axis] = middle, middle
        lows, highs = np.concatenate([lows, low, right]), np.concatenate([highs, left, high])
        if report is not None:
            report(seen, _share(lows, highs, widths))
    if len(lows) or not stays:
        return Verdict(Outcome.UNDECIDED, None, seen, _share(lows, highs, widths))
    return Verdict(Outcome.PROVED, None, seen, 0.0)


def _widest(found: Used, sides: np.ndarray) -> np.ndarray:
    """The coordinate (B,) that uses up most of the margin; the rest counts to those whose squares do.

    Where nothing is known, it is the longest of the boxes' sides (B, n).
    """
    places = sides.shape[1]
    powers = np.array(monomials(places, ORDER))[1:]
    straight, bent = found.terms[:, :places], found.terms[:, places:] @ powers[places:]
    share = bent / np.maximum(bent.sum(1, keepdims=True), 1e-300)
    chosen: np.ndarray = (straight + bent + share * found.rest[:, None] + 1e-12 * sides).argmax(1)
    return chosen


def _places(ball: Ball, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether middles of boxes (B, n) lie in the ball, and whether boxes lie wholly outside."""
    middle, half = (low + high) / 2 - ball.centre, (high - low) / 2
    along, reach = middle @ ball.frame.T, half @ np.abs(ball.frame).T
    nearest = np.maximum(np.abs(along) - reach, 0.0)
    inside = np.linalg.norm(along, axis=1) <= ball.radius
    return inside, np.linalg.norm(nearest, axis=1) > ball.radius * (1 + ROUNDING)


def _share(lows: np.ndarray, highs: np.ndarray, widths: np.ndarray) -> float:
    return float(((highs - lows) / (2 * widths)).prod(1).sum())
