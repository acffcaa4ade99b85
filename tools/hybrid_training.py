"""Trains a hybrid system's mode with progress on the screen, and writes its file."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from haltere.policies.export import hybrid_file, planner_file
from haltere.policies.hybrid import car_mode, car_planner_learning
from haltere.policies.hybrid.car_planner_learning import PlannerRecipe
from haltere.policies.hybrid.controller_learning import Gains
from haltere.policies.hybrid.drivers import LEARNED
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.training import Recipe, Report, train
from haltere.tools import provenance

PRINT_EVERY_S = 15.0


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
    with _progress(name, seed, output, restart) as report:
        weights = train(mode, law, recipe, seed, output, report, restart)
    return _told(hybrid_file.write(output / f"{name}.onnx", weights, mode, _card(name, seed, asdict(recipe))))


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
    digest = hashlib.sha256(car.read_bytes()).hexdigest()
    with _progress(name, seed, output, restart) as report:
        weights = car_planner_learning.train(LEARNED, parameters, recipe, seed, output, report, restart, digest)
    card = {**_card(name, seed, asdict(recipe)), "controller": digest}
    return _told(planner_file.write(output / "car_planner.onnx", weights, card))


def _card(name: str, seed: int, recipe: dict[str, Any]) -> dict[str, Any]:
    """What a file says about its training."""
    return {
        "name": name,
        "command": provenance.command(without="--output"),
        "commit": provenance.commit(),
        "date": provenance.today(),
        "machine": provenance.machine(),
        "seed": seed,
        "recipe": recipe,
    }


def _told(path: Path) -> Path:
    """Says on the screen what was written."""
    Console().print(f"wrote {path}")
    return path


@contextmanager
def _progress(name: str, seed: int, output: Path, restart: bool) -> Iterator[Report]:
    """Progress on the screen, and in the folder's `curve.csv`; gives what is called after every update."""
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
            if now - printed > PRINT_EVERY_S or done == total:
                printed = now
                curve.writerow((stage, done, total, round(now - started, 1), reached))
                if not console.is_terminal:
                    console.print(f"{stage:10s} {done:6d}/{total} {now - started:6.0f} s  {reached}")

        yield report
