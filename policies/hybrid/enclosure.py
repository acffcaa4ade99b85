"""Sound bounds of a long chain of maps over many small boxes.

Behind k links, a state is P(z) + E w, with z the place in its box, P a polynomial, and w unknown, all of them between
-1 and 1. A link makes a Taylor model of P; E is multiplied by the middle of the link's slopes over all these states,
and how far these differ from it is a new error, as is the rest of the Taylor model. What cancels is not added up, as it
is when intervals alone are sent through the chain; and errors that are told apart shrink where the maps contract,
although their sums by coordinates would grow. Links must be continuous; their slopes may jump.

Source: Taylor models as of Makino & Berz 2003, International Journal of Pure and Applied Mathematics 4, with errors by
affine arithmetic as of de Figueiredo & Stolfi 2004, Numerical Algorithms 37; the smallest errors are put together along
the axes of a QR decomposition as of Lohner 1987, in Computer Arithmetic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import network
from haltere.policies.hybrid.interval import RELATIVE, Interval, widened
from haltere.policies.hybrid.network import Layer, Network
from haltere.policies.hybrid.taylor import Algebra, Model, monomials

Map = Callable[[Any, jax.Array], jax.Array]
"""(parameters, (m,)) -> (k,)."""
UNFUSED = {"xla_disable_hlo_passes": "fusion"}
"""For XLA: fused, what several primitives share would be computed again for each, thousandfold."""
KEPT = 64
"""Errors of a chain that are told apart."""
ORDER = 3
"""Largest degree of its polynomials."""


class Enclosure(NamedTuple):
    """What a chain makes of B boxes.

    Attributes:
      terms: (B, m, N) of polynomials of the place in the box, -1 to 1 along each coordinate; up to `ORDER`, see
        `taylor.monomials`.
      error: (B, m, p) by p unknown numbers, -1 to 1.
    """

    terms: jax.Array
    error: jax.Array

    @property
    def centre(self) -> jax.Array:
        """(B, m)."""
        return self.terms[..., 0]

    @property
    def places(self) -> int:
        """Coordinates n of the box, as the number of its polynomials' terms tells."""
        return next(n for n in itertools.count(1) if math.comb(n + ORDER, ORDER) == self.terms.shape[-1])

    @property
    def spread(self) -> jax.Array:
        """(B, m, n) by the place in the box, to first order."""
        return self.terms[..., 1 : 1 + self.places]

    def radius(self) -> jax.Array:
        """Half widths (B, m) of `box`."""
        radius: jax.Array = (jnp.abs(self.terms[..., 1:]).sum(2) + jnp.abs(self.error).sum(2)) * (1 + RELATIVE)
        return radius

    def box(self) -> Interval:
        """All states, (B, m)."""
        radius = self.radius()
        return widened(self.centre - radius, self.centre + radius, jnp.abs(self.centre) + radius)

    def missed(self, by: jax.Array | float) -> Enclosure:
        """With more errors, in each coordinate by (B, m) or a number."""
        size = jnp.broadcast_to(by, self.centre.shape) + RELATIVE * (jnp.abs(self.centre) + self.radius())
        return self._replace(error=jnp.concatenate([self.error, size[..., None] * jnp.eye(size.shape[1])], axis=2))

    def steep(self) -> jax.Array:
        """How much narrower this were if the box were narrower along each coordinate of its place, (B, n); about.

        Errors come from bends: each is told to a coordinate by its part in the terms above the first order.
        """
        straight = jnp.abs(self.spread).sum(1)
        powers = np.array(monomials(self.places, ORDER)[1 + self.places :])
        bent = jnp.abs(self.terms[..., 1 + self.places :]).sum(1) @ (powers / powers.sum(1, keepdims=True))
        share = (bent + 1e-9 * straight) / jnp.maximum((bent + 1e-9 * straight).sum(1, keepdims=True), 1e-300)
        steep: jax.Array = straight + bent + share * jnp.abs(self.error).sum((1, 2))[:, None]
        return steep

    def less(self, other: Enclosure, factor: float) -> Enclosure:
        """The difference from `factor` times another chain of the same boxes."""
        error = jnp.concatenate([self.error, factor * other.error], axis=2)
        lost = RELATIVE * factor * (jnp.abs(other.centre) + other.radius() + self.radius())
        return Enclosure(self.terms - factor * other.terms, error).missed(lost)

    def part(self, substitution: np.ndarray | jax.Array) -> Enclosure:
        """The same for a part of each box, by the (N, N) of `taylor.substitution`."""
        size = jnp.abs(self.terms).sum(2)
        return self._replace(terms=self.terms @ substitution).missed(RELATIVE * size)

    def gathered(self, old: int) -> Enclosure:
        """With the errors behind the first `old` ones added up by coordinate."""
        fresh = jnp.abs(self.error[:, :, old:]).sum(2) * (1 + RELATIVE)
        box = fresh[..., None] * jnp.eye(fresh.shape[1])
        return self._replace(error=jnp.concatenate([self.error[:, :, :old], box], axis=2))

    def reduced(self) -> Enclosure:
        """With KEPT errors: the largest, and a box, along orthogonal axes, around what the smaller ones can add up to.

        Sizes are those of the state's units, which should be such that none outweighs the others.
        """
        states = self.terms.shape[1]
        most = KEPT - states
        error = jnp.pad(self.error, ((0, 0), (0, 0), (0, max(0, KEPT - self.error.shape[2]))))
        order = jnp.argsort(-jnp.square(error).sum(1), axis=1)
        error = jnp.take_along_axis(error, order[:, None], axis=2)
        small = error[:, :, most:]
        axes = jnp.linalg.qr(small[:, :, :states])[0]
        along = jnp.abs(jnp.swapaxes(axes, 1, 2) @ small).sum(2)
        # The axes are orthogonal to some 1e-15 only.
        along += RELATIVE * jnp.abs(small).sum((1, 2))[:, None]
        return self._replace(error=jnp.concatenate([error[:, :, :most], axes * along[:, None]], axis=2))

    def where(self, which: jax.Array, other: Enclosure) -> Enclosure:
        """This one for the boxes in `which` (B,) bool, the other one for the others."""

        def choose(a: jax.Array, b: jax.Array) -> jax.Array:
            return jnp.where(which.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

        chosen: Enclosure = jax.tree.map(choose, self, other)
        return chosen


def begin(low: jax.Array, high: jax.Array, axes: jax.Array | None = None) -> Enclosure:
    """The boxes (B, n) themselves, along orthogonal axes (n, n), the columns, or along those of the state."""
    count = low.shape[1]
    axes = jnp.eye(count) if axes is None else axes
    centre = (low + high) / 2
    reach = jnp.maximum(high - centre, centre - low)
    # Turned, rounding in one coordinate comes to be in all of them.
    reach += RELATIVE * jnp.maximum(jnp.abs(low), jnp.abs(high)).sum(1, keepdims=True)
    terms = jnp.concatenate([(centre @ axes.T)[..., None], axes * reach[:, None]], axis=2)
    lacking = len(monomials(count, ORDER)) - terms.shape[2]
    return Enclosure(jnp.pad(terms, ((0, 0), (0, 0), (0, lacking))), jnp.zeros((*low.shape, 0)))


@dataclass(frozen=True)
class Limit:
    """A link that keeps one coordinate within limits.

    Attributes:
      row: of the state.
      low: limit.
      high: limit.
    """

    row: int
    low: float
    high: float

    def __call__(self, parameters: Any, state: jax.Array) -> jax.Array:
        """(m,) -> (m,)."""
        return state.at[self.row].set(jnp.clip(state[self.row], self.low, self.high))

    def through(self, before: Enclosure) -> Enclosure:
        """By the chord over all values of the coordinate, or by a parabola around the one limit that is in reach."""
        moved, lost = _closer(self._chord(before), self._parabola(before))
        terms = before.terms.at[:, self.row].set(moved.terms[:, 0])
        error = before.error.at[:, self.row].set(moved.error[:, 0])
        column = jnp.zeros((*before.centre.shape, 1)).at[:, self.row, 0].set(lost)
        return Enclosure(terms, jnp.concatenate([error, column], axis=2))

    def _reach(self, before: Enclosure) -> tuple[jax.Array, jax.Array]:
        """Middle and half width (B,) of the coordinate."""
        low, high = (side[:, self.row] for side in before.box())
        half = (high - low) / 2 + RELATIVE * jnp.maximum(jnp.abs(low), jnp.abs(high))
        return (low + high) / 2, jnp.maximum(half, 1e-300)

    def _apart(
        self, reach: tuple[jax.Array, jax.Array], factors: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        """Middle and half width (B,) of what lies between the limits and a parabola of -1 to 1.

        On each straight piece it is farthest at the ends, or where the parabola has the slope of that.
        """
        (middle, half), (fixed, slope, bend) = reach, factors
        places = [jnp.full_like(half, -1.0), jnp.ones_like(half)]
        places += [(limit - middle) / half for limit in (self.low, self.high)]
        places += [(piece - slope) / jnp.where(bend == 0, 1.0, 2 * bend) for piece in (0.0, half)]
        found = []
        for place in places:
            x = jnp.clip(place, -1.0, 1.0)
            found.append(jnp.clip(middle + half * x, self.low, self.high) - (fixed + slope * x + bend * x**2))
        most, least = reduce(jnp.maximum, found), reduce(jnp.minimum, found)
        return (most + least) / 2, (most - least) / 2 + RELATIVE * (jnp.abs(middle) + half)

    def _chord(self, before: Enclosure) -> tuple[Enclosure, jax.Array]:
        middle, half = self._reach(before)
        ends = [jnp.clip(middle + side * half, self.low, self.high) for side in (-1, 1)]
        fixed, slope = (ends[1] + ends[0]) / 2, (ends[1] - ends[0]) / 2
        apart, lost = self._apart((middle, half), (fixed, slope, jnp.zeros_like(half)))
        scale = jnp.clip(slope / half, 0.0, 1.0)
        moved = jax.tree.map(lambda leaf: scale[:, None, None] * leaf[:, self.row][:, None], before)
        begins = fixed + apart - scale * middle
        return moved._replace(terms=moved.terms.at[:, 0, 0].add(begins)), lost

    def _parabola(self, before: Enclosure) -> tuple[Enclosure, jax.Array]:
        """By Legendre's polynomials of |x - x0|, the bend as for x0 = 0 without weight; errors by the mean slope."""
        middle, half = self._reach(before)
        corners = [(limit - middle) / half for limit in (self.low, self.high)]
        inside = [jnp.abs(corner) < 1 for corner in corners]
        corner, sign = jnp.where(inside[0], corners[0], corners[1]), jnp.where(inside[0], 1.0, -1.0)
        limit = jnp.where(inside[0], self.low, self.high)
        corner = jnp.clip(corner, -1.0, 1.0)
        curve = (1 - corner**2) ** 2
        fixed = (middle + limit) / 2 + sign * half * ((1 + corner**2) / 4 - curve / 6)
        slope = half / 2 + sign * half * 0.75 * (corner**3 / 3 - corner)
        bend = sign * half * curve / 2
        apart, lost = self._apart((middle, half), (fixed, slope, bend))
        row = jax.tree.map(lambda leaf: leaf[:, self.row], before)
        place = Model(row.terms.at[:, 0].add(-middle) / half[:, None], RELATIVE * jnp.ones_like(half))
        square = Algebra(before.places, ORDER).product(place, place)
        terms = slope[:, None] * place.terms + bend[:, None] * square.terms
        terms = terms.at[:, 0].add(fixed + apart)
        lost += jnp.abs(slope) * place.rest + jnp.abs(bend) * square.rest
        lost += 2 * jnp.abs(bend) / half * jnp.abs(row.error).sum(1)
        lost = jnp.where(inside[0] != inside[1], lost, jnp.inf)
        return Enclosure(terms[:, None], (slope / half)[:, None, None] * row.error[:, None]), lost


def _closer(one: tuple[Enclosure, jax.Array], other: tuple[Enclosure, jax.Array]) -> tuple[Enclosure, jax.Array]:
    """Which of two has less of a new error (B,), box by box."""
    which = one[1] <= other[1]
    return one[0].where(which, other[0]), jnp.where(which, one[1], other[1])


@dataclass(frozen=True)
class Part:
    """A link of some coordinates; the others stay as they are.

    Attributes:
      link: (parameters, (r,)) -> (w,).
      reads: r rows of the state.
      writes: w rows of it.
    """

    link: Map
    reads: tuple[int, ...]
    writes: tuple[int, ...]

    def __call__(self, parameters: Any, state: jax.Array) -> jax.Array:
        """(m,) -> (m,)."""
        return state.at[np.array(self.writes)].set(self.link(parameters, state[np.array(self.reads)]))

    def through(self, parameters: Any, before: Enclosure) -> Enclosure:
        """The link's enclosure, in place of what was there."""
        reads, writes = np.array(self.reads), np.array(self.writes)
        after = through(self.link, parameters, jax.tree.map(lambda leaf: leaf[:, reads], before))
        new = after.error.shape[2] - before.error.shape[2]
        longer = before._replace(error=jnp.pad(before.error, ((0, 0), (0, 0), (0, new))))
        placed: Enclosure = jax.tree.map(lambda old, some: old.at[:, writes].set(some), longer, after)
        return placed


@dataclass(frozen=True)
class Layers:
    """A network of dense layers with tanh between them; its outputs stand behind the coordinates that it saw.

    Attributes:
      network: parameters -> the network.
      inputs: (parameters, (m,)) -> (i,), linear.
    """

    network: Callable[[Any], Network]
    inputs: Map

    def __call__(self, parameters: Any, state: jax.Array) -> jax.Array:
        """(m,) -> (m + k,)."""
        seen = self.inputs(parameters, state)[:, None]
        return jnp.concatenate([state, network.apply(self.network(parameters), seen)[:, 0]])

    def through(self, parameters: Any, before: Enclosure) -> Enclosure:
        """Layer by layer; each unit has an error of its own, so that those of one layer may cancel in the next."""
        *hidden, last = self.network(parameters)
        after = through(self.inputs, parameters, before)
        for layer in hidden:
            after = _tanh(*_dense(layer, after))
        outputs, lost = _dense(last, after)
        return joined(before, outputs.missed(lost))


def _dense(layer: Layer, before: Enclosure) -> tuple[Enclosure, jax.Array]:
    """Behind a layer, and what rounding may add to that, (B, outputs)."""
    sizes = (jnp.abs(before.centre) + before.radius()) @ jnp.abs(layer.weight).T + jnp.abs(layer.bias)
    terms = (layer.weight @ before.terms).at[..., 0].add(layer.bias)
    return Enclosure(terms, layer.weight @ before.error), RELATIVE * sizes


def _tanh(before: Enclosure, lost: jax.Array) -> Enclosure:
    """Each coordinate by itself: errors by the middle of its slopes."""
    moved = Algebra(before.places, ORDER).tanh(Model(before.terms, lost))
    reach = before.radius() + lost
    ends = [jnp.tanh(before.centre - reach), jnp.tanh(before.centre + reach)]
    least = jnp.where(ends[0] * ends[1] < 0, 0.0, jnp.minimum(*(end**2 for end in ends)))
    steep, flat = 1 - least, 1 - jnp.maximum(*(end**2 for end in ends))
    slope, away = (steep + flat) / 2, (steep - flat) / 2 + RELATIVE
    after = Enclosure(moved.terms, slope[..., None] * before.error)
    return after.missed(moved.rest + away * jnp.abs(before.error).sum(2))


@dataclass(frozen=True)
class Chain:
    """Links as one."""

    links: tuple[Map, ...]

    def __call__(self, parameters: Any, state: jax.Array) -> jax.Array:
        """(m,) -> (k,)."""
        for link in self.links:
            state = link(parameters, state)
        return state


def through(link: Map, parameters: Any, before: Enclosure) -> Enclosure:
    """Behind another link of the chain."""
    if isinstance(link, Chain):
        for part in link.links:
            before = through(part, parameters, before)
        return before
    if isinstance(link, Part | Layers):
        return link.through(parameters, before)
    if isinstance(link, Limit):
        return link.through(before)
    moved = jax.vmap(partial(Algebra(before.places, ORDER).expanded, link, parameters))(
        Model(before.terms, jnp.zeros_like(before.centre))
    )
    if not before.error.shape[2]:
        return Enclosure(moved.terms, jnp.zeros((*moved.rest.shape, 0))).missed(moved.rest)
    slopes = _slopes(link, parameters, before)
    middle, away = (slopes.low + slopes.high) / 2, (slopes.high - slopes.low) / 2
    away += RELATIVE * jnp.abs(middle)
    after = Enclosure(moved.terms, middle @ before.error)
    return after.missed(moved.rest + (away @ jnp.abs(before.error).sum(2)[..., None])[..., 0])


def _slopes(link: Map, parameters: Any, before: Enclosure) -> Interval:
    """Bounds (B, k, m) of a link's slopes over all states; they are followed to first order by the place in the box."""
    count = before.places + 1
    rest = jnp.abs(before.terms[..., count:]).sum(2) + jnp.abs(before.error).sum(2)
    line = Model(before.terms[..., :count], rest * (1 + RELATIVE))
    wide = jax.eval_shape(link, parameters, before.centre[0]).shape[0] < before.centre.shape[1]

    def slope(parameters: Any, state: jax.Array) -> jax.Array:
        found: jax.Array = (jax.jacrev if wide else jax.jacfwd)(partial(link, parameters))(state)
        return found

    return jax.vmap(partial(Algebra(before.places, 1).expanded, slope, parameters))(line).box()


through_at_once = jax.jit(through, static_argnums=0, compiler_options=UNFUSED)
"""`through`, compiled."""


def joined(first: Enclosure, second: Enclosure) -> Enclosure:
    """Two chains of the same boxes, side by side, (B, m + k); the first errors of the second are those of the first."""
    more = second.error.shape[2] - first.error.shape[2]
    longer = first._replace(error=jnp.pad(first.error, ((0, 0), (0, 0), (0, more))))
    return Enclosure(*(jnp.concatenate(sides, axis=1) for sides in zip(longer, second, strict=True)))
