"""Proves that a sampled closed loop contracts around its equilibrium, by interval bounds of its Jacobian.

In a ball |T (x - c)| <= r, any two states come nearer to each other in every period, by a factor of at most rho, if
|T J T^-1| <= rho for every Jacobian J that occurs there; and if c itself moves by at most (1 - rho) r, the ball is
mapped into itself. Then there is one fixed point in it, and all trajectories from the ball go there exponentially
(Banach): the ball is a certified region of attraction, and |T (x - x*)| a Lyapunov function in it.

The ball is covered by boxes. On each, J lies between two matrices, and I rho^2 - (T J T^-1)' (T J T^-1) is positive
definite for all of these if it is for the middle, by more than the largest change, entry by entry.
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
from haltere.policies.hybrid.interval import Interval, surveyed

BATCH = 128
ROUNDING = 1e-9
"""Relative slack for what is computed in float64 without intervals: products of small matrices, eigenvalues."""
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


@partial(jax.jit, static_argnums=0)
def slopes(
    step: Step, parameters: Any, low: jax.Array, high: jax.Array
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


@partial(jax.jit, static_argnums=0)
def _shift(step: Step, parameters: Any, centre: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bounds (n,) of how far a step moves a state (n,)."""
    moved, _ = surveyed(lambda state: step(parameters, state) - state, Interval(centre, centre + 0.0))
    return moved.low, moved.high


def contracting(frame: np.ndarray, low: np.ndarray, high: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether |T J T^-1| <= factor, for all J (n, n) between `low` and `high` (B, n, n).

    Returns:
      (B,) bool; and (B,) bool, whether it is sure that none of them has it so.
    """
    inverse = np.linalg.inv(frame)
    middle, radius = (low + high) / 2, (high - low) / 2
    sizes = np.abs(frame), np.abs(inverse)
    seen = frame @ middle @ inverse
    change = sizes[0] @ (radius + ROUNDING * np.abs(middle)) @ sizes[1]
    finite = np.isfinite(seen).all((1, 2)) & np.isfinite(change).all((1, 2))
    seen, change = np.where(finite[:, None, None], seen, 0.0), np.where(finite[:, None, None], change, 1.0)
    margin = factor**2 * np.eye(len(frame)) - seen.transpose(0, 2, 1) @ seen
    values, vectors = np.linalg.eigh(margin)
    positive = values.min(1) > ROUNDING
    root = np.abs(vectors / np.sqrt(np.where(positive[:, None], values, 1.0))[:, None, :])
    cross = np.abs(seen).transpose(0, 2, 1) @ change
    spread = cross + cross.transpose(0, 2, 1) + change.transpose(0, 2, 1) @ change
    worst = np.linalg.norm(root.transpose(0, 2, 1) @ spread @ root, axis=(1, 2))
    never = np.linalg.norm(seen, 2, axis=(1, 2)) - np.linalg.norm(change, axis=(1, 2)) > factor
    return finite & positive & (worst < 1 - ROUNDING), finite & never


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
        bounds = slopes(step, parameters, np.pad(low, pad, mode="edge"), np.pad(high, pad, mode="edge"))
        least, largest, parts, jumps = (np.asarray(leaf)[:count] for leaf in bounds)
        done, never = contracting(ball.frame, least, largest, factor)
        within, without = _places(ball, low, high)
        seen += count
        if (never & within).any():
            at = int((never & within).argmax())
            return Verdict(Outcome.DISPROVED, (low[at] + high[at]) / 2, seen, 1.0)
        on = ~((done & ~jumps) | without)
        low, high = low[on], high[on]
        axis, rows = _widest(ball.frame, (least + largest)[on] / 2, parts[on]), np.arange(len(low))
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left, right = high.copy(), low.copy()
        left[rows, axis], right[rows, axis] = middle, middle
        lows, highs = np.concatenate([lows, low, right]), np.concatenate([highs, left, high])
        if report is not None:
            report(seen, _share(lows, highs, widths))
    if len(lows) or not stays:
        return Verdict(Outcome.UNDECIDED, None, seen, _share(lows, highs, widths))
    return Verdict(Outcome.PROVED, None, seen, 0.0)


def _widest(frame: np.ndarray, slope: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The coordinate (B,) that adds most to the uncertainty of what shall be positive definite."""
    inverse = np.linalg.inv(frame)
    seen = np.abs(frame @ slope @ inverse)
    decay = np.sqrt(np.maximum(1 - np.linalg.norm(seen, axis=1) ** 2, 1e-3))
    cross = np.einsum("bji,jk,bklm,lp->bipm", seen, np.abs(frame), parts, np.abs(inverse), optimize=True)
    scaled = cross / decay[:, :, None, None] / decay[:, None, :, None]
    chosen: np.ndarray = np.nan_to_num((scaled**2).sum((1, 2)), nan=0.0, posinf=1e300).argmax(1)
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
