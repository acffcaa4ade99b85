"""Trains the quadrotor's Lyapunov function under a policy file, and writes it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from haltere.policies.card import digest
from haltere.policies.export import quadrotor_file
from haltere.policies.foundation.population import load_population
from haltere.policies.hybrid.quadrotor_learning import QuadrotorRecipe
from haltere.policies.hybrid.quadrotor_training import LearnedModes, train
from haltere.policies.hybrid.training import Report
from haltere.policies.policy_file import read_policy
from haltere.tools.bench.contestants import load_student
from haltere.tools.hybrid_training import card_of, watched


def train_quadrotor(
    policy: Path, population: str, recipe: QuadrotorRecipe, seed: int, output: Path, restart: bool
) -> Path:
    """Trains, and writes `quadrotor.onnx` and `curve.csv` into the folder.

    Args:
      policy: file of the policy that flies.
      population: name or file of the vehicles.
      recipe: how.
      seed: of weights and flights.
      output: folder.
      restart: ignore a checkpoint.
    """
    file, weights, vehicles = read_policy(policy), load_student(policy), load_population(population)

    def work(report: Report) -> LearnedModes:
        return train(weights, vehicles, recipe, seed, output, report, restart)

    learned = watched(quadrotor_file.NAME, seed, output, restart, work)
    card = card_of(quadrotor_file.NAME, seed, recipe)
    card |= {"policy": file.card.name, "policy_sha256": digest(file.content), "population": population}
    path = quadrotor_file.write(output / "quadrotor.onnx", learned, weights, vehicles, card)
    Console().print(f"wrote {path}")
    return path
