"""Sound bounds of JAX functions over boxes: interval arithmetic on the function's own program.

The program (jaxpr) is walked once, with each primitive replaced by one on intervals; every result is widened by more
than its rounding error, so that bounds hold for the real numbers. Bounds by the mean value theorem, through the
gradient's program, are tighter on small boxes; the two are intersected.

Source: Moore, Kearfott & Cloud 2009, Introduction to Interval Analysis, sec. 5-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from haltere.policies.errors import ConfigError

RELATIVE, ABSOLUTE = 1e-11, 1e-280
"""Widening of each result, for float64 and sums of up to some ten thousand terms."""


class Interval(NamedTuple):
    """Numbers between two arrays of one shape, both included."""

    low: jax.Array
    high: jax.Array


Scalar = Callable[[jax.Array], jax.Array]
"""(n,) -> ()."""


def exact(value: Any) -> Interval:
    """A number, or an array of them."""
    array = jnp.asarray(value)
    return Interval(array, array)


def widened(low: jax.Array, high: jax.Array, size: jax.Array | None = None) -> Interval:
    """Outwards by the rounding error of numbers up to `size`."""
    size = jnp.maximum(jnp.abs(low), jnp.abs(high)) if size is None else size
    slack = RELATIVE * size + ABSOLUTE
    return Interval(low - slack, high + slack)


def _multiply(a: Interval, b: Interval) -> Interval:
    corners = jnp.stack([x * y for x in a for y in b])
    return widened(corners.min(0), corners.max(0))


def _divide(a: Interval, b: Interval) -> Interval:
    apart = (b.low > 0) | (b.high < 0)
    low, high = jnp.where(apart, 1 / b.high, -jnp.inf), jnp.where(apart, 1 / b.low, jnp.inf)
    found = _multiply(a, Interval(low, high))
    return Interval(jnp.where(apart, found.low, -jnp.inf), jnp.where(apart, found.high, jnp.inf))


def _power(a: Interval, exponent: int) -> Interval:
    if exponent < 0:
        return _divide(exact(jnp.ones_like(a.low)), _power(a, -exponent))
    low, high = a.low**exponent, a.high**exponent
    if exponent % 2:
        return widened(low, high)
    within = (a.low <= 0) & (a.high >= 0)
    return widened(jnp.where(within, 0.0, jnp.minimum(low, high)), jnp.maximum(low, high))


def _dot(a: Interval, b: Interval, **how: Any) -> Interval:
    """Middle and half width of a product of matrices."""
    middles = [(x.low + x.high) / 2 for x in (a, b)]
    radii = [(x.high - x.low) / 2 for x in (a, b)]
    sizes = [jnp.abs(middle) for middle in middles]

    def dot(x: jax.Array, y: jax.Array) -> jax.Array:
        product: jax.Array = jax.lax.dot_general_p.bind(x, y, **how)
        return product

    middle = dot(*middles)
    radius = dot(sizes[0], radii[1]) + dot(radii[0], sizes[1]) + dot(*radii)
    return widened(middle - radius, middle + radius, dot(*sizes) + radius)


def _cosine(a: Interval) -> Interval:
    """Cosine, widened also by the rounding error of the angle."""
    ends = jnp.stack([jnp.cos(side) for side in a])
    turn, slack = 2 * jnp.pi, 1e-15 * (1 + jnp.maximum(jnp.abs(a.low), jnp.abs(a.high)))

    def meets(phase: float) -> jax.Array:
        first = jnp.ceil((a.low - slack - phase) / turn)
        return first * turn + phase <= a.high + slack

    low = jnp.where(meets(jnp.pi), -1.0, ends.min(0) - slack)
    high = jnp.where(meets(0.0), 1.0, ends.max(0) + slack)
    return widened(low, high)


def _sine(a: Interval) -> Interval:
    quarter = jnp.pi / 2
    return _cosine(Interval(a.low - quarter, a.high - quarter))


def _compare(name: str, a: Interval, b: Interval) -> Interval:
    """Of a comparison, whether it holds for sure, and whether it may hold."""
    compare = {"gt": jnp.greater, "ge": jnp.greater_equal, "lt": jnp.less, "le": jnp.less_equal}[name]
    sure, may = ((a.low, b.high), (a.high, b.low)) if name[0] == "g" else ((a.high, b.low), (a.low, b.high))
    return Interval(compare(*sure), compare(*may))


def _select(which: Interval, no: Interval, yes: Interval) -> Interval:
    """The case that is sure, or the hull of both."""
    low = jnp.where(which.low, yes.low, jnp.where(which.high, jnp.minimum(no.low, yes.low), no.low))
    high = jnp.where(which.low, yes.high, jnp.where(which.high, jnp.maximum(no.high, yes.high), no.high))
    return Interval(low, high)


MONOTONE = {"tanh", "exp", "log", "sqrt", "logistic", "max", "min"}
SHAPES = {
    *("reshape", "broadcast_in_dim", "transpose", "squeeze", "slice", "concatenate", "convert_element_type"),
    *("copy", "copy_p", "rev", "expand_dims", "stop_gradient", "dynamic_slice", "pad", "split", "stack"),
}
CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"}


def _rule(equation: Any, inputs: list[Interval]) -> list[Interval]:
    """The intervals of one primitive's results."""
    name, how = equation.primitive.name, equation.params
    if name in CALLS:
        inner = how.get("jaxpr", how.get("call_jaxpr"))
        return _walk(inner.jaxpr, inner.consts, inputs)
    if all(x.low is x.high for x in inputs):
        found = equation.primitive.bind(*(x.low for x in inputs), **how)
        found = found if equation.primitive.multiple_results else [found]
        sure = name in SHAPES or all(x.dtype == bool for x in found)
        return [exact(x) if sure else widened(x, x) for x in found]
    if name in ("add", "add_any"):
        return [widened(inputs[0].low + inputs[1].low, inputs[0].high + inputs[1].high)]
    if name == "sub":
        return [widened(inputs[0].low - inputs[1].high, inputs[0].high - inputs[1].low)]
    if name == "neg":
        return [Interval(-inputs[0].high, -inputs[0].low)]
    if name == "mul":
        if equation.invars[0] is equation.invars[1]:
            return [_power(inputs[0], 2)]
        return [_multiply(*inputs)]
    if name == "div":
        return [_divide(*inputs)]
    if name == "square":
        return [_power(inputs[0], 2)]
    if name == "integer_pow":
        return [_power(inputs[0], how["y"])]
    if name in ("cos", "sin"):
        return [_cosine(*inputs) if name == "cos" else _sine(*inputs)]
    if name in ("gt", "ge", "lt", "le"):
        return [_compare(name, *inputs)]
    if name == "select_n" and len(inputs) == 3 and equation.invars[0].aval.dtype == bool:
        return [_select(*inputs)]
    if name == "dot_general":
        return [_dot(*inputs, **how)]
    if name == "reduce_sum":
        size = equation.primitive.bind(jnp.maximum(jnp.abs(inputs[0].low), jnp.abs(inputs[0].high)), **how)
        low, high = (equation.primitive.bind(side, **how) for side in inputs[0])
        return [widened(low, high, size)]
    if name in MONOTONE or name in SHAPES:
        low, high = (equation.primitive.bind(*side, **how) for side in zip(*inputs, strict=True))
        if equation.primitive.multiple_results:
            return [Interval(*sides) for sides in zip(low, high, strict=True)]
        return [Interval(low, high) if name in SHAPES else widened(low, high)]
    raise ConfigError(f"no bound is known of the primitive {name}: write the function without it, or add a rule")


def _walk(jaxpr: Any, consts: Any, inputs: list[Interval]) -> list[Interval]:
    known: dict[Any, Interval] = {}

    def read(atom: Any) -> Interval:
        return exact(atom.val) if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(jaxpr.constvars, map(exact, consts), strict=True))
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        known.update(zip(equation.outvars, _rule(equation, [read(atom) for atom in equation.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def natural(function: Callable[[jax.Array], jax.Array], box: Interval) -> Interval:
    """Bounds of a function of one array over a box."""
    closed = jax.make_jaxpr(function)(box.low)
    (found,) = _walk(closed.jaxpr, closed.consts, [box])
    return found


def bound(function: Scalar, box: Interval) -> tuple[Interval, jax.Array]:
    """Bounds of a scalar function over a box (n,), and how much each coordinate adds to their width, (n,)."""
    plain = natural(function, box)
    centre = (box.low + box.high) / 2
    reach = Interval(box.low - centre, box.high - centre)
    slope = natural(jax.grad(function), box)
    parts = _multiply(slope, reach)
    at = natural(function, Interval(centre, centre + 0.0))
    low, high = widened(at.low + parts.low.sum(), at.high + parts.high.sum())
    return Interval(jnp.maximum(plain.low, low), jnp.minimum(plain.high, high)), parts.high - parts.low
