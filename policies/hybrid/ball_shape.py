"""The shape of a ball in which a closed loop of many states may be proved to contract: in what norm, how large.

The frame is that of the Jacobian's eigenvectors, each block of which may have any scale; scales are searched, one after
the other, for the ball of the largest volume that `curvature` may accept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from haltere.policies.hybrid.contraction import Ball, frame_of
from haltere.policies.hybrid.curvature import Guarded, Local, bound_of, reach

ALLOWED = 0.9
"""Of what is bounded by one."""
STRIDES = (1.0, 0.5, 0.25)
"""Of the logarithm of a scale."""


def blocks_of(frame: np.ndarray, slope: np.ndarray) -> list[list[int]]:
    """Which coordinates of an eigenvectors' frame belong together: one, or two of a complex pair."""
    seen = np.abs(frame @ slope @ np.linalg.inv(frame))
    found: list[list[int]] = []
    for index in range(len(frame)):
        if found and len(found[-1]) == 1 and seen[index, index - 1] > 1e-9 and seen[index - 1, index] > 1e-9:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def largest(
    cases: Sequence[Local], guards: Guarded, widths: np.ndarray, centre: np.ndarray, frame: np.ndarray, factor: float
) -> Ball:
    """The ball in a frame, of radius zero if a case does not contract in it at all; arguments as of `shaped`."""
    unit = Ball(centre, frame, 1.0)
    per_radius = unit.half_widths()
    low, high = 0.0, reach(guards, unit._replace(radius=0.0))
    for case in cases:
        found = bound_of(case, frame, factor)
        if found is None:
            return unit._replace(radius=0.0)
        # Changes grow with the box, of which the ball's is some multiple.
        change = case.bend_error @ per_radius * (per_radius / widths).max()
        low = 0.0
        for _ in range(20):
            middle = (low + high) / 2
            fits = found.of(middle, case.slope_error + middle**2 * change) < ALLOWED
            low, high = (middle, high) if fits else (low, middle)
        high = low
    return unit._replace(radius=high)


def shaped(
    cases: Sequence[Local],
    guards: Guarded,
    widths: np.ndarray,
    centre: np.ndarray,
    factor: float,
    frame: np.ndarray | None = None,
    rounds: int = 4,
) -> Ball:
    """The best ball found.

    Args:
      cases: over a box around the centre.
      guards: at the centre.
      widths: (n,) half widths of that box.
      centre: (n,).
      factor: of the contraction in each period.
      frame: with which the search begins, if not the eigenvectors' of the mean Jacobian.
      rounds: of the search, over all scales.
    Raises:
      ConfigError: the mean of the cases' Jacobians has an eigenvalue outside of the unit circle.
    """
    mean = np.mean([case.slope for case in cases], axis=0)
    frame = frame_of(mean) if frame is None else frame
    blocks = blocks_of(frame, mean)

    def volume(ball: Ball) -> float:
        return ball.log_volume() if ball.radius > 0 else -np.inf

    best = largest(cases, guards, widths, centre, frame, factor)
    for index in range(rounds):
        stride, before = STRIDES[min(index, len(STRIDES) - 1)], volume(best)
        for block in blocks:
            for sign in (1, -1):
                scale = np.ones(len(frame))
                scale[block] = np.exp(sign * stride)
                tried = largest(cases, guards, widths, centre, scale[:, None] * best.frame, factor)
                if volume(tried) > volume(best):
                    best = tried
                    break
        if volume(best) == before and index >= len(STRIDES):
            break
    return best
