"""`haltere train`: trains a policy, and writes it as one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from haltere.tools.cores import use_every_core

train = typer.Typer(no_args_is_help=True)


@train.callback()
def _train() -> None:
    """Train a policy."""


@train.command()
def foundation(
    output: Annotated[Path, typer.Option(help="Folder for policy, checkpoint, curve and picture.")] = Path(
        "runs/foundation"
    ),
    seed: Annotated[int, typer.Option(help="Of weights, vehicles, references and noise.", min=0)] = 0,
    recipe: Annotated[Path | None, typer.Option(help="Recipe (TOML); default: the shipped policy's.")] = None,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the foundation policy (less than half an hour on two cores).

    Resumes from the folder's checkpoint after a stop, to the same result. Leaves foundation.onnx, curve.csv,
    curve.png and checkpoint.npz in the folder.
    """
    devices = use_every_core()
    from haltere.policies.foundation import train as training
    from haltere.policies.foundation.checkpoint import Progress as Line
    from haltere.policies.foundation.curve import draw_curve
    from haltere.policies.foundation.recipe import load_recipe
    from haltere.tools.training_card import write_trained

    console = Console()
    plan = load_recipe(recipe).scaled(scale)
    console.print(
        f"training {plan.updates} updates of {plan.vehicles} vehicles on {devices} cores, seed {seed}; "
        f"checkpoint in {output}"
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[scores]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=60) as bar:
        task = bar.add_task("compiling", total=plan.updates, scores="")
        shown = ""

        def report(update: int, loss: float, line: Line | None) -> None:
            nonlocal shown
            if line is not None:
                shown = f"steady {100 * line.steady_error_m:.1f} cm, stable {100 * line.stable:.0f} %"
                if not console.is_terminal:
                    console.print(
                        f"{line.update:6d} {line.stage:13s} {line.seconds:6.0f} s  loss {line.loss:.4f}  {shown}, "
                        f"figure-eight {100 * line.figure_eight_m:.1f} cm"
                    )
            name = plan.stage_at(update - 1).name
            bar.update(task, completed=update, description=name, scores=f"loss {loss:.3f}  {shown}")

        weights, progress = training.train(plan, seed, output, report, restart)
    draw_curve(progress, output / "curve.png")
    path = write_trained(weights, progress, plan, seed, output / "foundation.onnx")
    console.print(f"wrote {path}; look at it with: haltere info {path}")
