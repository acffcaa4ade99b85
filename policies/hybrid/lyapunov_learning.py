"""Learns a mode's Lyapunov function for the closed loop with its controller.

Each round rolls systems out: the danger that a trajectory still meets is what V should be there, which decreases along
the trajectory by construction (converse theorem). To that the network is fitted, in logarithms, so that it is as exact
near the equilibrium as far from it; and wherever the closed loop comes back to the equilibrium, V must decrease in
every period at a rate. A falsifier looks for states where it does not, by gradient ascent, and those are fed back. At
the equilibrium itself, where no sample ever is, the rate is known of all directions: with A the closed loop's Jacobian
there and V = z' P z to second order, V grows most by the largest eigenvalue of A' P A against P, and that is held down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from haltere.policies.hybrid import controller, lyapunov, network
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network

TINY = 1e-8
LOST = 3.0
"""Added to the danger of trajectories that fail."""
BACK = 0.1
"""Distance from the equilibrium, in half widths, within which a trajectory has come back."""


@dataclass(frozen=True)
class LyapunovRecipe:
    """How a Lyapunov function is learned.

    Attributes:
      rounds: of roll-outs and fits.
      systems: trajectories in each round.
      horizon: periods of a trajectory.
      fits: updates in each round.
      batch: states in each update, half as many counter-examples.
      rate: learning rate, falls to a fiftieth.
      decrease: wanted of log V, 1/s.
      decrease_weight: of the decrease over the fit.
      falsifier_steps: of gradient ascent.
      falsifier_stride: of each step, in half widths.
      clip_norm: of the gradient.
      resting: configurations in each update of which the equilibrium is looked at.
      rest_weight: of the growth there over the fit.
      smooth: weight of `network.bend`.
    """

    rounds: int = 80
    systems: int = 512
    horizon: int = 400
    fits: int = 60
    batch: int = 1024
    rate: float = 2e-3
    decrease: float = 0.2
    decrease_weight: float = 3.0
    falsifier_steps: int = 8
    falsifier_stride: float = 0.02
    clip_norm: float = 1.0
    resting: int = 64
    rest_weight: float = 1.0
    smooth: float = 0.0


class Learning(NamedTuple):
    """Carried from round to round."""

    weights: Network
    optimiser: optax.OptState


class Samples(NamedTuple):
    """States on trajectories.

    Attributes:
      state: (n, S).
      numbers: (c, S).
      target: (S,) what V should be there.
      alive: (S,) bool; the trajectory has not failed before.
      good: (S,) bool; it is safe, and comes back.
    """

    state: jax.Array
    numbers: jax.Array
    target: jax.Array
    alive: jax.Array
    good: jax.Array


def rule_of(recipe: LyapunovRecipe) -> optax.GradientTransformation:
    """Adam on a clipped gradient."""
    schedule = optax.cosine_decay_schedule(recipe.rate, recipe.rounds * recipe.fits, 0.02)
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optax.adam(schedule))


def begin(recipe: LyapunovRecipe, weights: Network) -> Learning:
    """Before the first round."""
    return Learning(weights, rule_of(recipe).init(weights))


def start_states(mode: Mode, key: jax.Array, count: int) -> jax.Array:
    """Half of them as a switch leaves them, the others uniform in the domain, pulled towards the equilibrium."""
    scattered, boxed, how = jax.random.split(key, 3)
    pull = jax.random.uniform(how, (count - count // 2,))
    box = pull * mode.DOMAIN.uniform(boxed, count - count // 2)
    return jnp.concatenate([mode.scatter(scattered, count // 2), box], axis=1)


def closed_loop(mode: Mode, policy: Network, numbers: jax.Array, state: jax.Array) -> jax.Array:
    """One period under the controller."""
    return mode.step(numbers, state, controller.act(policy, mode.DOMAIN, state, numbers))


def trajectories(mode: Mode, policy: Network, state: jax.Array, numbers: jax.Array, horizon: int) -> Samples:
    """At most fifty states on each trajectory from `state` (n, V), in the first half of the horizon.

    Returns:
      (n, S) and so on; all trajectories at one time, then at the next.
    """
    period = mode.DOMAIN.period_s

    def tick(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
        state, safe = carry
        rate = jnp.where(safe, mode.danger(state), 0.0)
        after = closed_loop(mode, policy, numbers, state)
        return (jnp.where(safe, after, state), safe & mode.safe(after)), (state, rate, safe)

    (last, safe), (states, rates, alive) = jax.lax.scan(tick, (state, mode.safe(state)), None, length=horizon)
    back = safe & ((mode.DOMAIN.scaled(last) ** 2).sum(0) < BACK**2)
    lost = jnp.where(back, 0.0, LOST)
    target = jnp.cumsum(rates[::-1] * period, axis=0)[::-1] + lost
    pick = slice(0, horizon // 2, max(1, horizon // 100))
    shape = target[pick].shape
    flat = states[pick].transpose(1, 0, 2).reshape(len(state), -1)
    many = jnp.broadcast_to(numbers[:, None], (len(numbers), *shape)).reshape(len(numbers), -1)
    return Samples(flat, many, target[pick].ravel() + TINY, alive[pick].ravel(), (alive[pick] & back).ravel())


def growth(mode: Mode, policy: Network, weights: Network, state: jax.Array, numbers: jax.Array) -> jax.Array:
    """Rate of log V along the closed loop, 1/s, (V,)."""
    after = closed_loop(mode, policy, numbers, state)
    values = [lyapunov.value(weights, mode.DOMAIN, where, numbers) + TINY for where in (state, after)]
    return jnp.log(values[1] / values[0]) / mode.DOMAIN.period_s


def slopes_at_rest(mode: Mode, policy: Network, numbers: jax.Array) -> jax.Array:
    """Jacobians (V, n, n) of the closed loop at the equilibrium, of states in half widths, for numbers (c, V)."""
    half = jnp.asarray(mode.DOMAIN.state)

    def after(scaled: jax.Array, given: jax.Array) -> jax.Array:
        return closed_loop(mode, policy, given[:, None], (half * scaled)[:, None])[:, 0] / half

    found: jax.Array = jax.vmap(jax.jacfwd(after), in_axes=(None, 1))(jnp.zeros(len(half)), numbers)
    return found


def growth_at_rest(mode: Mode, weights: Network, slopes: jax.Array, numbers: jax.Array) -> jax.Array:
    """Rates of log V along the closed loop's principal directions in V, 1/s, (V, n), the largest last.

    Args:
      mode: with its domain.
      weights: of V.
      slopes: (V, n, n) A, as of `slopes_at_rest`.
      numbers: (c, V).
    """
    shape = lyapunov.shape(weights, mode.DOMAIN, numbers)
    root = jnp.linalg.cholesky(shape)
    moved = jnp.swapaxes(root, -1, -2) @ slopes
    scaled = jax.scipy.linalg.solve_triangular(root, jnp.swapaxes(moved, -1, -2), lower=True)
    squares = jnp.linalg.eigvalsh(scaled @ jnp.swapaxes(scaled, -1, -2))
    return jnp.log(jnp.maximum(squares, TINY)) / mode.DOMAIN.period_s


def falsify(
    mode: Mode, policy: Network, weights: Network, recipe: LyapunovRecipe, state: jax.Array, numbers: jax.Array
) -> jax.Array:
    """Moves states (n, V) to where V decreases least nearby, within the domain."""
    half = jnp.asarray(mode.DOMAIN.state)[:, None]
    slope = jax.grad(lambda x: growth(mode, policy, weights, x, numbers).sum())

    def climb(state: jax.Array, _: None) -> tuple[jax.Array, None]:
        direction = jnp.sign(jnp.nan_to_num(slope(state)))
        size = jnp.sqrt((mode.DOMAIN.scaled(state) ** 2).sum(0))
        return jnp.clip(state + half * recipe.falsifier_stride * size * direction, -half, half), None

    return jax.lax.scan(climb, state, None, length=recipe.falsifier_steps)[0]


@partial(jax.jit, static_argnums=(0, 1))
def round_of(
    mode: Mode, recipe: LyapunovRecipe, policy: Network, learning: Learning, key: jax.Array
) -> tuple[Learning, jax.Array]:
    """One round.

    Returns:
      What is carried on; and the mean misfit of log V, the share of samples in which V decreases, and the share of
      configurations in which it does so at the equilibrium.
    """
    start, which, picks = jax.random.split(key, 3)
    numbers = mode.DOMAIN.configurations(which, recipe.systems)
    samples = trajectories(mode, policy, start_states(mode, start, recipe.systems), numbers, recipe.horizon)

    resting = numbers[:, : recipe.resting]
    slopes = slopes_at_rest(mode, policy, resting)

    def loss(weights: Network, some: Samples, bad: jax.Array) -> tuple[jax.Array, jax.Array]:
        misfit = jnp.log(lyapunov.value(weights, mode.DOMAIN, some.state, some.numbers) + TINY) - jnp.log(some.target)
        both = jnp.concatenate([some.state, bad], axis=1)
        numbers = jnp.concatenate([some.numbers, some.numbers[:, : bad.shape[1]]], axis=1)
        good = jnp.concatenate([some.good, some.good[: bad.shape[1]]])
        grown = growth(mode, policy, weights, both, numbers)
        excess = jnp.minimum(jnp.maximum(grown + recipe.decrease, 0.0), 20.0)
        decrease = jnp.where(good, excess, 0.0).mean()
        count = jnp.maximum(some.good.sum(), 1)
        share = (some.good & (grown[: len(some.good)] < 0)).sum() / count
        at_rest = growth_at_rest(mode, weights, slopes, resting)
        rise = jnp.log1p(jnp.maximum(at_rest + recipe.decrease, 0.0)).sum(-1).mean()
        total = (misfit**2).mean() + recipe.decrease_weight * decrease + recipe.rest_weight * rise
        total = total + recipe.smooth * network.bend(weights, len(some.state))
        return total, jnp.stack([jnp.abs(misfit).mean(), share, (at_rest[:, -1] < 0).mean()])

    def one(learning: Learning, key: jax.Array) -> tuple[Learning, jax.Array]:
        index = jax.random.choice(key, samples.target.size, (recipe.batch,), p=samples.alive / samples.alive.sum())
        some = jax.tree.map(lambda leaf: leaf[..., index], samples)
        half = recipe.batch // 2
        bad = falsify(mode, policy, learning.weights, recipe, some.state[:, :half], some.numbers[:, :half])
        slope, told = jax.grad(loss, has_aux=True)(learning.weights, some, jax.lax.stop_gradient(bad))
        change, optimiser = rule_of(recipe).update(slope, learning.optimiser)
        return Learning(optax.apply_updates(learning.weights, change), optimiser), told

    learning, told = jax.lax.scan(one, learning, jax.random.split(picks, recipe.fits))
    return learning, told.mean(0)
