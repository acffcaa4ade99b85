"""Polishes the controller of a return map: better actions are found by Gauss and Newton, and the network learns them.

A controller that is learned by gradient descent of a cost comes near the equilibrium, and stops some hundredths beside
it: there V cannot decrease. With as many actions in a period as there are errors, one period can remove nearly all of
the error; so states are drawn at all distances from the equilibrium, the network's actions for them are improved by
damped Gauss-Newton steps through the plant's Jacobian, never made worse, and the network is fitted to them. What counts
in the fit is where the next state would be, by the Jacobian, relative to how far away the state is now; and that the
network's slopes change little, so that something can be proved of it.

Source: Levenberg-Marquardt as in Nocedal & Wright 2006, Numerical Optimization, sec. 10.3; deadbeat control of hopping
by inversion of the apex map as in Saranli et al. 1998.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from haltere.policies.hybrid import controller, network
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network

LARGEST_STEP = 0.3
"""Of an action in one iteration, in its limits."""
EASIER, HARDER, FIRST_DAMPING = 0.2, 10.0, 1e-3
"""Factors of the damping after a step that was taken, and after one that was not."""
SMALLEST, FLOOR = 0.01, 0.02
"""Least size of the drawn states, and what is added to sizes that are divided by; in half widths."""
LARGEST_MISS, ACTION_WEIGHT = 4.0, 1e-3


@dataclass(frozen=True)
class PolishRecipe:
    """How a controller is polished.

    Attributes:
      rounds: of improvement and fit; none leaves it as it is.
      states: in each round, a multiple of `chunk`.
      chunk: of them improved at once.
      iterations: of Gauss and Newton.
      fits: updates of the network in each round.
      batch: states in each.
      rate: learning rate; falls to a two-hundredth in each round.
      smooth: weight of `network.bend`.
    """

    rounds: int = 0
    states: int = 8192
    chunk: int = 1024
    iterations: int = 5
    fits: int = 15000
    batch: int = 4096
    rate: float = 2e-3
    smooth: float = 1e-4

    def scaled(self, factor: float) -> PolishRecipe:
        """The same with another number of states and updates."""
        chunks = max(1, round(factor * self.states / self.chunk))
        return replace(self, states=chunks * self.chunk, fits=max(1, round(factor * self.fits)))


class Improved(NamedTuple):
    """States with better actions.

    Attributes:
      state: (n, S).
      numbers: (c, S).
      action: (m, S) in their limits.
      slope: (S, n, m) of the next state, in half widths, by the action.
    """

    state: jax.Array
    numbers: jax.Array
    action: jax.Array
    slope: jax.Array


def draw(mode: Mode, key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """States (n, count), a quarter as a switch leaves them, the others of all sizes; configurations (c, count)."""
    which, scattered, boxed, how = jax.random.split(key, 4)
    some = count // 4
    size = SMALLEST ** jax.random.uniform(how, (count - some,))
    states = jnp.concatenate([mode.scatter(scattered, some), size * mode.DOMAIN.uniform(boxed, count - some)], axis=1)
    return states, mode.DOMAIN.configurations(which, count)


@partial(jax.jit, static_argnums=(0, 1))
def improve(mode: Mode, iterations: int, weights: Network, state: jax.Array, numbers: jax.Array) -> Improved:
    """Improves the controller's actions for states (n, S), so that each leads nearer to the equilibrium or stays."""
    limit = jnp.asarray(mode.DOMAIN.limit)[:, None]

    def after(action: jax.Array) -> jax.Array:
        return mode.DOMAIN.scaled(mode.step(numbers, state, limit * action))

    def linear(action: jax.Array) -> tuple[jax.Array, jax.Array]:
        def along(row: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(after, (action,), (jnp.zeros_like(action).at[row].set(1.0),))

        places, slopes = jax.vmap(along)(jnp.arange(len(action)))
        return places[0], jnp.nan_to_num(slopes.transpose(2, 1, 0))

    def one(
        carry: tuple[jax.Array, jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        action, least, damping = carry
        place, slope = linear(action)
        square = jnp.swapaxes(slope, 1, 2) @ slope + damping[:, None, None] * jnp.eye(len(action))
        towards = jnp.linalg.solve(square, jnp.einsum("snm,ns->sm", slope, place)[..., None])[..., 0].T
        step = jnp.nan_to_num(jnp.clip(towards, -LARGEST_STEP, LARGEST_STEP))
        tried = jnp.clip(action - step, -1.0, 1.0)
        found = (after(tried) ** 2).sum(0)
        better = found < least
        damping = damping * jnp.where(better, EASIER, HARDER)
        return (jnp.where(better, tried, action), jnp.where(better, found, least), damping), None

    action = controller.act(weights, mode.DOMAIN, state, numbers) / limit
    begin = (action, (after(action) ** 2).sum(0), jnp.full(state.shape[1], FIRST_DAMPING))
    (action, _, _), _ = jax.lax.scan(one, begin, None, length=iterations)
    return Improved(state, numbers, action, linear(action)[1])


@partial(jax.jit, static_argnums=(0, 1))
def fit(
    mode: Mode, recipe: PolishRecipe, weights: Network, examples: Improved, key: jax.Array
) -> tuple[Network, jax.Array]:
    """Fits the controller to the improved actions; returns also the mean squared relative miss of the last tenth."""
    rule = optax.adam(optax.cosine_decay_schedule(recipe.rate, recipe.fits, 0.005), b2=0.99)
    limit = jnp.asarray(mode.DOMAIN.limit)[:, None]
    size = jnp.sqrt((mode.DOMAIN.scaled(examples.state) ** 2).sum(0)) + FLOOR

    def loss(weights: Network, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        some = examples.state[:, index], examples.numbers[:, index]
        wrong = controller.act(weights, mode.DOMAIN, *some) / limit - examples.action[:, index]
        miss = (jnp.einsum("snm,ms->ns", examples.slope[index], wrong) ** 2).sum(0)
        miss = jnp.minimum((miss + ACTION_WEIGHT * (wrong**2).sum(0)) / size[index] ** 2, LARGEST_MISS).mean()
        return miss + recipe.smooth * network.bend(weights, len(some[0])), miss

    def one(carry: tuple[Network, optax.OptState], key: jax.Array) -> tuple[tuple[Network, optax.OptState], jax.Array]:
        weights, state = carry
        index = jax.random.randint(key, (recipe.batch,), 0, len(size))
        slope, found = jax.grad(loss, has_aux=True)(weights, index)
        change, state = rule.update(slope, state)
        return (optax.apply_updates(weights, change), state), found

    (weights, _), losses = jax.lax.scan(one, (weights, rule.init(weights)), jax.random.split(key, recipe.fits))
    return weights, losses[-max(1, recipe.fits // 10) :].mean()


def round_of(mode: Mode, recipe: PolishRecipe, weights: Network, key: jax.Array) -> tuple[Network, float]:
    """One round: draws states, improves the controller's actions for them, and fits it; see `fit`."""
    where, how = jax.random.split(key)
    pieces = []
    for index in range(recipe.states // recipe.chunk):
        state, numbers = draw(mode, jax.random.fold_in(where, index), recipe.chunk)
        pieces.append(improve(mode, recipe.iterations, weights, state, numbers))
    examples = Improved(
        jnp.concatenate([piece.state for piece in pieces], axis=1),
        jnp.concatenate([piece.numbers for piece in pieces], axis=1),
        jnp.concatenate([piece.action for piece in pieces], axis=1),
        jnp.concatenate([piece.slope for piece in pieces]),
    )
    weights, miss = fit(mode, recipe, weights, examples, how)
    return weights, float(miss)
