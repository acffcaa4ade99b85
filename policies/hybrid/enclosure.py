"""Sound bounds of a long chain of maps over many small boxes.

Behind k links, a state is c + S z + z' Q z + E w, with z the place in its box and w unknown, all of them between -1 and
1. A link takes c to its value there; S, Q and E by its Jacobian at c; and the middle of its second derivative over all
these states makes more of Q from S. How far the second derivative differs from its middle, and what it makes of Q and
E, is a new error. What cancels is not added up, as it is when intervals alone are sent through the chain; and errors
that are told apart shrink where the maps contract, although their sums by coordinates would grow. Links must be
continuous; where a slope may jump, the middle of all slopes is taken instead, except where a coordinate is only
limited (`Limit`).

Source: Taylor models as of Makino & Berz 2003, International Journal of Pure and Applied Mathematics 4, with errors by
affine arithmetic as of de Figueiredo & Stolfi 2004, Numerical Algorithms 37; the smallest errors are put together along
the axes of a QR decomposition as of Lohner 1987, in Computer Arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import network
from haltere.policies.hybrid.interval import RELATIVE, Interval, exact, walked, widened
from haltere.policies.hybrid.network import Layer, Network

Map = Callable[[Any, jax.Array], jax.Array]
"""(parameters, (m,)) -> (k,)."""
UNFUSED = {"xla_disable_hlo_passes": "fusion"}
"""For XLA: fused, what several primitives share would be computed again for each, thousandfold."""
KEPT = 64
"""Errors of a chain that are told apart."""


class Enclosure(NamedTuple):
    """What a chain makes of B boxes.

    Attributes:
      centre: (B, m).
      spread: (B, m, n) by the place in the box, -1 to 1 along each of its coordinates.
      bend: (B, m, n, n) by the products of two of these.
      error: (B, m, p) by p unknown numbers, -1 to 1.
    """

    centre: jax.Array
    spread: jax.Array
    bend: jax.Array
    error: jax.Array

    def rest(self) -> jax.Array:
        """How far (B, m) states may be from where the spread puts them."""
        rest: jax.Array = jnp.abs(self.bend).sum((2, 3)) + jnp.abs(self.error).sum(2)
        return rest

    def radius(self) -> jax.Array:
        """Half widths (B, m) of `box`."""
        radius: jax.Array = (jnp.abs(self.spread).sum(2) + self.rest()) * (1 + RELATIVE)
        return radius

    def box(self) -> Interval:
        """All states, (B, m)."""
        radius = self.radius()
        return widened(self.centre - radius, self.centre + radius, jnp.abs(self.centre) + radius)

    def missed(self, by: jax.Array | float) -> Enclosure:
        """With more errors, in each coordinate by (B, m) or a number."""
        size = jnp.broadcast_to(by, self.centre.shape) + RELATIVE * (jnp.abs(self.centre) + self.radius())
        return self._replace(error=jnp.concatenate([self.error, size[..., None] * jnp.eye(size.shape[1])], axis=2))

    def less(self, other: Enclosure, factor: float) -> Enclosure:
        """The difference from `factor` times another chain of the same boxes."""
        error = jnp.concatenate([self.error, factor * other.error], axis=2)
        lost = RELATIVE * factor * (jnp.abs(other.centre) + other.radius() + self.radius())
        centre, spread, bend = (mine - factor * theirs for mine, theirs in zip(self[:3], other[:3], strict=True))
        return Enclosure(centre, spread, bend, error).missed(lost)

    def reduced(self) -> Enclosure:
        """With KEPT errors: the largest, and a box, along orthogonal axes, around what the smaller ones can add up to.

        Sizes are those of the state's units, which should be such that none outweighs the others.
        """
        most, states = KEPT - self.centre.shape[1], self.centre.shape[1]
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


def begin(low: jax.Array, high: jax.Array) -> Enclosure:
    """The boxes (B, n) themselves."""
    centre = (low + high) / 2
    reach = jnp.maximum(high - centre, centre - low) + RELATIVE * jnp.maximum(jnp.abs(low), jnp.abs(high))
    count = low.shape[1]
    bend = jnp.zeros((*low.shape, count, count))
    return Enclosure(centre, reach[..., None] * jnp.eye(count), bend, jnp.zeros((*low.shape, 0)))


@lru_cache(maxsize=256)
def _program(link: Map, order: int, tree: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The program of a link on boxes, or of its derivatives: of the leaves of its parameters, and the states."""

    def many(leaves: list[jax.Array], states: jax.Array) -> jax.Array:
        parameters = jax.tree.unflatten(tree, leaves)

        def one(state: jax.Array) -> jax.Array:
            return link(parameters, state)

        wide = jax.eval_shape(one, states[0]).shape[0] < states.shape[1]
        slope = (jax.jacrev if wide else jax.jacfwd)(one)
        found: jax.Array = jax.vmap((one, slope, jax.jacfwd(slope))[order])(states)
        return found

    *leaves, states = (jnp.zeros(shape) for shape in shapes)
    return jax.make_jaxpr(many)(leaves, states)


def bounds(link: Map, parameters: Any, box: Interval) -> Interval:
    """Bounds (B, k) of a link over boxes (B, m)."""
    return _derivative(0, link, parameters, box)[0]


def _derivative(order: int, link: Map, parameters: Any, box: Interval) -> tuple[Interval, jax.Array | None]:
    """Bounds (B, k) of a link over boxes (B, m), (B, k, m) of its slopes, or of theirs; and whether they may jump."""
    leaves, tree = jax.tree.flatten(parameters)
    shapes = (*(leaf.shape for leaf in leaves), box.low.shape)
    return walked(_program(link, order, tree, shapes), [*map(exact, leaves), box], len(box.low))


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
        """By the chord over all values of the coordinate, and one more error: how much the limits differ from that."""
        low, high = (side[:, self.row] for side in before.box())
        ends = [jnp.clip(side, self.low, self.high) for side in (low, high)]
        slope = jnp.clip((ends[1] - ends[0]) / jnp.maximum(high - low, 1e-300), 0.0, 1.0)
        # Beside the chord, the limits are farthest where they set in.
        corners = [jnp.clip(jnp.full_like(low, corner), low, high) for corner in (self.low, self.high)]
        apart = [jnp.clip(place, self.low, self.high) - slope * place for place in (low, high, *corners)]
        most, least = reduce(jnp.maximum, apart), reduce(jnp.minimum, apart)
        scale = jnp.ones_like(before.centre).at[:, self.row].set(slope)
        moved = Enclosure(
            (scale * before.centre).at[:, self.row].add((most + least) / 2),
            scale[..., None] * before.spread,
            scale[..., None, None] * before.bend,
            scale[..., None] * before.error,
        )
        size = (most - least) / 2 + RELATIVE * (jnp.abs(before.centre[:, self.row]) + jnp.maximum(abs(low), abs(high)))
        column = jnp.zeros((*before.centre.shape, 1)).at[:, self.row, 0].set(size)
        return moved._replace(error=jnp.concatenate([moved.error, column], axis=2))


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
    centre = before.centre @ layer.weight.T + layer.bias
    sizes = (jnp.abs(before.centre) + before.radius()) @ jnp.abs(layer.weight).T + jnp.abs(layer.bias)
    bend = jnp.einsum("om,bmxy->boxy", layer.weight, before.bend)
    return Enclosure(centre, layer.weight @ before.spread, bend, layer.weight @ before.error), RELATIVE * sizes


def _tanh(before: Enclosure, lost: jax.Array) -> Enclosure:
    """By slope and bend at the middle of each coordinate, or, where that is closer, by the chord over its values."""
    reach, rest = before.radius() + lost, before.rest() + lost
    low, high = before.centre - reach, before.centre + reach
    chord = jnp.clip((jnp.tanh(high) - jnp.tanh(low)) / jnp.maximum(high - low, 1e-300), 0.0, 1.0)
    # It is farthest from the chord where it has the chord's slope, or at the ends.
    turn = jnp.arctanh(jnp.sqrt(1 - chord))
    places = [low, high, jnp.clip(turn, low, high), jnp.clip(-turn, low, high)]
    apart = [jnp.tanh(place) - chord * place for place in places]
    most, least = reduce(jnp.maximum, apart), reduce(jnp.minimum, apart)
    # Its second derivative, by its value, is steepest where that is one over the root of three.
    ends, steepest, here = (jnp.tanh(low), jnp.tanh(high)), 3**-0.5, jnp.tanh(before.centre)
    values = [*ends, jnp.clip(steepest, *ends), jnp.clip(-steepest, *ends)]
    bends = [2 * value * (value**2 - 1) for value in values]
    upper, lower = reduce(jnp.maximum, bends), reduce(jnp.minimum, bends)
    bend = (upper + lower) / 2
    off = (upper - lower) / 2 * reach**2 / 2 + jnp.abs(bend) * (reach - rest / 2) * rest
    close = off < (most - least) / 2
    slope = jnp.where(close, 1 - here**2, chord)
    product = before.spread[..., :, None] * before.spread[..., None, :]
    moved = Enclosure(
        jnp.where(close, here, slope * before.centre + (most + least) / 2),
        slope[..., None] * before.spread,
        slope[..., None, None] * before.bend + jnp.where(close, bend / 2, 0.0)[..., None, None] * product,
        slope[..., None] * before.error,
    )
    missed = jnp.minimum(off, (most - least) / 2)
    return moved.missed(missed + slope * lost + RELATIVE * (1 + jnp.abs(before.centre) + reach * (1 + reach)))


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
    point = Interval(before.centre, before.centre + 0.0)
    value = bounds(link, parameters, point)
    after, off, jumps = _curved(link, parameters, before, point)
    if jumps is not None:
        straight, away = _straight(link, parameters, before)
        after, off = straight.where(jumps, after), jnp.where(jumps[:, None], away, off)
    return after._replace(centre=(value.low + value.high) / 2).missed(off + (value.high - value.low) / 2)


def _straight(link: Map, parameters: Any, before: Enclosure) -> tuple[Enclosure, jax.Array]:
    """Changes of a link's value by the middle of its slopes over all the states; and how far off they are, (B, k)."""
    slope, away = _halves(_derivative(1, link, parameters, before.box())[0])
    return _along(slope, before), (away @ before.radius()[..., None])[..., 0]


def _curved(
    link: Map, parameters: Any, before: Enclosure, point: Interval
) -> tuple[Enclosure, jax.Array, jax.Array | None]:
    """The same by its slopes in the middle, and the middle of how these change; and where they jump instead, (B,)."""
    slope, lost = _halves(_derivative(1, link, parameters, point)[0])
    change, jumps = _derivative(2, link, parameters, before.box())
    # Not all choices need be left in the program of the second derivative.
    _, choices = _derivative(0, link, parameters, before.box())
    left = [doubt for doubt in (jumps, choices) if doubt is not None]
    bend, away = _halves(change)
    reach, rest = before.radius(), before.rest()
    either = (jnp.abs(bend) + jnp.swapaxes(jnp.abs(bend), 2, 3)) / 2
    off = jnp.einsum("bkij,bi,bj->bk", away, reach, reach) / 2 + jnp.einsum("bkij,bi,bj->bk", either, reach, rest)
    moved = _along(slope, before)
    product = jnp.einsum("bkij,bix,bjy->bkxy", bend, before.spread, before.spread)
    off += (lost @ reach[..., None])[..., 0]
    return moved._replace(bend=moved.bend + product / 2), off, reduce(jnp.logical_or, left) if left else None


def _halves(bounds: Interval) -> tuple[jax.Array, jax.Array]:
    """Middle, and half of the width, with what rounding may add to products with these."""
    middle = (bounds.low + bounds.high) / 2
    return middle, (bounds.high - bounds.low) / 2 + RELATIVE * jnp.abs(middle)


def _along(slope: jax.Array, before: Enclosure) -> Enclosure:
    """Changes from the centre, by slopes (B, k, m)."""
    none = jnp.zeros(slope.shape[:2])
    bend = jnp.einsum("bkm,bmxy->bkxy", slope, before.bend)
    return Enclosure(none, slope @ before.spread, bend, slope @ before.error)


through_at_once = jax.jit(through, static_argnums=0, compiler_options=UNFUSED)
"""`through`, compiled."""


def joined(first: Enclosure, second: Enclosure) -> Enclosure:
    """Two chains of the same boxes, side by side, (B, m + k); the first errors of the second are those of the first."""
    more = second.error.shape[2] - first.error.shape[2]
    longer = jnp.pad(first.error, ((0, 0), (0, 0), (0, more)))
    return Enclosure(
        *(jnp.concatenate(sides, axis=1) for sides in zip(first._replace(error=longer), second, strict=True))
    )
