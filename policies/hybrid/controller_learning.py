"""Learns a mode's controller: first from a known law, then through the differentiable plant.

A batch of systems lives on from update to update: each update rolls all of them out with gradient, and each system then
switches to a random next configuration, so that states are met as switches cause them. Those that have left the domain,
and a share of the others, begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from haltere.policies.hybrid import controller
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network

Gains = Callable[[jax.Array, jax.Array], jax.Array]
"""(state (n, V), numbers (c, V)) -> K (m, n, V), as in `controller.gains`."""


@dataclass(frozen=True)
class ControllerRecipe:
    """How a controller is learned.

    Attributes:
      imitation: updates on the known law.
      imitation_batch: states in each.
      imitation_rate: learning rate, falls to zero.
      updates: through the plant.
      systems: rolled out in each.
      window: periods with gradient.
      shortest: fewest periods after which a system may switch.
      redraw: share of systems that begin anew.
      rate: learning rate, falls to a fiftieth.
      clip_norm: of the gradient.
    """

    imitation: int = 3000
    imitation_batch: int = 512
    imitation_rate: float = 5e-3
    updates: int = 1500
    systems: int = 256
    window: int = 100
    shortest: int = 25
    redraw: float = 0.1
    rate: float = 3e-3
    clip_norm: float = 1.0


class Learning(NamedTuple):
    """Carried from update to update.

    Attributes:
      weights: the controller.
      optimiser: its state.
      state: (n, V) of the systems.
      numbers: (c, V) their configurations.
    """

    weights: Network
    optimiser: optax.OptState
    state: jax.Array
    numbers: jax.Array


def imitate(mode: Mode, law: Gains, recipe: ControllerRecipe, weights: Network, key: jax.Array) -> Network:
    """Fits the controller's gains to those of a law, each row relative to its size."""
    rule = optax.adam(optax.cosine_decay_schedule(recipe.imitation_rate, recipe.imitation))

    def loss(weights: Network, key: jax.Array) -> jax.Array:
        where, which = jax.random.split(key)
        state = mode.DOMAIN.uniform(where, recipe.imitation_batch)
        numbers = mode.DOMAIN.configurations(which, recipe.imitation_batch)
        wanted = law(state, numbers)
        size = jnp.sqrt((wanted**2).mean(-1, keepdims=True)) + 0.05
        found, _ = controller.gains(weights, mode.DOMAIN, state, numbers)
        return (((found - wanted) / size) ** 2).mean()

    def one(carry: tuple[Network, optax.OptState], key: jax.Array) -> tuple[tuple[Network, optax.OptState], None]:
        weights, state = carry
        change, state = rule.update(jax.grad(loss)(weights, key), state)
        return (optax.apply_updates(weights, change), state), None

    @jax.jit
    def all_of_them(weights: Network) -> Network:
        keys = jax.random.split(key, recipe.imitation)
        (weights, _), _ = jax.lax.scan(one, (weights, rule.init(weights)), keys)
        return weights

    fitted: Network = all_of_them(weights)
    return fitted


def rule_of(recipe: ControllerRecipe) -> optax.GradientTransformation:
    """Adam on a clipped gradient; what is not finite is skipped."""
    schedule = optax.cosine_decay_schedule(recipe.rate, recipe.updates, 0.02)
    chain = optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optax.adam(schedule))
    return optax.apply_if_finite(chain, max_consecutive_errors=10**6)


def begin(mode: Mode, recipe: ControllerRecipe, weights: Network, key: jax.Array) -> Learning:
    """Before the first update through the plant."""
    where, which = jax.random.split(key)
    numbers = mode.DOMAIN.configurations(which, recipe.systems)
    return Learning(weights, rule_of(recipe).init(weights), mode.scatter(where, recipe.systems), numbers)


@partial(jax.jit, static_argnums=(0, 1))
def update(mode: Mode, recipe: ControllerRecipe, learning: Learning, key: jax.Array) -> tuple[Learning, jax.Array]:
    """One update; returns also the mean cost over systems and window."""
    when, how, who, where, which = jax.random.split(key, 5)
    keep = jax.random.randint(when, (recipe.systems,), recipe.shortest, recipe.window)
    cost = jax.value_and_grad(_roll_out, argnums=2, has_aux=True)
    (loss, end), slope = cost(mode, recipe, learning.weights, learning, keep)
    change, optimiser = rule_of(recipe).update(slope, learning.optimiser, learning.weights)
    weights = optax.apply_updates(learning.weights, change)
    numbers, state = mode.switch(how, learning.numbers, end)
    again = jax.random.bernoulli(who, recipe.redraw, keep.shape) | ~mode.DOMAIN.inside(state)
    state = jnp.where(again, mode.scatter(where, recipe.systems), state)
    numbers = jnp.where(again, mode.DOMAIN.configurations(which, recipe.systems), numbers)
    return Learning(weights, optimiser, state, numbers), loss


def _roll_out(
    mode: Mode, recipe: ControllerRecipe, weights: Network, learning: Learning, keep: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean cost, and each system's state after `keep` periods."""

    def tick(carry: tuple[jax.Array, jax.Array], index: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        state, kept = carry
        action = controller.act(weights, mode.DOMAIN, state, learning.numbers)
        state = mode.step(learning.numbers, state, action)
        return (state, jnp.where(index == keep, state, kept)), mode.cost(state)

    (_, kept), cost = jax.lax.scan(tick, (learning.state, learning.state), jnp.arange(recipe.window))
    return cost.mean(), kept
