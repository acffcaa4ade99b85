"""Trains a hybrid system's mode with progress on the screen, and writes its file."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from haltere.policies.export import hybrid_file, planner_file
from haltere.policies.hybrid import car_mode, car_planner_learning
from haltere.policies.hybrid.car_planner_learning import PlannerRecipe
from haltere.policies.hybrid.controller_learning import Gains
from haltere.policies.hybrid.drivers import LEARNED
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.training import Recipe, Report, train
from haltere.policies.planner_policy import digest
from haltere.tools import provenance

PRINT_EVERY_S = 15.0
Trained = TypeVar("Trained")


def watched(name: str, seed: int, output: Path, restart: bool, work: Callable[[Report], Trained]) -> Trained:
    """Does the work of a training, with progress on the screen and in `curve.csv`; arguments as of `train_mode`."""
    console = Console()
    console.print(f"training {name}, seed {seed}; checkpoint in {output}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[reached]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    started = printed = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    new = restart or not (output / "curve.csv").exists()
    with (
        (output / "curve.csv").open("w" if new else "a", newline="") as table,
        Progress(*columns, console=console) as bar,
    ):
        curve = csv.writer(table)
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int, reached: str) -> None:
            nonlocal printed
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, reached="")
            bar.update(tasks[stage], completed=done, reached=reached)
            now = time.monotonic()
            if now - printed > PRINT_EVERY_S or done == total or stage == "levels":
                printed = now
                curve.writerow((stage, done, total, round(now - started, 1), reached))
                if not console.is_terminal:
                    console.print(f"{stage:10s} {done:6d}/{total} {now - started:6.0f} s  {reached}")

        return work(report)


def card_of(name: str, seed: int, recipe: Any) -> dict[str, Any]:
    """What a trained file says about itself."""
    return {
        "name": name,
        "command": provenance.command(without="--output"),
        "commit": provenance.commit(),
        "date": provenance.today(),
        "machine": provenance.machine(),
        "seed": seed,
        "recipe": asdict(recipe),
    }


def train_mode(
    name: str, mode: Mode, law: Gains | None, recipe: Recipe, seed: int, output: Path, restart: bool
) -> Path:
    """Trains, and writes `NAME.onnx` and `curve.csv` into the folder.

    Args:
      name: of the system.
      mode: what is controlled.
      law: the controller begins as this one, if there is one.
      recipe: how.
      seed: of weights and samples.
      output: folder.
      restart: ignore a checkpoint.
    """

    def work(report: Report) -> Learned:
        return train(mode, law, recipe, seed, output, report, restart)

    weights = watched(name, seed, output, restart, work)
    path = hybrid_file.write(output / f"{name}.onnx", weights, mode, card_of(name, seed, recipe))
    Console().print(f"wrote {path}")
    return path


def train_car_planner(car: Path, recipe: PlannerRecipe, seed: int, output: Path, restart: bool) -> Path:
    """Trains the car's planner, and writes `car_planner.onnx` and `curve.csv` into the folder.

    Args:
      car: file of the controller whose references are planned.
      recipe: how.
      seed: of weights, roads and samples.
      output: folder.
      restart: ignore a checkpoint.
    """
    name, parameters = "car-planner", hybrid_file.read(car, car_mode)
    controller = digest(car.read_bytes())

    def work(report: Report) -> Network:
        return car_planner_learning.train(LEARNED, parameters, recipe, seed, output, report, restart, controller)

    weights = watched(name, seed, output, restart, work)
    path = planner_file.write(
        output / "car_planner.onnx", weights, {**card_of(name, seed, recipe), "controller": controller}
    )
    Console().print(f"wrote {path}")
    return path
