"""Trains a mode: controller and its polish, Lyapunov function, region of attraction; resumes after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import (
    checkpoint,
    controller_learning,
    learned,
    lyapunov_learning,
    polish,
    region_of_attraction,
)
from haltere.policies.hybrid.controller_learning import ControllerRecipe, Gains
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import LyapunovRecipe
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.polish import PolishRecipe
from haltere.policies.hybrid.region_of_attraction import RegionRecipe

Report = Callable[[str, int, int, str], None]
"""(stage, updates done, of how many, what is reached)."""
CHECKPOINT = "training.npz"
SAVE_EVERY_S = 20.0


@dataclass(frozen=True)
class Recipe:
    """How a mode is learned."""

    controller: ControllerRecipe = field(default_factory=ControllerRecipe)
    polish: PolishRecipe = field(default_factory=PolishRecipe)
    lyapunov: LyapunovRecipe = field(default_factory=LyapunovRecipe)
    region: RegionRecipe = field(default_factory=RegionRecipe)

    def scaled(self, factor: float) -> Recipe:
        """The same with another number of updates."""

        def times(count: int) -> int:
            return max(1, round(factor * count))

        return Recipe(
            replace(
                self.controller,
                imitation=times(self.controller.imitation),
                updates=times(self.controller.updates),
            ),
            self.polish.scaled(factor),
            replace(self.lyapunov, rounds=times(self.lyapunov.rounds)),
            replace(self.region, configurations=times(self.region.configurations), updates=times(self.region.updates)),
        )


class Training(NamedTuple):
    """All that is carried on."""

    controller: controller_learning.Learning
    lyapunov: lyapunov_learning.Learning
    region: Network


def begin(mode: Mode, recipe: Recipe, weights: Learned, key: jax.Array) -> Training:
    """Before the first update."""
    return Training(
        controller_learning.begin(mode, recipe.controller, weights.controller, key),
        lyapunov_learning.begin(recipe.lyapunov, weights.lyapunov),
        weights.region,
    )


def train(
    mode: Mode, law: Gains | None, recipe: Recipe, seed: int, output: Path, report: Report, restart: bool = False
) -> Learned:
    """Trains.

    Args:
      mode: what is controlled.
      law: the controller begins as this one, if there is one.
      recipe: how.
      seed: of weights and samples.
      output: folder of the checkpoint; one that is found there is resumed, to the same result.
      report: called after every update.
      restart: ignore a checkpoint.
    Raises:
      ConfigError: the checkpoint belongs to another training.
    """
    output.mkdir(parents=True, exist_ok=True)
    path, identity = output / CHECKPOINT, f"{recipe} seed {seed}"
    keys = jax.random.split(jax.random.key(seed), 6)
    weights = learned.draw(keys[0], mode)
    training, done, before_s = begin(mode, recipe, weights, keys[1]), 0, 0.0
    if path.exists() and not restart:
        training, done, before_s = checkpoint.restore(training, identity, path)
        training = jax.tree.map(jnp.asarray, training)
    elif law is not None:
        report("imitation", 0, recipe.controller.imitation, "")
        fitted = controller_learning.imitate(mode, law, recipe.controller, weights.controller, keys[2])
        training = begin(mode, recipe, weights._replace(controller=fitted), keys[1])
    started = saved = time.monotonic()
    first = recipe.controller.updates
    second = first + recipe.polish.rounds
    total = second + recipe.lyapunov.rounds
    while done < total:
        if done < first:
            key = jax.random.fold_in(keys[3], done)
            stepped, loss = controller_learning.update(mode, recipe.controller, training.controller, key)
            training = training._replace(controller=stepped)
            report("controller", done + 1, first, f"cost {loss:.2f}")
        elif done < second:
            key = jax.random.fold_in(keys[3], done)
            policy, miss = polish.round_of(mode, recipe.polish, training.controller.weights, key)
            training = training._replace(controller=training.controller._replace(weights=policy))
            report("polish", done + 1 - first, recipe.polish.rounds, f"relative miss {miss**0.5:.3f}")
        else:
            policy, key = training.controller.weights, jax.random.fold_in(keys[4], done - second)
            fit, told = lyapunov_learning.round_of(mode, recipe.lyapunov, policy, training.lyapunov, key)
            training = training._replace(lyapunov=fit)
            text = f"misfit {told[0]:.3f}, V decreases in {100 * told[1]:.2f} %, at rest in {100 * told[2]:.1f} %"
            report("lyapunov", done + 1 - second, recipe.lyapunov.rounds, text)
        done += 1
        if time.monotonic() - saved > SAVE_EVERY_S or done in (*range(first, second + 1), total):
            saved = time.monotonic()
            checkpoint.save(training, done, before_s + saved - started, identity, path)
    region = _region(mode, recipe.region, training, keys[5], report)
    return Learned(training.controller.weights, training.lyapunov.weights, region)


def _region(mode: Mode, recipe: RegionRecipe, training: Training, key: jax.Array, report: Report) -> Network:
    """Finds the levels of many configurations, and fits the network to them."""
    which, how = jax.random.split(key)
    numbers = mode.DOMAIN.configurations(which, recipe.configurations)
    found = []
    for at in range(0, recipe.configurations, recipe.chunk):
        some = jax.random.fold_in(how, at)
        piece = numbers[:, at : at + recipe.chunk]
        policy, weights = training.controller.weights, training.lyapunov.weights
        found.append(region_of_attraction.find_levels(mode, recipe, policy, weights, some, piece))
        report("region", at + piece.shape[1], recipe.configurations, f"level {jnp.median(found[-1]):.3f}")
    return region_of_attraction.fit(mode, recipe, training.region, numbers, jnp.concatenate(found))


POGOBOT = Recipe(
    ControllerRecipe(updates=1000, systems=256, window=2, shortest=0, redraw=0.3),
    PolishRecipe(rounds=3, states=32768),
    LyapunovRecipe(rounds=40, systems=256, horizon=8, batch=256, decrease=0.7, falsifier_steps=3, smooth=1e-3),
    RegionRecipe(configurations=256, inside=512, border=256, followed=32, horizon=6),
)
"""One period is a hop: few of them, and each costs more."""


WALKER = Recipe(
    ControllerRecipe(updates=3000, systems=256, window=2, shortest=0, redraw=0.3),
    PolishRecipe(rounds=3),
    LyapunovRecipe(rounds=60, systems=256, horizon=8, batch=256, decrease=0.7, falsifier_steps=3, smooth=1e-3),
    RegionRecipe(configurations=256, inside=512, border=256, followed=32, horizon=6),
)
"""One period is a stride."""
