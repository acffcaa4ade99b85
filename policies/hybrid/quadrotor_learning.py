"""Learns the quadrotor's Lyapunov function from flights under the given policy.

Each round flies random vehicles through random modes. The danger that a flight still meets is what V should be there,
which falls along the flight by construction (converse theorem); to that V is fitted, in logarithms, and wherever the
flight comes back it must fall by a factor within half a second: a finite-step Lyapunov function, as the vehicle itself
is not seen, and single steps cannot all go down. A falsifier moves beginnings, by gradient ascent through the flight,
to where V falls least, and those are flown in the next round.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from haltere.policies.foundation import student
from haltere.policies.foundation.line import Line, clean_line
from haltere.policies.foundation.population import Population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.quadrotor_flight import Flown
from haltere.policies.hybrid.quadrotor_mode import Flight

LOST = 300.0
"""Added to the danger of flights that fail: much, so that V tells them from the others."""
STEP_TICKS = 5
"""Ticks after which V must have fallen."""
STEP_S = STEP_TICKS * flights.TICK_S
KEEP = 0.9
"""Of V after a step."""
REST = LOST / 1000
"""V at which nothing has to fall any more: the vehicle has settled, and one in a thousand such is lost."""
SHARES = (0.15, 0.2, 0.35, 0.15, 0.15)
"""Of the flights in each mode."""
STEEP = 5.0
"""Misfit of log V above which the deviance is linear."""
STRIDES = (0.3, 0.3, 0.3, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
"""Reach of the falsifier: m, rad, m/s, rad/s."""


@dataclass(frozen=True)
class QuadrotorRecipe:
    """How V is learned, and its levels are found.

    Attributes:
      rounds: of flights and fits.
      vehicles: in each round.
      fits: updates in each round.
      batch: states in each update.
      rate: learning rate, falls to a fiftieth.
      decrease_weight: of the decrease over the fit.
      falsified: vehicles in each round that begin where V fell least.
      ascent: steps of the falsifier.
      reach: largest multiple of a mode's usual beginning.
      clip_norm: of the gradient.
      calibration: flights of each mode by which levels are found.
      failing: share of flights from within a level that may fail.
      confidence: with which.
    """

    rounds: int = 600
    vehicles: int = 2048
    fits: int = 50
    batch: int = 2048
    rate: float = 3e-3
    decrease_weight: float = 2.0
    falsified: int = 256
    ascent: int = 3
    reach: float = 1.5
    clip_norm: float = 1.0
    calibration: int = 16384
    failing: float = 0.006
    confidence: float = 0.999


class Learning(NamedTuple):
    """Carried from round to round.

    Attributes:
      weights: of V.
      optimiser: its state.
      bad: flights that begin where V fell least.
      bad_mode: (falsified,) their modes.
    """

    weights: Network
    optimiser: optax.OptState
    bad: Flight
    bad_mode: jax.Array


def rule_of(recipe: QuadrotorRecipe) -> optax.GradientTransformation:
    """Adam on a clipped gradient."""
    schedule = optax.cosine_decay_schedule(recipe.rate, recipe.rounds * recipe.fits, 0.02)
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optax.adam(schedule))


def begin(recipe: QuadrotorRecipe, key: jax.Array, population: Population, policy: student.Policy) -> Learning:
    """Before the first round; the first counter-examples are vehicles at rest."""
    weights = lyapunov.draw(key)
    bad = modes.at_rest(key, recipe.falsified, population, policy)
    return Learning(weights, rule_of(recipe).init(weights), bad, jnp.zeros(recipe.falsified, jnp.int32))


def falls(weights: Network, before: jax.Array, after: jax.Array, which: jax.Array) -> jax.Array:
    """By how much log V rises above what is wanted, between states (41, V) a step apart; at most zero if V falls."""
    first = lyapunov.log_value(weights, before, which)
    wanted = jnp.maximum(first + jnp.log(KEEP), jnp.log(REST))
    return lyapunov.log_value(weights, after, which) - wanted


def falsify(
    policy: student.Policy, weights: Network, flight: Flight, mode: jax.Array, line: Line, ascent: int
) -> tuple[Flight, jax.Array]:
    """Moves beginnings to where V falls least within a step, by gradient ascent through the flight.

    Returns:
      The flights, and how much log V rises above what is wanted, (V,).
    """
    vehicle, which = flight.vehicle(), lyapunov.one_hot(mode)
    strides = jnp.asarray(STRIDES)[:, None]

    def excess(by: jax.Array) -> jax.Array:
        moved = modes.displaced(flight.loop, by * strides)
        after = flights.ahead(policy, vehicle, line, moved, STEP_TICKS * flights.EVERY)
        return falls(weights, modes.see(moved), modes.see(after), which)

    def climb(by: jax.Array, _: None) -> tuple[jax.Array, None]:
        slope = jnp.nan_to_num(jax.grad(lambda by: excess(by).sum())(by))
        return jnp.clip(by + jnp.sign(slope) / ascent, -1.0, 1.0), None

    by, _ = jax.lax.scan(climb, jnp.zeros((12, mode.shape[0])), None, length=ascent)
    return flight._replace(loop=modes.displaced(flight.loop, by * strides)), excess(by)


class Pairs(NamedTuple):
    """States a step apart: (41, S), modes (5, S), what V should be at the first (S,), whether it must fall (S,)."""

    before: jax.Array
    after: jax.Array
    which: jax.Array
    target: jax.Array
    counts: jax.Array
    falling: jax.Array


def pairs_of(flown: Flown, mode: jax.Array) -> Pairs:
    """All pairs of flights (T, ., V) in the first half of the horizon."""
    ticks = flights.HORIZON // 2
    target = flown.to_come(LOST) + lyapunov.FLOOR
    begun = flown.begun & jnp.ones((ticks, 1), bool)
    which = jnp.broadcast_to(lyapunov.one_hot(mode)[None], (ticks, len(modes.MODES), mode.shape[0]))

    def flat(array: jax.Array) -> jax.Array:
        return array.transpose(1, 0, 2).reshape(array.shape[1], -1)

    return Pairs(
        flat(flown.seen[:ticks]),
        flat(flown.seen[STEP_TICKS : STEP_TICKS + ticks]),
        flat(which),
        target[:ticks].ravel(),
        (begun & flown.safe[:ticks]).ravel(),
        (begun & flown.back).ravel(),
    )


@partial(jax.jit, static_argnums=(0, 1))
def round_of(
    recipe: QuadrotorRecipe, population: Population, policy: student.Policy, learning: Learning, key: jax.Array
) -> tuple[Learning, jax.Array]:
    """One round.

    Returns:
      What is carried on; and the mean misfit of log V, the share of states in which V falls, and the same of
      beginnings that the falsifier has moved.
    """
    k = jax.random.split(key, 6)
    line = clean_line(recipe.vehicles)
    hover = flights.hovering(policy, k[0], recipe.vehicles, population, line)
    mode = jax.random.choice(k[1], len(modes.MODES), (recipe.vehicles,), p=jnp.array(SHARES))
    # Half of them as the mode usually begins.
    reach = jnp.maximum(jax.random.uniform(k[2], (recipe.vehicles,), minval=2 - recipe.reach, maxval=recipe.reach), 1.0)
    begun = modes.switch(k[3], mode, reach, hover, policy)
    settled = modes.settled(hover.loop)

    both = jax.tree.map(lambda bad, fresh: jnp.concatenate([bad, fresh], -1), learning.bad, begun)
    every = jnp.concatenate([learning.bad_mode, mode])
    flown, _ = flights.fly(policy, both, clean_line(every.shape[0]))
    flown = flown._replace(begun=jnp.concatenate([jnp.ones(recipe.falsified, bool), settled]))
    pairs = pairs_of(flown, every)

    def loss(weights: Network, some: Pairs) -> tuple[jax.Array, jax.Array]:
        misfit = jnp.log(some.target) - lyapunov.log_value(weights, some.before, some.which)
        low = jnp.minimum(misfit, STEEP)
        deviance = jnp.exp(low) * (1 + misfit - low) - 1 - misfit
        excess = falls(weights, some.before, some.after, some.which)
        rising = jnp.where(some.falling, jnp.clip(excess + 0.05, 0.0, 2.0), 0.0)
        share = (some.falling & (excess <= 0)).sum() / some.falling.sum()
        total = deviance.mean() + recipe.decrease_weight * rising.mean()
        return total, jnp.stack([jnp.abs(misfit).mean(), share])

    def one(carry: tuple[Network, optax.OptState], key: jax.Array) -> tuple[tuple[Network, optax.OptState], jax.Array]:
        weights, state = carry
        index = jax.random.choice(key, pairs.target.size, (recipe.batch,), p=pairs.counts / pairs.counts.sum())
        slope, told = jax.grad(loss, has_aux=True)(weights, jax.tree.map(lambda leaf: leaf[..., index], pairs))
        change, state = rule_of(recipe).update(slope, state)
        return (optax.apply_updates(weights, change), state), told

    start = (learning.weights, learning.optimiser)
    (weights, state), told = jax.lax.scan(one, start, jax.random.split(k[4], recipe.fits))

    # Of the flights that came back, some are moved on from where they began.
    pick = jnp.argsort(~(flown.back[recipe.falsified :] & settled))[: recipe.falsified]
    some = jax.tree.map(lambda leaf: leaf[..., pick], begun)
    bad, excess = falsify(policy, weights, some, mode[pick], clean_line(recipe.falsified), recipe.ascent)
    bad = jax.tree.map(jax.lax.stop_gradient, bad)
    report = jnp.concatenate([told.mean(0), (excess <= 0).mean()[None]])
    return Learning(weights, state, bad, mode[pick]), report
