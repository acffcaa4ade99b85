"""Sound bounds of a long chain of maps over many small boxes, by its slopes.

Behind k links, a state lies in c_k + S_k (z - z_0) for the z of a box: c_k bounds the chain at the middle z_0, and S_k
its Jacobian over the box, link by link. What cancels in the Jacobian is not added up, as it is when intervals alone are
sent through the chain. Links must be continuous; where one has no slope, the hull of those around it is taken.

A link's program is read once, and its primitives are called one by one on all boxes: compiled as a whole, XLA would
compute what several of them share again for each, thousandfold.

Source: Moore, Kearfott & Cloud 2009, Introduction to Interval Analysis, sec. 6.3 and 10.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.interval import Interval, exact, product, walked, widened

Map = Callable[[Any, jax.Array], jax.Array]
"""(parameters, (m,)) -> (k,)."""


class Enclosure(NamedTuple):
    """What a chain makes of B boxes.

    Attributes:
      centre: (B, m) at the middles of the boxes.
      slope: (B, m, n) against the boxes.
      reach: (B, n) the boxes, less their middles.
    """

    centre: Interval
    slope: Interval
    reach: Interval

    def box(self) -> Interval:
        """All states, (B, m)."""
        reach = Interval(self.reach.low[..., None], self.reach.high[..., None])
        moved = product(self.slope, reach)
        return widened(self.centre.low + moved.low[..., 0], self.centre.high + moved.high[..., 0])

    def less(self, other: Enclosure, factor: float) -> Enclosure:
        """The difference from `factor` times another chain of the same boxes."""

        def difference(a: Interval, b: Interval) -> Interval:
            sizes = [jnp.maximum(jnp.abs(side.low), jnp.abs(side.high)) for side in (a, b)]
            return widened(a.low - factor * b.high, a.high - factor * b.low, sizes[0] + factor * sizes[1])

        return Enclosure(difference(self.centre, other.centre), difference(self.slope, other.slope), self.reach)

    def where(self, which: jax.Array, other: Enclosure) -> Enclosure:
        """This one for the boxes in `which` (B,) bool, the other one for the others."""

        def choose(a: jax.Array, b: jax.Array) -> jax.Array:
            return jnp.where(which.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

        chosen: Enclosure = jax.tree.map(choose, self, other)
        return chosen


def begin(low: jax.Array, high: jax.Array) -> Enclosure:
    """The boxes (B, n) themselves."""
    centre = (low + high) / 2
    same = jnp.broadcast_to(jnp.eye(low.shape[1]), (*low.shape, low.shape[1]))
    reach = widened(low - centre, high - centre, jnp.maximum(jnp.abs(low), jnp.abs(high)))
    return Enclosure(Interval(centre, centre + 0.0), Interval(same, same + 0.0), reach)


@lru_cache(maxsize=256)
def _program(link: Map, sloping: bool, tree: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The program of a link on boxes, or of its Jacobian: of the leaves of its parameters, and the states."""

    def many(leaves: list[jax.Array], states: jax.Array) -> jax.Array:
        parameters = jax.tree.unflatten(tree, leaves)

        def one(state: jax.Array) -> jax.Array:
            return link(parameters, state)

        return jax.vmap(jax.jacfwd(one) if sloping else one)(states)

    *leaves, states = (jnp.zeros(shape) for shape in shapes)
    return jax.make_jaxpr(many)(leaves, states)


def bounds(link: Map, parameters: Any, box: Interval, sloping: bool = False) -> Interval:
    """Bounds (B, k) of a link over boxes (B, m), or (B, k, m) of its Jacobian."""
    leaves, tree = jax.tree.flatten(parameters)
    shapes = (*(leaf.shape for leaf in leaves), box.low.shape)
    return walked(_program(link, sloping, tree, shapes), [*map(exact, leaves), box])


def through(link: Map, parameters: Any, before: Enclosure) -> Enclosure:
    """Behind another link of the chain."""
    slope = bounds(link, parameters, before.box(), sloping=True)
    return Enclosure(bounds(link, parameters, before.centre), product(slope, before.slope), before.reach)


def joined(first: Enclosure, second: Enclosure) -> Enclosure:
    """Two chains of the same boxes, side by side: (B, m + k)."""
    centre, slope = (
        Interval(*(jnp.concatenate(sides, axis=1) for sides in zip(a, b, strict=True)))
        for a, b in ((first.centre, second.centre), (first.slope, second.slope))
    )
    return Enclosure(centre, slope, first.reach)
