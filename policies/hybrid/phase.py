"""One phase of a sampled return map on enclosures: as many steps as its guard stays negative, then an exit.

The number of steps differs from state to state. For one number the exit is a smooth function of the state, also a
little beyond where that number is the right one; so a box is sent through for each number that occurs in it, and two
flags say which numbers these are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.enclosure import Enclosure, joined, through
from haltere.policies.hybrid.interval import natural

Map = Callable[[Any, jax.Array], jax.Array]
"""(parameters, (m,)) -> (k,)."""
Exit = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""(parameters, (m,) before the last step, (m,) after it) -> (k,)."""


@dataclass(frozen=True)
class Phase:
    """Steps until a guard is reached.

    Attributes:
      step: (parameters, (m,)) -> (m,).
      guard: -> (1,); the phase ends with the first step after which it is zero or more.
      exit: -> (k,) from the states before and after that step.
      longest: steps at most, the last one included.
      armed: -> (a,); the guard ends the phase only where all of these are at most zero.
      within: -> (w,); must be negative before each step.
      shorten: -> (m,) from these; the state with which the last step is made once more, to where the guard is zero.
    """

    step: Map
    guard: Map
    exit: Exit
    longest: int
    armed: Map | None = None
    within: Map | None = None
    shorten: Exit | None = None


class Passed(NamedTuple):
    """A phase with a given number k of whole steps before the last one.

    Attributes:
      end: behind the exit.
      not_before: () bool; no state of the box ends the phase with fewer steps.
      by_then: () bool; those that have not ended it before do so with the next step.
      within: () bool; no state leaves where the phase is as told.
    """

    end: Enclosure
    not_before: jax.Array
    by_then: jax.Array
    within: jax.Array


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


def count(phase: Phase, parameters: Any, state: jax.Array) -> Counted:
    """Goes through a phase from a state (m,)."""

    def one(carry: Any, _: None) -> tuple[Any, None]:
        state, next_state, steps, over, share, known = carry
        if phase.within is not None:
            known &= over | (phase.within(parameters, state) < 0).all()
        after = phase.step(parameters, state)
        ends = phase.guard(parameters, after)[0] >= 0
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
    begin = (state, state, jnp.zeros((), jnp.int64), none, jnp.full((), 0.5), ~none)
    (state, after, steps, _, share, known), _ = jax.lax.scan(one, begin, None, length=phase.longest)
    if phase.shorten is not None:
        state = phase.shorten(parameters, state, after)
        after = phase.step(parameters, state)
    known &= steps < phase.longest
    return Counted(steps, share, phase.exit(parameters, state, after), known)


def passed(phase: Phase, parameters: Any, start: Enclosure, steps: jax.Array) -> Passed:
    """Sends a box through, with `steps` () whole steps."""

    def look(state: Enclosure) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """What is sure of all states: guard not reached, guard reached, armed, not armed."""
        box = state.box()
        value = natural(lambda x: phase.guard(parameters, x), box)
        if phase.armed is None:
            return value.high[0] < 0, value.low[0] > 0, yes, ~yes
        armed = natural(lambda x: phase.armed(parameters, x), box)  # type: ignore[misc]
        return value.high[0] < 0, value.low[0] > 0, (armed.high <= 0).all(), (armed.low > 0).any()

    def inside(state: Enclosure) -> jax.Array:
        if phase.within is None:
            return yes
        found = natural(lambda x: phase.within(parameters, x), state.box())  # type: ignore[misc]
        return (found.high < 0).all()

    def shortened(last: Enclosure, state: Enclosure) -> Enclosure:
        if phase.shorten is None:
            return state
        return through(lambda x: phase.shorten(parameters, x[:size], x[size:]), joined(last, state))  # type: ignore[misc]

    def one(carry: tuple[Any, ...], index: jax.Array) -> tuple[Any, None]:
        state, last, not_before, by_then, known = carry
        on, ends, over = index <= steps, index == steps, index == steps + 1
        before, reached, armed, unarmed = look(state)
        not_before &= ~on | before | (unarmed & ~ends)
        by_then &= (~ends | before | armed) & (~over | (reached & armed))
        known &= ~on | inside(state)
        begin = jax.tree.map(lambda new, old: jnp.where(over, new, old), shortened(last, state), state)
        after = through(lambda x: phase.step(parameters, x), begin)
        moves = on | (over & (phase.shorten is not None))
        last = jax.tree.map(lambda new, old: jnp.where(moves, new, old), begin, last)
        state = jax.tree.map(lambda new, old: jnp.where(moves, new, old), after, state)
        return (state, last, not_before, by_then, known), None

    size, yes = len(start.centre.low), jnp.ones((), bool)
    first = (start, start, yes, yes, (steps >= 0) & (steps < phase.longest))
    (state, last, *flags), _ = jax.lax.scan(one, first, jnp.arange(phase.longest + 1))
    return Passed(through(lambda x: phase.exit(parameters, x[:size], x[size:]), joined(last, state)), *flags)
