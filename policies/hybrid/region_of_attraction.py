"""The region of attraction of a mode, by configuration: the level up to which V is a Lyapunov function.

{V <= c} must not touch the border of the domain, V must decrease in it, and trajectories from it must be safe and come
back. The largest such c is estimated from samples, and a network carries it over to all configurations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax

from haltere.policies.hybrid import lyapunov, network
from haltere.policies.hybrid.lyapunov_learning import BACK, closed_loop, growth
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network

HIDDEN = 32


@dataclass(frozen=True)
class RegionRecipe:
    """How levels are found, and the network is fitted to them.

    Attributes:
      configurations: of which the level is found.
      chunk: of them at once.
      border: states on the border, for each.
      descent: steps of gradient descent of V along the border.
      inside: states within, for each.
      followed: of these are followed for `horizon` periods.
      horizon: periods.
      allowed: share of the states within in which V need not decrease.
      updates: of the network.
      rate: learning rate, falls to zero.
      quantile: of the levels that may lie below the network's.
    """

    configurations: int = 256
    chunk: int = 16
    border: int = 1024
    descent: int = 20
    inside: int = 2048
    followed: int = 256
    horizon: int = 500
    allowed: float = 2e-3
    updates: int = 3000
    rate: float = 3e-3
    quantile: float = 0.1


def draw(key: jax.Array, mode: Mode, hidden: int = HIDDEN) -> Network:
    """An untrained network."""
    return network.draw(key, (len(mode.DOMAIN.low), hidden, hidden, 1))


def level(weights: Network, mode: Mode, numbers: jax.Array) -> jax.Array:
    """The level (V,) of the region of attraction of configurations with `numbers` (c, V)."""
    return jnp.exp(network.apply(weights, mode.DOMAIN.features(numbers))[0])


def within(
    mode: Mode, lyapunov_weights: Network, key: jax.Array, numbers: jax.Array, limit: jax.Array, halvings: int = 16
) -> tuple[jax.Array, jax.Array]:
    """A state in {V <= limit} for each configuration, along a random direction.

    Args:
      mode: with its domain.
      lyapunov_weights: of V.
      key: random.
      numbers: (c, S).
      limit: (S,).
      halvings: of the interval in which the border is looked for.
    Returns:
      States (n, S), uniform along the ray by volume, and those where it leaves the set.
    """
    towards, share = jax.random.split(key)
    ray = mode.DOMAIN.uniform(towards, numbers.shape[1])
    ray = ray / jnp.abs(mode.DOMAIN.scaled(ray)).max(0)

    def halve(span: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        low, high = span
        middle = (low + high) / 2
        out = lyapunov.value(lyapunov_weights, mode.DOMAIN, middle * ray, numbers) > limit
        return (jnp.where(out, low, middle), jnp.where(out, middle, high)), None

    (reach, _), _ = jax.lax.scan(halve, (jnp.zeros_like(limit), jnp.ones_like(limit)), None, length=halvings)
    fill = jax.random.uniform(share, limit.shape) ** (1 / len(ray))
    return fill * reach * ray, reach * ray


def border_level(mode: Mode, weights: Network, recipe: RegionRecipe, key: jax.Array, numbers: jax.Array) -> jax.Array:
    """Least V (S,) found by descent on the domain's border, each sample on one of its faces."""
    half = jnp.asarray(mode.DOMAIN.state)[:, None]
    where, which = jax.random.split(key)
    state = mode.DOMAIN.uniform(where, numbers.shape[1])
    face = jax.random.randint(which, (numbers.shape[1],), 0, len(half))
    held = jnp.arange(len(half))[:, None] == face
    state = jnp.where(held, jnp.where(state < 0, -half, half), state)
    slope = jax.grad(lambda x: lyapunov.value(weights, mode.DOMAIN, x, numbers).sum())

    def descend(state: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        stride = 0.2 * (1 - index / recipe.descent)
        moved = jnp.clip(state - stride * half * jnp.sign(slope(state)), -half, half)
        return jnp.where(held, state, moved), None

    state, _ = jax.lax.scan(descend, state, jnp.arange(recipe.descent))
    return lyapunov.value(weights, mode.DOMAIN, state, numbers)


def returns(mode: Mode, policy: Network, state: jax.Array, numbers: jax.Array, horizon: int) -> jax.Array:
    """Whether trajectories from states (n, V) stay safe and come back within the horizon: (V,) bool."""

    def tick(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        state, safe = carry
        after = jnp.where(safe, closed_loop(mode, policy, numbers, state), state)
        return (after, safe & mode.safe(after)), None

    (last, safe), _ = jax.lax.scan(tick, (state, mode.safe(state)), None, length=horizon)
    return safe & ((mode.DOMAIN.scaled(last) ** 2).sum(0) < BACK**2)


@partial(jax.jit, static_argnums=(0, 1))
def find_levels(
    mode: Mode, recipe: RegionRecipe, policy: Network, weights: Network, key: jax.Array, numbers: jax.Array
) -> jax.Array:
    """The level (P,) of each configuration (c, P)."""
    edge, inner, outer = jax.random.split(key, 3)
    count = numbers.shape[1]

    def repeat(times: int) -> jax.Array:
        return jnp.repeat(numbers, times, axis=1)

    found = border_level(mode, weights, recipe, edge, repeat(recipe.border)).reshape(count, -1).min(1)
    numbers_of = repeat(recipe.inside)
    state, _ = within(mode, weights, inner, numbers_of, jnp.repeat(found, recipe.inside))
    rises = (growth(mode, policy, weights, state, numbers_of) > 0).reshape(count, -1)
    value = lyapunov.value(weights, mode.DOMAIN, state, numbers_of).reshape(count, -1)
    order = jnp.argsort(value, axis=1)
    broken = jnp.cumsum(jnp.take_along_axis(rises, order, axis=1), axis=1)
    fine = broken <= recipe.allowed * jnp.arange(1, recipe.inside + 1) + 1
    last = jnp.where(fine.all(1), recipe.inside, fine.argmin(1)) - 1
    found = jnp.minimum(found, jnp.take_along_axis(jnp.sort(value, axis=1), last[:, None], axis=1)[:, 0])
    numbers_of = repeat(recipe.followed)
    state, _ = within(mode, weights, outer, numbers_of, jnp.repeat(found, recipe.followed))
    value = lyapunov.value(weights, mode.DOMAIN, state, numbers_of)
    lost = ~returns(mode, policy, state, numbers_of, recipe.horizon)
    return jnp.minimum(found, jnp.where(lost, value, jnp.inf).reshape(count, -1).min(1))


def fit(mode: Mode, recipe: RegionRecipe, weights: Network, numbers: jax.Array, levels: jax.Array) -> Network:
    """Fits the network to the logarithms of levels (P,), a low quantile of them."""
    rule = optax.adam(optax.cosine_decay_schedule(recipe.rate, recipe.updates))
    wanted = jnp.log(levels)

    def loss(weights: Network) -> jax.Array:
        above = jnp.log(level(weights, mode, numbers)) - wanted
        return jnp.maximum((1 - recipe.quantile) * above, -recipe.quantile * above).mean()

    def one(carry: tuple[Network, optax.OptState], _: None) -> tuple[tuple[Network, optax.OptState], None]:
        weights, state = carry
        change, state = rule.update(jax.grad(loss)(weights), state)
        return (optax.apply_updates(weights, change), state), None

    @jax.jit
    def all_of_them(weights: Network) -> Network:
        (weights, _), _ = jax.lax.scan(one, (weights, rule.init(weights)), None, length=recipe.updates)
        return weights

    fitted: Network = all_of_them(weights)
    return fitted
