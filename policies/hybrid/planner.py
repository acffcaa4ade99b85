"""Chooses configurations through the closed loop: by gradient descent from several beginnings, or by drawing lots."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

Objective = Callable[[jax.Array], jax.Array]
"""Parameters (..., S) of S plans -> what each of them costs, (S,)."""


LEAST_SPREAD = 0.02
"""Standard deviation that a search keeps, so that it does not stop at one plan."""


def descend(objective: Objective, start: jax.Array, iterations: int, rate: float) -> tuple[jax.Array, jax.Array]:
    """Gradient descent (Adam on each plan's normalised gradient).

    Args:
      objective: to be made small.
      start: (..., S) parameters.
      iterations: number of gradients.
      rate: size of the steps.
    Returns:
      Of all iterations the best parameters (..., S) and their cost (S,); infinite where none was finite.
    """
    rule = optax.adam(rate)
    axes = tuple(range(start.ndim - 1))

    def summed(parameters: jax.Array) -> tuple[jax.Array, jax.Array]:
        cost = objective(parameters)
        return cost.sum(), cost

    def keep(best: tuple[jax.Array, jax.Array], now: jax.Array, cost: jax.Array) -> tuple[jax.Array, jax.Array]:
        better = cost < best[1]
        return jnp.where(better, now, best[0]), jnp.where(better, cost, best[1])

    def one(carry: tuple[jax.Array, optax.OptState, tuple[jax.Array, jax.Array]], _: None):  # type: ignore[no-untyped-def]
        now, state, best = carry
        (_, cost), slope = jax.value_and_grad(summed, has_aux=True)(now)
        slope = jnp.nan_to_num(slope)
        change, state = rule.update(slope / (jnp.sqrt((slope**2).sum(axes)) + 1e-6), state)
        return (optax.apply_updates(now, change), state, keep(best, now, cost)), None

    nothing = (start, jnp.full(start.shape[-1], jnp.inf))
    (last, _, best), _ = jax.lax.scan(one, (start, rule.init(start), nothing), None, length=iterations)
    return keep(best, last, objective(last))


def best_of(parameters: jax.Array, cost: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The cheapest of C plans for each of V systems: (..., C, V) and (C, V) -> (..., V) and (V,)."""
    index = cost.argmin(0)
    at = jnp.broadcast_to(index, (*parameters.shape[:-2], 1, len(index)))
    return jnp.take_along_axis(parameters, at, axis=-2)[..., 0, :], cost.min(0)


def search(
    objective: Objective, shape: tuple[int, int, int], rounds: int, kept: int, spread: float, seed: int = 0
) -> jax.Array:
    """The cross-entropy method: each round draws plans about the best ones of the round before.

    Args:
      objective: parameters (P, C * V) of C plans for each of V systems -> what each costs, (C * V,).
      shape: P, C and V.
      rounds: of drawing.
      kept: plans that the next round is drawn about.
      spread: standard deviation of the first round's, about zero.
      seed: of the draws, which are the same at every call.
    Returns:
      The cheapest plan of each system, (P, V).
    Source: Rubinstein & Kroese, The Cross-Entropy Method, 2004.
    """
    size, plans, systems = shape

    def one(
        carry: tuple[jax.Array, jax.Array, jax.Array], key: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        mean, deviation, best = carry
        drawn = mean + deviation * jax.random.normal(key, (size, plans, 1))
        drawn = drawn.at[:, 0].set(best)
        cost = objective(drawn.reshape(size, -1)).reshape(plans, systems)
        chosen = jnp.take_along_axis(drawn, jnp.argsort(cost, axis=0)[None, :kept], axis=1)
        return (chosen.mean(1, keepdims=True), chosen.std(1, keepdims=True) + LEAST_SPREAD, chosen[:, 0]), None

    nothing = jnp.zeros((size, 1, systems))
    begin = (nothing, jnp.full_like(nothing, spread), nothing[:, 0])
    (_, _, best), _ = jax.lax.scan(one, begin, jax.random.split(jax.random.key(seed), rounds))
    return best
