"""Taylor models of JAX functions: a polynomial of the place in a small box, and how far the function may be from it.

The program (jaxpr) is walked once, as in `interval`, with each primitive replaced by one on polynomials;
what is cut off, and rounding, is added to the rest. A choice that is open in the box is the middle of its two cases.

Source: Makino & Berz 2003, International Journal of Pure and Applied Mathematics 4.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.interval import CALLS, RELATIVE, SHAPES, Interval, compared, keeps


class Model(NamedTuple):
    """Functions of n places between -1 and 1.

    Attributes:
      terms: (..., N) factors of the monomials, see `monomials`; or (..., 1), of constants.
      rest: (...) by which the functions may differ from that.
    """

    terms: jax.Array
    rest: jax.Array

    def reach(self) -> jax.Array:
        """Largest distance (...) from the middle."""
        reach: jax.Array = jnp.abs(self.terms[..., 1:]).sum(-1) + self.rest
        return reach

    def size(self) -> jax.Array:
        """Largest absolute value (...)."""
        return jnp.abs(self.terms[..., 0]) + self.reach()

    def box(self) -> Interval:
        """All values."""
        middle, reach = self.terms[..., 0], self.reach() + RELATIVE * self.size()
        return Interval(middle - reach, middle + reach)

    def rounded(self) -> Model:
        """With what rounding may add."""
        return self._replace(rest=self.rest + RELATIVE * self.size())


@lru_cache(maxsize=16)
def monomials(places: int, order: int) -> tuple[tuple[int, ...], ...]:
    """Exponents of all monomials of n places, the constant first, then the places themselves, by degree."""
    some = itertools.product(range(order + 1), repeat=places)
    return tuple(sorted((e for e in some if sum(e) <= order), key=lambda e: (sum(e), [-k for k in e])))


@lru_cache(maxsize=16)
def _pairs(places: int, order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of monomials whose product is kept, and (pairs, N) to which of them it goes; and (N, N) which are not."""
    known = monomials(places, order)
    index = {exponents: at for at, exponents in enumerate(known)}
    sums = {(i, j): tuple(np.add(a, b)) for i, a in enumerate(known) for j, b in enumerate(known)}
    kept = [(i, j, index[total]) for (i, j), total in sums.items() if total in index]
    first, second, goes = np.array(kept).T
    cut = np.ones((len(known), len(known)))
    cut[first, second] = 0.0
    return first, second, np.eye(len(known))[goes], cut


def substitution(order: int, middle: tuple[float, ...], half: float) -> np.ndarray:
    """(N, N): terms @ this are those of the polynomials for places `middle` + `half` w, by w."""
    known = monomials(len(middle), order)
    index = {exponents: at for at, exponents in enumerate(known)}
    found = np.zeros((len(known), len(known)))
    for row, exponents in enumerate(known):
        for powers in itertools.product(*(range(exponent + 1) for exponent in exponents)):
            found[row, index[powers]] = math.prod(
                math.comb(e, k) * m ** (e - k) * half**k for e, k, m in zip(exponents, powers, middle, strict=True)
            )
    return found


def constant(value: Any) -> Model:
    """A number, or an array of them."""
    array = jnp.asarray(value)
    return Model(array[..., None], jnp.zeros_like(array))


def _wide(model: Model, terms: int) -> Model:
    lacking = terms - model.terms.shape[-1]
    return model._replace(terms=jnp.pad(model.terms, [(0, 0)] * model.rest.ndim + [(0, lacking)])) if lacking else model


def _alike(models: list[Model]) -> list[Model]:
    """With as many terms each."""
    most = max(model.terms.shape[-1] for model in models)
    return [_wide(model, most) for model in models]


def _sum(a: Model, b: Model, sign: float = 1.0) -> Model:
    a, b = _alike([a, b])
    return Model(a.terms + sign * b.terms, a.rest + b.rest).rounded()


@lru_cache(maxsize=8)
def _tanh_derivatives(order: int) -> list[np.ndarray]:
    """Of tanh up to order + 1, by its value: polynomials, the highest power first, over the factorials."""
    polynomials = [np.poly1d([1.0, 0.0])]
    for k in range(order + 1):
        polynomials.append(polynomials[-1].deriv() * np.poly1d([-1.0, 0.0, 1.0]) / (k + 1))
    return [polynomial.coeffs for polynomial in polynomials]


def _either(which: Interval, no: Model, yes: Model) -> Model:
    """The case that is sure, or the middle of both."""
    no, yes = _alike([no, yes])
    share = jnp.where(which.low, 1.0, jnp.where(which.high, 0.5, 0.0))
    apart = _sum(yes, no, -1.0)
    open_ = which.low != which.high
    rest = jnp.where(which.low, yes.rest, jnp.where(which.high, jnp.maximum(yes.rest, no.rest), no.rest))
    terms = jnp.where(
        open_[..., None], (no.terms + yes.terms) / 2, jnp.where((share == 1.0)[..., None], yes.terms, no.terms)
    )
    return Model(terms, rest + jnp.where(open_, apart.size() / 2, 0.0)).rounded()


def _linear(model: Model, function: Callable[[jax.Array], jax.Array]) -> Model:
    """A sum with no factors but one."""
    size = function(model.size())
    return Model(jax.vmap(function, -1, -1)(model.terms), function(model.rest) + RELATIVE * size)


def _shaped(equation: Any, models: list[Any]) -> list[Any]:
    """Numbers that are moved, and not changed."""

    def bind(*parts: jax.Array) -> Any:
        return equation.primitive.bind(*parts, **equation.params)

    if any(isinstance(model, Interval) for model in models):
        low = bind(*(model.low for model in models))
        return [Interval(low, bind(*(model.high for model in models)))]
    models = _alike(models)
    terms = jax.vmap(bind, -1, -1)(*(model.terms for model in models))
    rest = bind(*(model.rest for model in models))
    if equation.primitive.multiple_results:
        return [Model(*each) for each in zip(terms, rest, strict=True)]
    return [Model(terms, rest)]


@dataclass(frozen=True)
class Algebra:
    """What can be done with models.

    Attributes:
      places: n.
      order: largest degree of the polynomials.
    """

    places: int
    order: int

    def product(self, a: Model, b: Model) -> Model:
        """Elementwise."""
        reaches = [(jnp.abs(model.terms).sum(-1), model.rest) for model in (a, b)]
        (one, one_rest), (other, other_rest) = reaches
        rest = one * other_rest + one_rest * other + one_rest * other_rest
        if 1 in (a.terms.shape[-1], b.terms.shape[-1]):
            return Model(a.terms * b.terms, rest).rounded()
        first, second, goes, _ = _pairs(self.places, self.order)
        parts = a.terms[..., first] * b.terms[..., second]
        # All products less those that are kept; the rounding of that is far below what is added.
        cut = jnp.maximum(one * other - jnp.abs(parts).sum(-1), 0.0)
        return Model(parts @ goes, rest + cut + RELATIVE * one * other).rounded()

    def dot(self, a: Model, b: Model, dot: Callable[[jax.Array, jax.Array], jax.Array]) -> Model:
        """By a product `dot` of arrays, in whatever axes."""
        sizes = [(jnp.abs(model.terms).sum(-1), model.rest) for model in (a, b)]
        (one, one_rest), (other, other_rest) = sizes
        rest = dot(one, other_rest) + dot(one_rest, other) + dot(one_rest, other_rest)
        rest += 2 * RELATIVE * dot(one, other)
        over = jax.vmap(jax.vmap(dot, (None, -1), -1), (-1, None), -1)  # (..., terms of b, terms of a)
        found = over(a.terms, b.terms)
        if 1 in found.shape[-2:]:
            return Model(found.reshape(*found.shape[:-2], -1), rest)
        first, second, goes, cut = _pairs(self.places, self.order)
        return Model(found[..., second, first] @ goes, rest + (jnp.abs(found) * cut.T).sum((-2, -1)))

    def composed(self, model: Model, series: list[jax.Array], last: jax.Array) -> Model:
        """A function of a model by its Taylor series around the middle, and a bound of the next factor everywhere."""
        off = Model(model.terms.at[..., 0].set(0.0), model.rest)
        found = Model(series[-1][..., None], jnp.zeros_like(series[-1]))
        for factor in reversed(series[:-1]):
            found = _sum(self.product(off, found), Model(factor[..., None], RELATIVE * jnp.abs(factor)))
        beyond = last * model.reach() ** len(series)
        return found._replace(rest=found.rest + jnp.where(jnp.isnan(beyond), jnp.inf, beyond)).rounded()

    def sine(self, model: Model, shift: int) -> Model:
        """Sine, or cosine for a shift of one."""
        x = model.terms[..., 0]
        turn = [jnp.sin(x), jnp.cos(x), -jnp.sin(x), -jnp.cos(x)]
        slack = 1e-15 * (1 + jnp.abs(x))
        series = [turn[(k + shift) % 4] / math.factorial(k) for k in range(self.order + 1)]
        found = self.composed(model, series, jnp.full_like(x, 1 / math.factorial(self.order + 1)))
        return found._replace(rest=found.rest + (2 + model.reach()) * slack)

    def power(self, model: Model, exponent: float) -> Model:
        """A power that is not defined at zero; infinitely unsure where that is in reach."""
        x, reach = model.terms[..., 0], model.reach() * (1 + RELATIVE)
        near = jnp.abs(x) - reach
        factor, series = 1.0, []
        for k in range(self.order + 1):
            series.append(factor * x ** (exponent - k))
            factor *= (exponent - k) / (k + 1)
        defined = (near > 0) & ((x > 0) | (exponent == int(exponent)))
        safe = jnp.where(defined, near, 1.0)
        return self.composed(
            model, series, jnp.where(defined, abs(factor) * safe ** (exponent - self.order - 1), jnp.inf)
        )

    def exponential(self, model: Model) -> Model:
        """Of base e."""
        x = model.terms[..., 0]
        series = [jnp.exp(x) / math.factorial(k) for k in range(self.order + 1)]
        return self.composed(
            model, series, jnp.exp(x + model.reach()) * (1 + RELATIVE) / math.factorial(self.order + 1)
        )

    def tanh(self, model: Model) -> Model:
        """Hyperbolic tangent; by its chord, where that is closer."""
        x, reach = model.terms[..., 0], model.reach() + RELATIVE * model.size()
        *series, last = _tanh_derivatives(self.order)
        low, high = x - reach, x + reach
        ends = jnp.tanh(low), jnp.tanh(high)
        middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2 + RELATIVE
        bound, factorial = jnp.zeros_like(x), 1.0
        for k in range(len(last)):
            bound += jnp.abs(jnp.polyval(jnp.asarray(np.polyder(last, k)), middle)) / factorial * half**k
            factorial *= k + 1
        near = self.composed(model, [jnp.polyval(jnp.asarray(p), jnp.tanh(x)) for p in series], bound * (1 + RELATIVE))
        chord = jnp.clip((ends[1] - ends[0]) / jnp.maximum(high - low, 1e-300), 0.0, 1.0)
        # It is farthest from the chord where it has the chord's slope, or at the ends.
        turn = jnp.arctanh(jnp.sqrt(1 - chord))
        places = [low, high, jnp.clip(turn, low, high), jnp.clip(-turn, low, high)]
        apart = [jnp.tanh(place) - chord * place for place in places]
        most, least = reduce(jnp.maximum, apart), reduce(jnp.minimum, apart)
        far = Model(
            chord[..., None] * model.terms, chord * model.rest + (most - least) / 2 + 4 * RELATIVE * (1 + reach)
        )
        far = far._replace(terms=far.terms.at[..., 0].add((most + least) / 2)).rounded()
        close = near.rest <= far.rest
        return Model(jnp.where(close[..., None], near.terms, far.terms), jnp.where(close, near.rest, far.rest))

    def _rule(self, equation: Any, inputs: list[Any]) -> list[Any]:
        """The models of one primitive's results."""
        name, how = equation.primitive.name, equation.params
        if name in CALLS:
            inner = how.get("jaxpr", how.get("call_jaxpr"))
            body, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
            return self.walk(body, consts, inputs)
        exact = all(isinstance(x, jax.Array) for x in inputs)
        if exact and (name in SHAPES or not any(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in equation.outvars)):
            found = equation.primitive.bind(*inputs, **how)
            return found if equation.primitive.multiple_results else [found]
        models: list[Any] = [constant(x) if isinstance(x, jax.Array) and x.dtype != bool else x for x in inputs]
        if name == "convert_element_type" and not keeps(equation.invars[0].aval.dtype, how["new_dtype"]):
            raise ConfigError(f"no Taylor model is known of a conversion to {how['new_dtype']}")
        if name in SHAPES:
            return _shaped(equation, models)
        if name in UNARY:
            return [UNARY[name](self, models[0])]
        if name in ("add", "add_any", "sub"):
            return [_sum(models[0], models[1], -1.0 if name == "sub" else 1.0)]
        if name == "mul":
            return [self.product(*models)]
        if name == "div":
            return [self.product(models[0], self.power(models[1], -1))]
        if name == "integer_pow":
            power = reduce(self.product, [models[0]] * abs(how["y"]))
            return [power if how["y"] > 0 else self.power(power, -1)]
        if name in ("gt", "ge", "lt", "le"):
            return [compared(name, models[0].box(), models[1].box())]
        if name == "select_n" and len(inputs) == 3 and equation.invars[0].aval.dtype == bool:
            which = Interval(models[0], models[0]) if isinstance(models[0], jax.Array) else models[0]
            return [_either(which, models[1], models[2])]
        if name in ("max", "min"):
            first, second = (model.box() for model in models)
            which = compared("ge" if name == "max" else "le", first, second)
            return [_either(which, models[1], models[0])]
        if name == "dot_general":
            return [self.dot(models[0], models[1], lambda x, y: equation.primitive.bind(x, y, **how))]
        if name == "reduce_sum":
            return [_linear(models[0], lambda x: equation.primitive.bind(x, **how)).rounded()]
        raise ConfigError(
            f"no Taylor model is known of the primitive {name}: write the function without it, or add a rule"
        )

    def walk(self, jaxpr: Any, consts: Any, inputs: list[Any]) -> list[Any]:
        """Models of a program's results; inputs are models, or arrays that are exact."""
        known: dict[Any, Any] = {}

        def read(atom: Any) -> Any:
            return jnp.asarray(atom.val) if isinstance(atom, core.Literal) else known[atom]

        known.update(zip(jaxpr.constvars, map(jnp.asarray, consts), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))
        for equation in jaxpr.eqns:
            found = self._rule(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def expanded(self, function: Callable[[Any, jax.Array], jax.Array], parameters: Any, state: Model) -> Model:
        """What a function (parameters, (m,)) -> (k,) makes of a model of its states (m,)."""
        closed = jax.make_jaxpr(function)(parameters, state.rest)
        (found,) = self.walk(closed.jaxpr, closed.consts, [*jax.tree.leaves(parameters), state])
        model = constant(found) if isinstance(found, jax.Array) else found
        return _wide(model, state.terms.shape[-1])


UNARY: dict[str, Callable[[Algebra, Model], Model]] = {
    "sin": lambda on, x: on.sine(x, 0),
    "cos": lambda on, x: on.sine(x, 1),
    "tanh": Algebra.tanh,
    "exp": Algebra.exponential,
    "sqrt": lambda on, x: on.power(x, 0.5),
    "rsqrt": lambda on, x: on.power(x, -0.5),
    "neg": lambda on, x: Model(-x.terms, x.rest),
    "square": lambda on, x: on.product(x, x),
}
