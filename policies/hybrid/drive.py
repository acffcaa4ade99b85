"""Drives cars over roads, all roads at once, and says how well: lane deviation, error, distance to the goal.

The measures are those of the published benchmark (Meng & Fan 2023, fig. 4), so that numbers can be compared; where
their code does not compute what the paper names, both are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import lqr
from haltere.policies.hybrid.roads import Halves, Roads
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

LANE_M = 3.0
"""A car this far beside its reference has failed."""
START_SPEED_M_S = 5.0
HALF_S = 1.0
"""Time for which the baselines' reference drives along half a piece, whatever its length."""
LQR_LIMIT = 8.0

Law = Callable[[Any, jax.Array, Road], jax.Array]
"""(parameters, errors (7, V), what is left of the road piece) -> action (2, V)."""


class Trace(NamedTuple):
    """What happened on each half piece; both its ends are in it.

    Attributes:
      error: (2K, T + 1, 7, V) against the reference.
      world: (2K, T + 1, 7, V).
      driven: (2K, T + 1, V) bool; false for samples after a half piece that took fewer than T periods.
    """

    error: jax.Array
    world: jax.Array
    driven: jax.Array


class Score(NamedTuple):
    """One number per car; all of the time before it fails, unless said.

    Attributes:
      reached: (V,) bool; never |s_y| >= 3 m.
      in_lane: (V,) share of all samples that lie before the failure.
      deviation_m: (V,) mean |s_y|.
      rmse: (V,) root mean square norm of the seven errors, units mixed, as published.
      remaining_m: (V,) road left at the failure, from the nearest point of the road.
      published_m: (V,) road left at the failure as the published code computes it.
    """

    reached: np.ndarray
    in_lane: np.ndarray
    deviation_m: np.ndarray
    rmse: np.ndarray
    remaining_m: np.ndarray
    published_m: np.ndarray


def timed(halves: Halves, duration_s: float = HALF_S) -> Road:
    """References that take the same time for every half piece: a `Road` with leaves (2K, V)."""
    single = Halves(*(np.asarray(leaf, np.float32) for leaf in halves))
    return Road(
        friction=jnp.asarray(single.friction),
        speed=jnp.asarray(single.length / np.float32(duration_s)),
        yaw_rate=jnp.zeros(single.length.shape),
        x=jnp.asarray(single.start[:, 0]),
        y=jnp.asarray(single.start[:, 1]),
        heading=jnp.asarray(single.heading),
        length=jnp.asarray(single.length),
    )


def lqr_gains(roads: Road) -> jax.Array:
    """Gains (2K, V, 2, 7) of the published baseline: unit weights, linearised about each half's straight reference."""
    configurations = np.stack([np.ravel(roads.friction), np.ravel(roads.speed)]).round(4)
    different, index = np.unique(configurations, axis=1, return_inverse=True)
    count = different.shape[1]
    some = car.configure(jnp.asarray(np.concatenate([different, np.zeros((1, count))]), jnp.float32))
    a, b = lqr.linearise(car, 0, jnp.zeros((car.STATE_SIZE, count)), jnp.zeros((car.INPUT_SIZE, count)), some)
    gains = lqr.gain(np.asarray(a), np.asarray(b), np.eye(7), np.eye(2), car.PERIOD_S)
    return jnp.asarray(gains[index.reshape(roads.friction.shape)], jnp.float32)


def lqr_law(gains: jax.Array, error: jax.Array, road: Road) -> jax.Array:
    """The published baseline, with its limit of 8 rad/s and 8 m/s^2."""
    return lqr.regulate(gains, error, LQR_LIMIT)


def start(cars: int) -> jax.Array:
    """World states (7, cars) in which roads begin."""
    return jnp.zeros((7, cars)).at[3].set(START_SPEED_M_S)


def drive(roads: Road, law: Law, gains: jax.Array, steps: int) -> Trace:
    """Drives every half piece in turn, from the origin, at 5 m/s along world x.

    Args:
      roads: leaves (2K, V).
      law: the controller.
      gains: its parameters for each half, leading axis 2K.
      steps: periods T per half piece.
    """
    cars = roads.friction.shape[-1]
    each = jnp.full(cars, steps)

    def half(world: jax.Array, piece: tuple[Road, jax.Array]) -> tuple[jax.Array, Trace]:
        road, gain = piece
        return follow(road, law, gain, world, each, steps)

    _, trace = jax.lax.scan(half, start(cars), (roads, gains))
    return trace


def follow(
    road: Road, law: Law, gains: Any, world: jax.Array, steps: jax.Array, longest: int
) -> tuple[jax.Array, Trace]:
    """Follows one reference.

    Args:
      road: leaves (V,).
      law: the controller.
      gains: its parameters.
      world: (7, V) where the cars are.
      steps: (V,) periods that each car drives.
      longest: T, the largest of them.
    Returns:
      World state (7, V) at the end, and the trace without its leading axis.
    """
    begin = car.to_error(world, road)
    last = steps.max()

    def tick(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        index, error, rows = carry
        left = car.at(road, car.PERIOD_S * index)
        after = jnp.where(index < steps, car.step(road, error, law(gains, error, left)), error)
        return index + 1, after, rows.at[index + 1].set(after)

    rows = jnp.zeros((longest + 1, *begin.shape)).at[0].set(begin)
    _, _, rows = jax.lax.while_loop(lambda carry: carry[0] < last, tick, (jnp.zeros((), jnp.int32), begin, rows))
    driven = jnp.arange(longest + 1)[:, None] <= steps
    now = jnp.minimum(jnp.arange(longest + 1)[:, None], steps)
    rows = jnp.where(driven[:, None], rows, jnp.take_along_axis(rows, steps[None, None], axis=0))
    worlds = jax.vmap(lambda error, index: car.to_world(error, car.at(road, car.PERIOD_S * index)))(rows, now)
    worlds = worlds.at[0].set(world)
    return worlds[-1], Trace(rows, worlds, driven)


def score(trace: Trace, roads: Roads) -> Score:
    """Measures; a trace (and map) of V cars."""
    error, world, driven = (np.asarray(leaf).reshape(-1, *leaf.shape[2:]) for leaf in trace)
    error = error.astype(np.float64)
    outside = driven & ~(np.abs(error[:, 1]) < LANE_M)
    failed = np.asarray(outside.any(0))
    first = np.where(failed, outside.argmax(0), len(outside))
    before = driven & (np.arange(len(outside))[:, None] < first)
    count = np.maximum(before.sum(0), 1)
    square = np.where(before, (error**2).sum(1), 0.0)
    deviation = np.where(before, np.abs(error[:, 1]), 0.0)
    where = world[np.minimum(first, len(world) - 1), :2, np.arange(world.shape[-1])]
    left = np.array([remaining_m(p, roads.knots[..., v]) for v, p in enumerate(where)])
    theirs = np.array([published_m(p, roads.knots[..., v]) for v, p in enumerate(where)])
    return Score(
        ~failed,
        before.sum(0) / driven.sum(0),
        deviation.sum(0) / count,
        np.sqrt(square.sum(0) / count),
        np.where(failed, left, 0.0),
        np.where(failed, theirs, 0.0),
    )


def remaining_m(point: np.ndarray, knots: np.ndarray) -> float:
    """Road from the nearest point of the broken line `knots` (K + 1, 2) to its end, for a car at `point` (2,)."""
    way = np.diff(knots, axis=0)
    length = np.hypot(*way.T)
    share = np.clip(((point - knots[:-1]) * way).sum(1) / length**2, 0.0, 1.0)
    nearest = np.argmin(np.hypot(*(knots[:-1] + share[:, None] * way - point).T))
    return float((1 - share[nearest]) * length[nearest] + length[nearest + 1 :].sum())


def published_m(point: np.ndarray, knots: np.ndarray) -> float:
    """The same as the published code has it: kept only to compare with published numbers.

    Its distance to a piece has one sign of the triangle's area wrong and divides by the fourth power of the length,
    so that it often takes a long piece for the nearest one; it then adds the root of the sum of the squared distances
    to both of the piece's ends to the road that follows.
    """
    x, y = point
    (x_a, y_a), (x_b, y_b) = knots[:-1].T, knots[1:].T
    area = x * y_a - x_a * y - x_b * y - x * y_b - x_b * y_a + x_a * y_b
    length = np.hypot(x_b - x_a, y_b - y_a)
    piece = int(np.argmin(np.abs(area) / length**4))
    return float(np.linalg.norm(point - knots[piece : piece + 2]) + length[piece + 1 :].sum())
