"""`haltere certify`: proves or disproves what can be said of a hybrid controller's file, by interval bounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from haltere.policies.errors import ConfigError


def certify(
    file: Annotated[
        Path,
        typer.Argument(
            help="File of car, pogobot or walker, or a foundation policy (.onnx); or a word: quadrotor (the shipped "
            "policy), toy (two switched spirals)."
        ),
    ],
    configuration: Annotated[
        list[str] | None,
        typer.Option(
            help="Numbers to look at; may be repeated. Car: FRICTION,SPEED,YAW_RATE (m/s, rad/s); pogobot: "
            "SPEED,HEIGHT (m/s, m); walker: ANGLE (rad); toy: DWELL (s); quadrotor: VEHICLE (name, or TOML file)."
        ),
    ] = None,
    box: Annotated[
        float, typer.Option(help="Car: size of the first box, in half widths of the file's domain.", min=1e-6, max=1.0)
    ] = 0.016,
    rate: Annotated[
        float,
        typer.Option(
            help="With which errors, or V, are to decrease: 1/s, or of each hop or stride.", min=0.0, max=50.0
        ),
    ] = 0.01,
    hole: Annotated[
        float,
        typer.Option(help="Pogobot, walker: share of the level, below which V may stay.", min=1e-6, max=0.9),
    ] = 0.05,
    error: Annotated[
        float,
        typer.Option(
            help="Pogobot, walker: by how much the plant may miss its model, in each coordinate of the next state, in "
            "half widths of the domain.",
            min=0.0,
            max=0.5,
        ),
    ] = 0.0,
    share: Annotated[
        float,
        typer.Option(
            help="Pogobot, walker: share of the level that the file tells, with which to begin.", min=1e-6, max=1.0
        ),
    ] = 1.0,
    seconds: Annotated[
        float,
        typer.Option(
            help="Time limit for each configuration; compiling (a minute, the walker some five) comes on top.", min=0.1
        ),
    ] = 300.0,
    regulator: Annotated[
        bool,
        typer.Option("--regulator", help="Car, pogobot, walker: of the linear regulator there, to compare with."),
    ] = False,
    proofs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Pogobot, walker: keep what is left of a proof there, each minute; the same command goes on from it.",
            file_okay=False,
        ),
    ] = None,
    lyapunov: Annotated[
        bool, typer.Option("--lyapunov", help="Car: look at the file's own V in a box, instead of a norm.")
    ] = False,
) -> None:
    """Prove, by interval bounds, regions of attraction of the closed loop around configurations.

    Car: the closed loop contracts in a ball in a norm that fits to the configuration, and maps the ball into itself, so
    that all trajectories from it go to one equilibrium. With --lyapunov: the file's V decreases in every period, from
    all states of a box but the equilibrium, and no trajectory leaves a level set in it. Where the first box is too
    large, smaller ones follow, each half as large.

    Pogobot, walker: with every hop from apex to apex, or stride from impact to impact, the file's V decreases in the
    file's region of attraction, until it is below a share of its level; where that fails, smaller levels follow.

    Quadrotor: the foundation policy's closed loop with a vehicle, hidden state and rotors included, contracts in a ball
    around its equilibrium. Some two minutes for each vehicle, or four if its rotors rise and fall differently.

    Each configuration is proved; or disproved, with the state; or undecided, with what is left. Exits with 0 when all
    are proved, else with 1. Claims are about real numbers, not about the rounding of float32.
    """
    import jax

    from haltere.tools.certificates import NAMED, Asked, subject

    console, whole = Console(), True
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with jax.enable_x64(True), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        about = subject(file, Asked(box, rate, hole, seconds, lyapunov, error, share, regulator, proofs))
        for text in configuration or about.usual:
            begun = time.monotonic()
            numbers = text if about.names == NAMED else _numbers(text, about.names)
            task = bar.add_task(f"{text}: begins")

            def report(said: str, task: object = task, text: str = text) -> None:
                bar.update(task, description=f"{text}: {said}")  # type: ignore[arg-type]

            proved, told = about.look(numbers, report)
            bar.remove_task(task)
            whole &= proved
            console.print(f"{text}: {told}, {time.monotonic() - begun:.1f} s", highlight=False, soft_wrap=True)
    if not whole:
        raise typer.Exit(1)


def _numbers(text: str, names: tuple[str, ...]) -> tuple[float, ...]:
    """The numbers of a configuration.

    Raises:
      ConfigError: these are not as many numbers as expected.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != len(names):
        words = {1: "one number", 2: "two numbers", 3: "three numbers"}[len(names)]
        raise ConfigError(f"configuration is {text!r}: expected {words}, {','.join(names)}")
    return found
