"""Lets pogobots hop through corridors, all at once, and says how well.

The measures are those of the published benchmark (Meng & Fan 2023, fig. 6). The published loops disagree about where
the floor changes; here the floor is that of the segment which the foot is in, for every method, and nothing else is
hit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.corridors import Corridor
from haltere.policies.plants.pogobot import APEX, FALLING, LEG_M, RISING, TICKS, tick

HOPS = 100
LARGEST_COLLISION = 1e-3
"""Share of samples outside the corridor with which a run still counts as a success."""


class Lanes(NamedTuple):
    """Corridors for V robots; those with fewer than K segments repeat their last one.

    Attributes:
      end: (K, V) m, x where each segment ends.
      floor: (K, V) m, world.
      ceiling: (K, V) m, world.
      speed: (K, V) m/s.
      height: (K, V) m, world, of the wanted apex.
      last: (V,) m, x where the last segment begins.
    """

    end: jax.Array
    floor: jax.Array
    ceiling: jax.Array
    speed: jax.Array
    height: jax.Array
    last: jax.Array

    def at(self, x: jax.Array, ahead: int = 0) -> Segment:
        """The segments in which places x (..., V) are, or those `ahead` of them."""
        index = sum((x >= end).astype(jnp.int32) for end in self.end) + ahead

        def pick(leaf: jax.Array) -> jax.Array:
            # Few segments, many places: choosing costs less than looking up.
            found = jnp.broadcast_to(leaf[0], x.shape)
            for k in range(1, len(leaf)):
                found = jnp.where(index >= k, leaf[k], found)
            return found

        return Segment(*(pick(leaf) for leaf in self[:5]))

    def near(self, x: jax.Array, margin_m: float) -> tuple[jax.Array, jax.Array]:
        """Floor and ceiling at places x (..., V): of all segments within a margin, the highest and the lowest."""
        floor, ceiling = jnp.full_like(x, -jnp.inf), jnp.full_like(x, jnp.inf)
        last = len(self.end) - 1
        for k in range(last + 1):
            begun = x >= self.end[k - 1] - margin_m if k > 0 else True
            there = begun & (x < self.end[k] + margin_m) if k < last else begun
            floor = jnp.where(there, jnp.maximum(floor, self.floor[k]), floor)
            ceiling = jnp.where(there, jnp.minimum(ceiling, self.ceiling[k]), ceiling)
        return floor, ceiling


class Segment(NamedTuple):
    """One segment for each of V robots: rows of `Lanes`, (V,) each."""

    end: jax.Array
    floor: jax.Array
    ceiling: jax.Array
    speed: jax.Array
    height: jax.Array


Law = Callable[[jax.Array, Segment, Segment], jax.Array]
"""(state (5, V) at an apex, this segment, the next one; all in the world) -> action (2, V)."""


class Run(NamedTuple):
    """What is counted on the way; one sample a step of the simulator.

    Attributes:
      state: (5, V) world.
      done: (V,) bool.
      samples: (V,) number.
      outside: (V,) number of samples below the floor or above the ceiling.
      furthest: (V,) m, largest x before the first of them.
      flights: (V,) number of samples in the air.
      speed_error: (V,) m/s, sum over these.
    """

    state: jax.Array
    done: jax.Array
    samples: jax.Array
    outside: jax.Array
    furthest: jax.Array
    flights: jax.Array
    speed_error: jax.Array


class Score(NamedTuple):
    """One number per robot.

    Attributes:
      succeeded: (V,) bool; reached the last segment, and was outside for less than 0.1 % of the samples.
      speed_error_m_s: (V,) mean in the air.
      remaining_m: (V,) corridor left at the first collision, or at the end.
      collision: (V,) share of samples outside.
    """

    succeeded: np.ndarray
    speed_error_m_s: np.ndarray
    remaining_m: np.ndarray
    collision: np.ndarray


def lanes(corridors: Sequence[Corridor]) -> Lanes:
    """Corridors side by side."""
    longest = max(len(corridor.length) for corridor in corridors)

    def stack(rows: list[np.ndarray]) -> jax.Array:
        padded = [np.concatenate([row, np.repeat(row[-1:], longest - len(row))]) for row in rows]
        return jnp.asarray(np.stack(padded, axis=1), jnp.float32)

    end = [np.cumsum(corridor.length) for corridor in corridors]
    last = jnp.asarray([edges[-2] for edges in end], jnp.float32)
    floor, ceiling, speed = ([corridor[row] for corridor in corridors] for row in (1, 2, 3))
    height = stack([corridor.height() for corridor in corridors])
    return Lanes(stack(end), stack(floor), stack(ceiling), stack(speed), height, last)


def hop_through(law: Law, state: jax.Array, where: Lanes, hops: int = HOPS) -> Run:
    """Hops until the end of the corridor, a fall, or a hop that begins outside or takes too long.

    Args:
      law: chooses angle and force at each apex.
      state: (5, V) world, at an apex.
      where: the corridors.
      hops: at most.
    """
    begin = _begin(state)

    def going(carry: tuple[jax.Array, Run]) -> jax.Array:
        return (carry[0] < hops) & ~carry[1].done.all()

    def one(carry: tuple[jax.Array, Run]) -> tuple[jax.Array, Run]:
        count, run = carry
        here, ahead = where.at(run.state[0]), where.at(run.state[0], 1)
        inside = (run.state[2] >= here.floor) & (run.state[2] <= here.ceiling)
        run = run._replace(done=run.done | ~inside)
        return count + 1, _hop(run, law(run.state, here, ahead), where)

    return jax.lax.while_loop(going, one, (jnp.zeros((), jnp.int32), begin))[1]


def _begin(state: jax.Array) -> Run:
    """Before the first hop, from states (5, V)."""
    none = jnp.zeros(state.shape[-1])
    return Run(state, none > 0, none, none, state[0], none, none)


def hop_once(state: jax.Array, action: jax.Array, where: Lanes) -> Run:
    """One hop from apexes (5, V), world, with actions (2, V): done are those that fell, or came to the end."""
    return _hop(_begin(state), action, where)


def move(mode: jax.Array, state: jax.Array, action: jax.Array, where: Lanes) -> tuple[jax.Array, jax.Array]:
    """One tick in the corridors: next modes (V,) and states (5, V), world; those whose hop is over stay."""
    air = (mode == FALLING) | (mode == RISING)
    held = state[0] + LEG_M * jnp.sin(action[0])
    floor = where.at(jnp.where(air, held, state[4])).floor
    following, after = tick(mode, state.at[2].add(-floor), action)
    return following, jnp.where(mode < APEX, after.at[2].add(floor), state)


def _hop(run: Run, action: jax.Array, where: Lanes) -> Run:
    """One hop of those who are not done."""
    mode = jnp.where(run.done, APEX, FALLING)
    total = where.end[-1]

    def going(carry: tuple[jax.Array, jax.Array, Run]) -> jax.Array:
        return (carry[0] < TICKS) & (carry[1] < APEX).any()

    def one(carry: tuple[jax.Array, jax.Array, Run]) -> tuple[jax.Array, jax.Array, Run]:
        count, mode, before = carry
        on, air = mode < APEX, (mode == FALLING) | (mode == RISING)
        following, state = move(mode, before.state, action, where)
        here = where.at(state[0])
        out = on & ((state[2] < here.floor) | (state[2] > here.ceiling))
        outside = before.outside + out
        furthest = jnp.where(on & (outside == 0), jnp.maximum(before.furthest, state[0]), before.furthest)
        wrong = jnp.where(on & air, jnp.abs(state[1] - here.speed), 0.0)
        after = Run(
            state,
            before.done,
            before.samples + on,
            outside,
            furthest,
            before.flights + (on & air),
            before.speed_error + wrong,
        )
        return count + 1, following, after

    _, mode, after = jax.lax.while_loop(going, one, (jnp.zeros((), jnp.int32), mode, run))
    return after._replace(done=run.done | (mode != APEX) | (after.state[0] >= total))


def score(run: Run, where: Lanes) -> Score:
    """Measures."""
    samples, flights = np.maximum(run.samples, 1), np.maximum(run.flights, 1)
    collision = np.asarray(run.outside) / samples
    reached = np.asarray(run.furthest > where.last)
    remaining = np.maximum(np.asarray(where.end[-1] - run.furthest), 0.0)
    return Score(reached & (collision < LARGEST_COLLISION), np.asarray(run.speed_error) / flights, remaining, collision)
