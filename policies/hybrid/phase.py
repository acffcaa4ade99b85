"""One phase of a sampled return map on enclosures: as many steps as its guard stays negative, then an exit.

The number of steps differs from state to state. For one number the exit is a smooth function of the state, also a
little beyond where that number is the right one; so a box is sent through for each number that may occur in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.enclosure import UNFUSED, Enclosure, Map, joined, through
from haltere.policies.hybrid.interval import Interval


@dataclass(frozen=True)
class Phase:
    """Steps until a guard is reached.

    Attributes:
      step: (parameters, (m,)) -> (m,).
      guard: -> (1,); the phase ends with the first step after which it is zero or more.
      exit: (parameters, (2 m,) the states before and after that step) -> (k,).
      longest: steps at most, the last one included.
      armed: -> (a,); the guard ends the phase only where all of these are at most zero.
      begins: -> (b,); must be negative where the phase begins.
      within: -> (w,); must be negative before each step.
      keeps: (parameters, (2 m,) the states before and after a step) -> (r,); one of these must be negative at each step
        but the last one, lest the phase be left by other ways than its guard.
      shorten: of these, too, -> (m,); the state with which the last step is made once more, to where the guard is zero.
    """

    step: Map
    guard: Map
    exit: Map
    longest: int
    armed: Map | None = None
    begins: Map | None = None
    within: Map | None = None
    keeps: Map | None = None
    shorten: Map | None = None


WAYS = 4
"""Numbers of steps that are looked at."""


class Passed(NamedTuple):
    """A phase with each of `WAYS` numbers of whole steps before the last one, for B boxes.

    Attributes:
      end: behind the exit, (WAYS B, ...), for one number after the other.
      within: (WAYS B,) bool; no state that takes so many steps leaves where the phase is as told.
      never: (WAYS B,) bool; no state of the box takes so many steps.
      all_of_them: (B,) bool; no state of the box takes another number of steps.
      steep: (WAYS B, n) along which axes the box is to be narrower for `end` to be so.
    """

    end: Enclosure
    within: jax.Array
    never: jax.Array
    all_of_them: jax.Array
    steep: jax.Array


class Counted(NamedTuple):
    """A phase from one state.

    Attributes:
      steps: () whole, before the last one.
      share: () of the last one before the guard.
      end: (k,) behind the exit.
      known: () bool; it ended, and did not leave where the phase is as told.
    """

    steps: jax.Array
    share: jax.Array
    end: jax.Array
    known: jax.Array

    def lower(self) -> jax.Array:
        """The lesser of two numbers of whole steps that states nearby may take."""
        return jnp.maximum(jnp.where(self.share < 0.5, self.steps - 1, self.steps), 0)


def count(phase: Phase, parameters: Any, state: jax.Array) -> Counted:
    """Goes through a phase from a state (m,)."""

    def one(carry: Any, _: None) -> tuple[Any, None]:
        state, next_state, steps, over, share, known = carry
        if phase.within is not None:
            known &= over | (phase.within(parameters, state) < 0).all()
        after = phase.step(parameters, state)
        ends = phase.guard(parameters, after)[0] >= 0
        if phase.keeps is not None:
            known &= over | (phase.keeps(parameters, jnp.concatenate([state, after])) < 0).any()
        if phase.armed is not None:
            ends &= (phase.armed(parameters, after) <= 0).all()
        before, behind = phase.guard(parameters, state)[0], phase.guard(parameters, after)[0]
        share = jnp.where(over | ~ends, share, before / (before - behind))
        done = over
        over |= ends
        return (
            jnp.where(over, state, after),
            jnp.where(done, next_state, after),
            steps + ~over,
            over,
            share,
            known,
        ), None

    none = jnp.zeros((), bool)
    well = ~none if phase.begins is None else (phase.begins(parameters, state) < 0).all()
    begin = (state, state, jnp.zeros((), jnp.int64), none, jnp.full((), 0.5), well)
    (state, after, steps, _, share, known), _ = jax.lax.scan(one, begin, None, length=phase.longest)
    both = jnp.concatenate([state, after])
    if phase.shorten is not None:
        state = phase.shorten(parameters, both)
        both = jnp.concatenate([state, phase.step(parameters, state)])
    known &= steps < phase.longest
    return Counted(steps, share, phase.exit(parameters, both), known)


class _Way(NamedTuple):
    """Through a phase with a number of whole steps (B,), so far.

    Attributes:
      steps: the number.
      last: the states before the last step, once they are reached.
      after: those after it.
      not_before: (B,) bool; no state of the box ends the phase with fewer steps.
      by_then: (B,) bool; all states have ended it with the next step.
      within: as in `Passed`.
    """

    steps: jax.Array
    last: Enclosure
    after: Enclosure
    not_before: jax.Array
    by_then: jax.Array
    within: jax.Array


@partial(jax.jit, static_argnums=0, compiler_options=UNFUSED)
def passed(phase: Phase, parameters: Any, start: Enclosure) -> Passed:
    """Sends B boxes through, with numbers of whole steps around those of their middles."""
    yes = jnp.ones(len(start.centre), bool)

    def over(what: Map, state: Enclosure) -> Interval:
        return through(what, parameters, state).box()

    def look(state: Enclosure) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """What is sure of all states: guard not reached, guard reached, armed, not armed."""
        value = over(phase.guard, state)
        before, reached = value.high[:, 0] < 0, value.low[:, 0] > 0
        if phase.armed is None:
            return before, reached, yes, ~yes
        armed = over(phase.armed, state)
        return before, reached, (armed.high <= 0).all(1), (armed.low > 0).any(1)

    def one(carry: tuple[jax.Array, Enclosure, _Way]) -> tuple[jax.Array, Enclosure, _Way]:
        index, state, ways = carry
        before, reached, armed, unarmed = look(state)
        inside = yes if phase.within is None else (over(phase.within, state).high < 0).all(1)
        moved = through(phase.step, parameters, state)
        kept = yes if phase.keeps is None else (over(phase.keeps, joined(state, moved)).high < 0).any(1)

        def follow(way: _Way) -> _Way:
            on, ends, over = way.steps >= index, way.steps == index, way.steps + 1 == index
            return _Way(
                way.steps,
                state.where(ends, way.last),
                moved.where(ends, way.after),
                way.not_before & (~on | before | (unarmed & ~ends)),
                way.by_then & (~over | (reached & armed)),
                way.within & (~on | (inside & (ends | kept))) & (~ends | before | armed),
            )

        # Boxes that are through stay where they are, lest they run off to where nothing is known.
        return (
            index + 1,
            moved.gathered(state.error.shape[2]).reduced().where(ways.steps[-1] >= index, state),
            jax.vmap(follow)(ways),
        )

    begun = start.reduced()
    well = yes if phase.begins is None else (over(phase.begins, begun).high < 0).all(1)
    moved = jax.eval_shape(partial(through, phase.step), parameters, begun)
    longer = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), moved)

    def way(steps: jax.Array) -> _Way:
        # A first step is always taken: no state has ended before it, wherever it begins.
        possible = steps >= 0
        return _Way(steps, begun, longer, yes, possible, well & possible & (steps < phase.longest))

    likely = jax.vmap(lambda state: count(phase, parameters, state).lower())(start.centre)
    steps = likely + jnp.arange(WAYS)[:, None] - (WAYS // 2 - 1)
    most = steps.max() + 2
    begin = (jnp.zeros((), steps.dtype), begun, jax.vmap(way)(steps))
    _, _, ways = jax.lax.while_loop(lambda carry: carry[0] <= most, one, begin)

    last, after = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (ways.last, ways.after))
    both = joined(last, after)
    if phase.shorten is not None:
        last = through(phase.shorten, parameters, both)
        both = joined(last, through(phase.step, parameters, last))
    # Once all have ended, it does not matter what would become of them later.
    none = ~yes[None]
    earlier = jax.lax.associative_scan(jnp.logical_or, jnp.concatenate([none, ways.by_then]))
    later = jax.lax.associative_scan(jnp.logical_or, jnp.concatenate([ways.not_before, none]), reverse=True)
    end = through(phase.exit, parameters, both)
    return Passed(
        end,
        ways.within.ravel(),
        (earlier[:-1] | later[1:]).ravel(),
        earlier[-1] & later[0],
        end.steep(),
    )
