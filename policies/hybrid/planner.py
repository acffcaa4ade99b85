"""Chooses configurations by gradient descent through the closed loop, from several beginnings at once."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

Objective = Callable[[jax.Array], jax.Array]
"""Parameters (..., S) of S plans -> what each of them costs, (S,)."""


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
