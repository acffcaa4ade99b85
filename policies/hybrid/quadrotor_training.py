"""Trains the quadrotor's Lyapunov function, and calibrates its levels; resumes after a stop."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import student
from haltere.policies.foundation.population import Population
from haltere.policies.hybrid import checkpoint, quadrotor_learning, quadrotor_region
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.quadrotor_learning import QuadrotorRecipe
from haltere.policies.hybrid.quadrotor_mode import MODES
from haltere.policies.hybrid.training import CHECKPOINT, SAVE_EVERY_S, Report


class LearnedModes(NamedTuple):
    """What learning leaves.

    Attributes:
      lyapunov: network of V.
      log_levels: (5,) logarithms of the levels of the regions, by mode.
    """

    lyapunov: Network
    log_levels: jax.Array


def scaled(recipe: QuadrotorRecipe, factor: float) -> QuadrotorRecipe:
    """The same with another number of rounds and flights."""
    return replace(
        recipe,
        rounds=max(1, round(factor * recipe.rounds)),
        calibration=max(1, round(factor * recipe.calibration)),
    )


def train(
    policy: student.Policy,
    population: Population,
    recipe: QuadrotorRecipe,
    seed: int,
    output: Path,
    report: Report,
    restart: bool = False,
) -> LearnedModes:
    """Trains.

    Args:
      policy: that flies.
      population: of the vehicles.
      recipe: how.
      seed: of weights and flights.
      output: folder of the checkpoint; one that is found there is resumed, to the same result.
      report: called after every round.
      restart: ignore a checkpoint.
    Raises:
      ConfigError: the checkpoint belongs to another training.
    """
    output.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(policy))).hexdigest()
    path, identity = output / CHECKPOINT, f"{recipe} {population} policy {mark} seed {seed}"
    keys = jax.random.split(jax.random.key(seed), 3)
    learning, done, before_s = quadrotor_learning.begin(recipe, keys[0], population, policy), 0, 0.0
    if path.exists() and not restart:
        learning, done, before_s = checkpoint.restore(learning, identity, path)
        learning = jax.tree.map(jnp.asarray, learning)
    started = saved = time.monotonic()
    while done < recipe.rounds:
        key = jax.random.fold_in(keys[1], done)
        learning, told = quadrotor_learning.round_of(recipe, population, policy, learning, key)
        done += 1
        text = f"misfit {told[0]:.3f}, V falls in {100 * told[1]:.1f} %, falsified in {100 * (1 - told[2]):.0f} %"
        report("lyapunov", done, recipe.rounds, text)
        if time.monotonic() - saved > SAVE_EVERY_S or done == recipe.rounds:
            saved = time.monotonic()
            checkpoint.save(learning, done, before_s + saved - started, identity, path)
    found = []
    for mode, name in enumerate(MODES):
        key = jax.random.fold_in(keys[2], mode)
        flown = quadrotor_region.starts(policy, learning.weights, population, key, mode, 1.0, recipe.calibration)
        found.append(quadrotor_region.level(flown.value, flown.back, recipe.failing, recipe.confidence))
        inside = 100 * (flown.value <= found[-1]).mean()
        report("levels", mode + 1, len(MODES), f"{name}: {found[-1]:.3g}, {inside:.1f} % of {len(flown.back)} inside")
    return LearnedModes(learning.weights, jnp.log(jnp.asarray(found)))
