"""Trains a baseline by reinforcement learning with progress on the screen, and writes its file."""

from __future__ import annotations

from pathlib import Path

from haltere.policies.hybrid.baselines import learning, policy
from haltere.policies.hybrid.baselines.environments import ENVIRONMENTS
from haltere.policies.hybrid.baselines.learning import Outcome
from haltere.policies.hybrid.baselines.recipe import RECIPES
from haltere.policies.hybrid.training import Report
from haltere.tools.hybrid_training import card_of, watched


def train_baseline(system: str, algorithm: str, scale: float, seed: int, output: Path) -> Path:
    """Trains, and writes `SYSTEM_ALGORITHM.npz` into the folder, and `curve.csv` into one of that name in it.

    Args:
      system: car, pogobot or walker.
      algorithm: ppo or sac.
      scale: of the recipe's number of steps.
      seed: of weights, episodes and noise.
      output: folder.
    """
    recipe = RECIPES[system, algorithm].scaled(scale)
    name = f"{system}_{algorithm}"

    def work(report: Report) -> Outcome:
        def progress(step: int, steps: int, reward: float) -> None:
            report("steps", min(step, steps), steps, f"mean return {reward:.2f}")

        return learning.learn(ENVIRONMENTS[system](), recipe, seed, progress)

    outcome = watched(name, seed, output / name, True, work)
    card = {
        **card_of(name, seed, recipe),
        "training_s": outcome.curve[-1].seconds,
        "curve": [evaluation._asdict() for evaluation in outcome.curve],
    }
    return policy.write(output / f"{name}.npz", outcome.weights, card)
