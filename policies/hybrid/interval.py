"""Sound bounds of JAX functions over boxes: interval arithmetic on the function's own program.

The program (jaxpr) is walked once, with each primitive replaced by one on intervals; every result is widened by more
than its rounding error, so that bounds hold for the real numbers. Bounds by the mean value theorem, through the
gradient's program, are tighter on small boxes; the two are intersected, unless the function may jump in the box.

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
    # Not a stack that is reduced: XLA makes one loop of these, and of what is around them.
    near, far = (a.low * b.low, a.low * b.high), (a.high * b.low, a.high * b.high)
    low = jnp.minimum(jnp.minimum(*near), jnp.minimum(*far))
    high = jnp.maximum(jnp.maximum(*near), jnp.maximum(*far))
    return widened(low, high)


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


def _dot(a: Interval, b: Interval, dot: Callable[[jax.Array, jax.Array], jax.Array]) -> Interval:
    """Middle and half width of a product of matrices."""
    middles = [(x.low + x.high) / 2 for x in (a, b)]
    radii = [(x.high - x.low) / 2 for x in (a, b)]
    sizes = [jnp.abs(middle) for middle in middles]
    middle = dot(*middles)
    radius = dot(sizes[0], radii[1]) + dot(radii[0], sizes[1]) + dot(*radii)
    return widened(middle - radius, middle + radius, dot(*sizes) + radius)


def product(a: Interval, b: Interval) -> Interval:
    """Of matrices, or of a matrix and a vector."""
    return _dot(a, b, jnp.matmul)


def _cosine(a: Interval) -> Interval:
    """Cosine, widened also by the rounding error of the angle."""
    ends = [jnp.cos(side) for side in a]
    turn, slack = 2 * jnp.pi, 1e-15 * (1 + jnp.maximum(jnp.abs(a.low), jnp.abs(a.high)))

    def meets(phase: float) -> jax.Array:
        first = jnp.ceil((a.low - slack - phase) / turn)
        return first * turn + phase <= a.high + slack

    low = jnp.where(meets(jnp.pi), -1.0, jnp.minimum(*ends) - slack)
    high = jnp.where(meets(0.0), 1.0, jnp.maximum(*ends) + slack)
    return widened(low, high)


def _sine(a: Interval) -> Interval:
    quarter = jnp.pi / 2
    return _cosine(Interval(a.low - quarter, a.high - quarter))


def compared(name: str, a: Interval, b: Interval) -> Interval:
    """Of a comparison, whether it holds for sure, and whether it may; a bound that is no number decides nothing."""
    if name[0] == "l":
        a, b = b, a
    sure, never = (jnp.greater, jnp.less_equal) if name[1] == "t" else (jnp.greater_equal, jnp.less)
    return Interval(sure(a.low, b.high), ~never(a.high, b.low))


def _select(which: Interval, no: Interval, yes: Interval) -> Interval:
    """The case that is sure, or the hull of both."""
    low = jnp.where(which.low, yes.low, jnp.where(which.high, jnp.minimum(no.low, yes.low), no.low))
    high = jnp.where(which.low, yes.high, jnp.where(which.high, jnp.maximum(no.high, yes.high), no.high))
    return Interval(low, high)


MONOTONE = {"tanh", "exp", "log", "sqrt", "logistic", "max", "min"}
POSITIVE = {"log", "sqrt"}
"""These are asked only where they are defined: a lower bound below zero comes from widening."""
SHAPES = {
    *("reshape", "broadcast_in_dim", "transpose", "squeeze", "slice", "concatenate", "convert_element_type"),
    *("copy", "copy_p", "rev", "expand_dims", "stop_gradient", "pad", "split", "stack", "unstack"),
}
CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}

Doubts = list[jax.Array]
"""Of each choice, bool: whether the box leaves it open, so that the function may jump there."""


def _rule(equation: Any, inputs: list[Interval], doubts: Doubts) -> list[Interval]:
    """The intervals of one primitive's results."""
    name, how = equation.primitive.name, equation.params
    if name in CALLS:
        inner = how.get("jaxpr", how.get("call_jaxpr"))
        body, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
        return _walk(body, consts, inputs, doubts)
    if all(x.low is x.high for x in inputs) and name != "scan":
        found = equation.primitive.bind(*(x.low for x in inputs), **how)
        found = found if equation.primitive.multiple_results else [found]
        sure = name in SHAPES or not any(jnp.issubdtype(x.dtype, jnp.floating) for x in found)
        return [exact(x) if sure else widened(x, x) for x in found]
    if not all(jnp.issubdtype(x.low.dtype, jnp.floating) or x.low.dtype == bool for x in inputs if x.low is not x.high):
        raise ConfigError(f"no bound is known of the primitive {name} on whole numbers that are not known exactly")
    if name == "scan":
        return _scan(inputs, doubts, **how)
    if name == "convert_element_type" and not keeps(inputs[0].low.dtype, how["new_dtype"]):
        raise ConfigError(f"no bound is known of a conversion from {inputs[0].low.dtype} to {how['new_dtype']}")
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
    if name == "abs":
        within = (inputs[0].low <= 0) & (inputs[0].high >= 0)
        sides = [jnp.abs(side) for side in inputs[0]]
        return [Interval(jnp.where(within, 0.0, jnp.minimum(*sides)), jnp.maximum(*sides))]
    if name in ("gt", "ge", "lt", "le"):
        return [compared(name, *inputs)]
    if name == "select_n" and len(inputs) == 3 and equation.invars[0].aval.dtype == bool:
        doubts.append(inputs[0].low != inputs[0].high)
        return [_select(*inputs)]
    if name == "dot_general":
        return [_dot(inputs[0], inputs[1], lambda x, y: equation.primitive.bind(x, y, **how))]
    if name == "reduce_sum":
        size = equation.primitive.bind(jnp.maximum(jnp.abs(inputs[0].low), jnp.abs(inputs[0].high)), **how)
        low, high = (equation.primitive.bind(side, **how) for side in inputs[0])
        return [widened(low, high, size)]
    if name in MONOTONE or name in SHAPES:
        if name in POSITIVE:
            inputs = [Interval(jnp.maximum(inputs[0].low, 0.0), inputs[0].high)]
        low, high = (equation.primitive.bind(*side, **how) for side in zip(*inputs, strict=True))
        if equation.primitive.multiple_results:
            return [Interval(*sides) for sides in zip(low, high, strict=True)]
        return [Interval(low, high) if name in SHAPES else widened(low, high)]
    raise ConfigError(f"no bound is known of the primitive {name}: write the function without it, or add a rule")


def keeps(old: Any, new: Any) -> bool:
    """Whether a conversion keeps every number."""
    return bool(jnp.promote_types(old, new) == new) and not jnp.issubdtype(old, jnp.bool_)


def _scan(
    inputs: list[Interval], doubts: Doubts, *, jaxpr: Any, num_consts: int, num_carry: int, **how: Any
) -> list[Interval]:
    """A loop of known length: its body on intervals."""
    held, begin, rows = (
        inputs[:num_consts],
        inputs[num_consts : num_consts + num_carry],
        inputs[num_consts + num_carry :],
    )

    def body(carry: Any, row: Any) -> Any:
        state, open_before = carry
        inner: Doubts = []
        found = _walk(jaxpr.jaxpr, jaxpr.consts, [*held, *state, *row], inner)
        for doubt in inner:
            open_before = open_before | doubt.any()
        return (found[:num_carry], open_before), found[num_carry:]

    start = [Interval(x.low, x.high + jnp.zeros_like(x.high)) for x in begin]
    (state, doubt), stacked = jax.lax.scan(
        body, (start, jnp.zeros((), bool)), rows, length=how["length"], reverse=how["reverse"]
    )
    doubts.append(doubt)
    return [*state, *stacked]


def _walk(jaxpr: Any, consts: Any, inputs: list[Interval], doubts: Doubts) -> list[Interval]:
    known: dict[Any, Interval] = {}

    def read(atom: Any) -> Interval:
        return exact(atom.val) if isinstance(atom, core.Literal) else known[atom]

    known.update(zip(jaxpr.constvars, map(exact, consts), strict=True))
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        found = _rule(equation, [read(atom) for atom in equation.invars], doubts)
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def surveyed(function: Callable[[jax.Array], jax.Array], box: Interval) -> tuple[Interval, jax.Array]:
    """Bounds of a function of one array over a box, and whether it may jump there, () bool."""
    closed, doubts = jax.make_jaxpr(function)(box.low), [jnp.zeros((), bool)]
    (found,) = _walk(closed.jaxpr, closed.consts, [box], doubts)
    return found, jnp.stack([doubt.any() for doubt in doubts]).any()


def natural(function: Callable[[jax.Array], jax.Array], box: Interval) -> Interval:
    """Bounds of a function of one array over a box."""
    return surveyed(function, box)[0]


def bound(function: Scalar, box: Interval) -> tuple[Interval, jax.Array]:
    """Bounds of a scalar function over a box (n,), and how much each coordinate adds to their width, (n,)."""
    plain, jumps = surveyed(function, box)
    centre = (box.low + box.high) / 2
    reach = Interval(box.low - centre, box.high - centre)
    slope = natural(jax.grad(function), box)
    parts = _multiply(slope, reach)
    at = natural(function, Interval(centre, centre + 0.0))
    low, high = widened(at.low + parts.low.sum(), at.high + parts.high.sum())
    low, high = jnp.where(jumps, -jnp.inf, low), jnp.where(jumps, jnp.inf, high)
    return Interval(jnp.maximum(plain.low, low), jnp.minimum(plain.high, high)), parts.high - parts.low
