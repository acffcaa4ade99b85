"""`haltere run`: shows a hybrid system under its learned controller."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table


class System(str, Enum):
    """What can be run."""

    CAR = "car"
    POGOBOT = "pogobot"
    WALKER = "walker"


NUMBERS = {System.CAR: 25, System.POGOBOT: 25, System.WALKER: 800}
"""Published maps, corridors, and tasks."""


def run(
    system: Annotated[System, typer.Argument(help="Which system.")],
    number: Annotated[
        int, typer.Option(help="Published map of the car, corridor of the pogobot, or task of the walker.", min=0)
    ] = 0,
    policy: Annotated[Path | None, typer.Option(help="A file of that system. By default the shipped one.")] = None,
    planner: Annotated[
        Path | None, typer.Option(help="The car's planner, learned with that file. By default the shipped one.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder; by default runs/SYSTEM.")] = None,
    video: Annotated[bool, typer.Option("--video", help="Film it, too (about as long as it runs).")] = False,
) -> None:
    """Run car, pogobot or walker under its learned controller, and draw it.

    The file answers in ONNX Runtime, the planner chooses configurations, and the published equations move the plant:
    Bullet has no such tyres on ice, springy leg or plastic impact. In the film, PyBullet draws the bodies where these
    equations put them. Writes run.json, run.png and, with --video, run.mp4. Exits with 1 when the goal is not reached.
    """
    import importlib

    from haltere.policies.errors import ConfigError
    from haltere.policies.hybrid_policy import load_hybrid
    from haltere.policies.zoo.shipped import CAR
    from haltere.sim.film import write_film
    from haltere.tools.running.picture import write_run_picture

    if number >= NUMBERS[system]:
        raise ConfigError(f"number is {number}; there are {NUMBERS[system]}, from 0")
    folder = output or Path("runs") / system.value
    loaded, file = load_hybrid(policy or CAR.with_name(f"{system.value}.onnx"))
    if file.card["name"] != system.value:
        raise ConfigError(f"{file.path} is of the {file.card['name']}, not of the {system.value}")
    if planner is not None and system is not System.CAR:
        raise ConfigError(f"--planner is for the car; the {system.value} plans without a file of its own")
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with console.status(f"{system.value}, number {number}"):
        module = importlib.import_module(f"haltere.tools.running.{system.value}")
        recording, film = module.run(loaded, file, number, **({} if planner is None else {"planned": planner}))
    write_run_picture(recording, folder / "run.png")
    table = Table("result", recording.outcome, title=f"{system.value}, number {number}")
    inside = int((recording.landed <= 1).sum())
    table.add_row("time", f"{recording.time_s[-1]:.2f} s")
    table.add_row("switches inside the next region of attraction", f"{inside} of {len(recording.landed)}")
    console.print(table)
    summary = {
        "system": system.value,
        "number": number,
        "reached": recording.reached,
        "outcome": recording.outcome,
        "time_s": float(recording.time_s[-1]),
        "switches": len(recording.landed),
        "switches_inside": inside,
    }
    (folder / "run.json").write_text(json.dumps(summary, indent=1) + "\n")
    written = ["run.json", "run.png"]
    if video:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("filming", total=None)
            write_film(
                film, folder / "run.mp4", status=lambda done, total: bar.update(task, completed=done, total=total)
            )
        written.append("run.mp4")
    console.print(f"wrote {', '.join(written)} in {folder}")
    if not recording.reached:
        raise typer.Exit(1)
