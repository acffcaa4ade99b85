"""Learns the car's planner through the closed loop, on random roads.

Cars drive along roads of which each has its own; at every update all of them look some half pieces ahead, the network
chooses each reference, and the gradient of what the way costs goes through plant and controller into the network. Each
car then goes on to its next half piece, and begins another road at the end, or where it is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import car_planner, checkpoint, drive, references, roads
from haltere.policies.hybrid.drive import LANE_M
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.references import References
from haltere.policies.hybrid.road_planner import Driver, Outlook, predict
from haltere.policies.hybrid.training import CHECKPOINT, SAVE_EVERY_S, Report

LOST_M = 2 * LANE_M


@dataclass(frozen=True)
class PlannerRecipe:
    """How the planner is learned.

    Attributes:
      roads: random ones.
      cars: of one update.
      window: half pieces of one update.
      chosen: of these, choices with gradient; the others only tell what these lead to.
      updates: number.
      rate: learning rate, falls to a hundredth.
      clip_norm: of the gradient.
      bend: cost of a window about which more of it counts less, so that lost cars do not drown the others.
      outlook: what the way costs.
    """

    roads: int = 2048
    cars: int = 96
    window: int = 4
    chosen: int = 2
    updates: int = 5000
    rate: float = 3e-3
    clip_norm: float = 1.0
    bend: float = 200.0
    outlook: Outlook = field(default_factory=lambda: Outlook(ticks=80))

    def scaled(self, factor: float) -> PlannerRecipe:
        """The same with another number of updates."""
        return replace(self, updates=max(1, round(factor * self.updates)))


class Learning(NamedTuple):
    """Carried from update to update.

    Attributes:
      weights: the planner.
      optimiser: its state.
      world: (7, V) of the cars.
      road: (V,) which road each is on.
      piece: (V,) its next half piece there.
    """

    weights: Network
    optimiser: optax.OptState
    world: jax.Array
    road: jax.Array
    piece: jax.Array


def draw_roads(recipe: PlannerRecipe, seed: int) -> References:
    """The references of random roads, leaves (K, ..., R).

    Raises:
      ConfigError: with this seed they are the published ones.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}: below 0, roads may be the published ones")
    drawn = roads.published(recipe.roads, roads.SEED + 1 + seed)
    return references.along(drawn, car_planner.AHEAD + recipe.window)


def rule_of(recipe: PlannerRecipe) -> optax.GradientTransformation:
    """Adam on a clipped gradient; what is not finite is skipped."""
    schedule = optax.cosine_decay_schedule(recipe.rate, recipe.updates, 0.01)
    chain = optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optax.adam(schedule))
    return optax.apply_if_finite(chain, max_consecutive_errors=10**6)


def begin(recipe: PlannerRecipe, weights: Network, key: jax.Array) -> Learning:
    """Before the first update."""
    road = jax.random.randint(key, (recipe.cars,), 0, recipe.roads)
    return Learning(weights, rule_of(recipe).init(weights), drive.start(recipe.cars), road, jnp.zeros_like(road))


def ahead_of(halves: References, road: jax.Array, piece: jax.Array, count: int) -> References:
    """The next half pieces of each car, leaves (count, ..., V)."""
    index = piece + jnp.arange(count)[:, None]
    return References(
        *(leaf[index, :, road].swapaxes(1, 2) if leaf.ndim == 3 else leaf[index, road] for leaf in halves)
    )


@partial(jax.jit, static_argnums=(0, 1))
def update(
    driver: Driver, recipe: PlannerRecipe, parameters: Any, halves: References, learning: Learning, key: jax.Array
) -> tuple[Learning, jax.Array]:
    """One update; returns also the mean cost of a half piece.

    Args:
      driver: whose closed loop is rolled out.
      recipe: how.
      parameters: of its law and region.
      halves: of all roads.
      learning: so far.
      key: random.
    """
    looked = ahead_of(halves, learning.road, learning.piece, recipe.window + car_planner.AHEAD - 1)

    def loss(weights: Network) -> tuple[jax.Array, jax.Array]:
        world, total, ends = learning.world, jnp.zeros(recipe.cars), []
        for index in range(recipe.window):
            used = weights if index < recipe.chosen else jax.lax.stop_gradient(weights)
            view = jax.tree.map(lambda leaf, k=index: leaf[k : k + car_planner.AHEAD], looked)
            choice = car_planner.choose(used, view, world)
            half = jax.tree.map(lambda leaf: leaf[0], view)
            world, cost = predict(driver, recipe.outlook, parameters, half, choice, world)
            total = total + cost
            ends.append(world)
        bounded = total / (1 + jax.nn.relu(total) / recipe.bend)
        return bounded.mean() / recipe.window, ends[0]

    (value, after), slope = jax.value_and_grad(loss, has_aux=True)(learning.weights)
    change, optimiser = rule_of(recipe).update(slope, learning.optimiser, learning.weights)
    weights = optax.apply_updates(learning.weights, change)
    following = learning.piece + 1
    end = ahead_of(halves, learning.road, learning.piece, 1).end[0]
    lost = ~(jnp.hypot(*(after[:2] - end)) < LOST_M) | ~jnp.isfinite(after).all(0)
    over = lost | (ahead_of(halves, learning.road, following, 1).weight[0] == 0)
    other = jax.random.randint(key, over.shape, 0, recipe.roads)
    return Learning(
        weights,
        optimiser,
        jnp.where(over, drive.start(recipe.cars), after),
        jnp.where(over, other, learning.road),
        jnp.where(over, 0, following),
    ), value


def train(
    driver: Driver,
    parameters: Any,
    recipe: PlannerRecipe,
    seed: int,
    output: Path,
    report: Report,
    restart: bool = False,
    of: str = "",
) -> Network:
    """Trains.

    Args:
      driver: whose references are planned.
      parameters: of its law and region.
      recipe: how.
      seed: of weights, roads and samples.
      output: folder of the checkpoint; one that is found there is resumed, to the same result.
      report: called after every update.
      restart: ignore a checkpoint.
      of: what tells these parameters from others.
    Raises:
      ConfigError: the checkpoint belongs to another training.
    """
    output.mkdir(parents=True, exist_ok=True)
    path, identity = output / CHECKPOINT, f"{recipe} seed {seed} of {of}"
    keys = jax.random.split(jax.random.key(seed), 3)
    halves = draw_roads(recipe, seed)
    learning, done, before_s = begin(recipe, car_planner.draw(keys[0]), keys[1]), 0, 0.0
    if path.exists() and not restart:
        learning, done, before_s = checkpoint.restore(learning, identity, path)
        learning = jax.tree.map(jnp.asarray, learning)
    started = saved = time.monotonic()
    while done < recipe.updates:
        key = jax.random.fold_in(keys[2], done)
        learning, cost = update(driver, recipe, parameters, halves, learning, key)
        done += 1
        report("planner", done, recipe.updates, f"cost {cost:.3f}")
        if time.monotonic() - saved > SAVE_EVERY_S or done == recipe.updates:
            saved = time.monotonic()
            checkpoint.save(learning, done, before_s + saved - started, identity, path)
    return learning.weights
