"""Sound bounds of a long chain of maps over a small box, by its slopes.

Behind k links, a state lies in c_k + S_k (z - z_0) for the z of the box: c_k bounds the chain at the middle z_0, and
S_k its Jacobian over the box, link by link. What cancels in the Jacobian is not added up, as it is when intervals alone
are sent through the chain. Links must be continuous; where one has no slope, the hull of those around it is taken.

Source: Moore, Kearfott & Cloud 2009, Introduction to Interval Analysis, sec. 6.3 and 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid.interval import Interval, natural, product, widened

Link = Callable[[jax.Array], jax.Array]
"""(m,) -> (k,)."""


class Enclosure(NamedTuple):
    """What a chain makes of a box.

    Attributes:
      centre: (m,) at the middle of the box.
      slope: (m, n) against the box.
      reach: (n,) the box, less its middle.
    """

    centre: Interval
    slope: Interval
    reach: Interval

    def box(self) -> Interval:
        """All states, (m,)."""
        moved = product(self.slope, self.reach)
        return widened(self.centre.low + moved.low, self.centre.high + moved.high)

    def less(self, other: Enclosure, factor: float) -> Enclosure:
        """The difference from `factor` times another chain of the same box."""

        def difference(a: Interval, b: Interval) -> Interval:
            sizes = [jnp.maximum(jnp.abs(side.low), jnp.abs(side.high)) for side in (a, b)]
            return widened(a.low - factor * b.high, a.high - factor * b.low, sizes[0] + factor * sizes[1])

        return Enclosure(difference(self.centre, other.centre), difference(self.slope, other.slope), self.reach)


def begin(low: jax.Array, high: jax.Array) -> Enclosure:
    """The box (n,) itself."""
    centre = (low + high) / 2
    same = jnp.eye(len(low))
    reach = widened(low - centre, high - centre, jnp.maximum(jnp.abs(low), jnp.abs(high)))
    return Enclosure(Interval(centre, centre + 0.0), Interval(same, same + 0.0), reach)


def through(link: Link, before: Enclosure) -> Enclosure:
    """Behind another link of the chain."""
    slope = natural(jax.jacfwd(link), before.box())
    return Enclosure(natural(link, before.centre), product(slope, before.slope), before.reach)


def joined(first: Enclosure, second: Enclosure) -> Enclosure:
    """Two chains of the same box, side by side: (m + k,)."""
    centre, slope = (
        Interval(*(jnp.concatenate(sides) for sides in zip(a, b, strict=True)))
        for a, b in ((first.centre, second.centre), (first.slope, second.slope))
    )
    return Enclosure(centre, slope, first.reach)
