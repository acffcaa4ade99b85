"""Return maps of a mode: hops from apex to apex, or strides from impact to impact, and a function V of their states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.enclosure import Map
from haltere.policies.hybrid.phase import Counted, Phase, count

BATCH = 256
"""Rows that are looked at together."""


@dataclass(frozen=True)
class ReturnMap:
    """A return map, and V; all functions of (parameters, array).

    Attributes:
      begin: state (n,) -> (m,) with which the first phase begins.
      phases: one behind the other.
      end: (m,) behind the last one -> next state (n,).
      value: state (n,) -> V (1,).
      states: n.
    """

    begin: Map
    phases: tuple[Phase, ...]
    end: Map
    value: Map
    states: int


def passed_through(returns: ReturnMap, parameters: Any, state: jax.Array) -> tuple[jax.Array, list[Counted]]:
    """The state with which the first phase begins, and how each of them went."""
    begun = returns.begin(parameters, state)
    ways: list[Counted] = []
    for phase in returns.phases:
        ways.append(count(phase, parameters, ways[-1].end if ways else begun))
    return begun, ways


def follow(returns: ReturnMap, parameters: Any, state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The next state (n,); for each phase (P,) the lesser of two likely numbers of steps; whether all is as told."""
    _, ways = passed_through(returns, parameters, state)
    known = jnp.stack([way.known for way in ways]).all()
    return returns.end(parameters, ways[-1].end), jnp.stack([way.lower() for way in ways]), known


@partial(jax.jit, static_argnums=0)
def middles(
    returns: ReturnMap, parameters: Any, middle: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """From states (B, n): V there and after it (B,), the lesser likely numbers of steps (B, P), whether all is told."""

    def one(state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        after, lower, told = follow(returns, parameters, state)
        return returns.value(parameters, state)[0], returns.value(parameters, after)[0], lower, told

    found: tuple[jax.Array, jax.Array, jax.Array, jax.Array] = jax.vmap(one)(middle)
    return found


def of_batches(function: Callable[..., Any], *arguments: Any) -> Any:
    """Of a function on batches: its results on as many rows as there are, as NumPy arrays."""
    count = len(jax.tree.leaves(arguments)[0])
    found = []
    for begin in range(0, count, BATCH):
        number = min(BATCH, count - begin)

        def some(leaf: Any, begin: int = begin, number: int = number) -> jax.Array:
            rows = np.asarray(leaf[begin : begin + number])
            return jnp.asarray(np.pad(rows, ((0, BATCH - number), *((0, 0),) * (rows.ndim - 1)), mode="edge"))

        def cut(leaf: jax.Array, number: int = number) -> np.ndarray:
            """Results may be of several times as many rows, for one after the other."""
            rows = np.asarray(leaf)
            return rows.reshape(len(rows) // BATCH, BATCH, *rows.shape[1:])[:, :number]

        found.append(jax.tree.map(cut, function(*jax.tree.map(some, arguments))))
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *found)
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), whole)
