"""`haltere certify`: proves or disproves what a hybrid controller's file says of its Lyapunov function."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from haltere.policies.errors import ConfigError

NUMBERS = ("friction", "speed_m_s", "yaw_rate_rad_s")
DEFAULT = ["1,10,0", "0.1,10,0", "0.1,5,0"]


def certify(
    file: Annotated[Path, typer.Argument(help="File of the car (.onnx), as `haltere train car` writes it.")],
    configuration: Annotated[
        list[str] | None, typer.Option(help="FRICTION,SPEED,YAW_RATE (m/s, rad/s) to look at; may be repeated.")
    ] = None,
    box: Annotated[float, typer.Option(help="Size of the box, in half widths of the file's domain.")] = 0.4,
    rate: Annotated[float, typer.Option(help="With which V is to decrease, 1/s.", min=0.0, max=50.0)] = 0.0,
    seconds: Annotated[float, typer.Option(help="Time limit for each configuration.", min=0.1)] = 60.0,
) -> None:
    """Prove or disprove, by interval bounds, that V decreases in every period.

    In the box, where V lies between 5 % of the level of the file's region of attraction and that level. Each
    configuration is proved; or disproved, with the state; or undecided, with the share of the box that is left. Exits
    with 0 when all are proved, else with 1. The claim is about real numbers, not about the rounding of float32.
    """
    import jax

    from haltere.policies.export import hybrid_file
    from haltere.policies.hybrid import car_mode
    from haltere.policies.hybrid.car_claim import CarClaim
    from haltere.policies.hybrid.certificate import Outcome, Verdict, prove

    console = Console()
    weights = hybrid_file.read(file, car_mode)
    whole = True
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with jax.enable_x64(True), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for text in configuration or DEFAULT:
            numbers = _numbers(text)
            made, begun = CarClaim(weights, numbers, rate, box), time.monotonic()
            task = bar.add_task(f"{text}: looking for a state that contradicts")

            def report(boxes: int, left: float, task: object = task, text: str = text) -> None:
                bar.update(task, description=f"{text}: {boxes} boxes, {100 * left:.3g} % undecided")  # type: ignore[arg-type]

            state = made.search()
            if state is None:
                left_s = max(seconds - (time.monotonic() - begun), 0.1)
                verdict = prove(made.claim, -made.box, made.box, most=10**9, seconds=left_s, report=report)
            else:
                verdict = Verdict(Outcome.DISPROVED, state, 0, 1.0)
            bar.remove_task(task)
            whole &= verdict.outcome is Outcome.PROVED
            taken = time.monotonic() - begun
            told = f"{verdict.boxes} boxes, {taken:.1f} s, level {made.level:.3g}"
            if verdict.state is not None:
                errors = ", ".join(f"{x:.4g}" for x in verdict.state * car_mode.DOMAIN.state)
                told += f"; V does not decrease at the errors ({errors})"
            if verdict.outcome is Outcome.UNDECIDED:
                told += f"; {100 * verdict.remaining:.4g} % of the box is left"
            console.print(f"{text}: {verdict.outcome.value} ({told})", highlight=False, soft_wrap=True)
    if not whole:
        raise typer.Exit(1)


def _numbers(text: str) -> tuple[float, float, float]:
    """The numbers of a configuration.

    Raises:
      ConfigError: these are not three numbers.
    """
    try:
        friction, speed, yaw_rate = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"configuration is {text!r}: expected three numbers, {','.join(NUMBERS)}") from error
    return friction, speed, yaw_rate
