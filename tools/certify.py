"""`haltere certify`: proves or disproves what can be said of a hybrid controller's file, by interval bounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from haltere.policies.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from haltere.policies.hybrid.learned import Learned

NUMBERS = ("friction", "speed_m_s", "yaw_rate_rad_s")
DEFAULT = ["1,10,0", "0.1,10,0", "0.1,5,0"]
Numbers = tuple[float, float, float]


def certify(
    file: Annotated[Path, typer.Argument(help="File of the car (.onnx), as `haltere train car` writes it.")],
    configuration: Annotated[
        list[str] | None, typer.Option(help="FRICTION,SPEED,YAW_RATE (m/s, rad/s) to look at; may be repeated.")
    ] = None,
    box: Annotated[
        float, typer.Option(help="Size of the first box, in half widths of the file's domain.", min=1e-6, max=1.0)
    ] = 0.004,
    rate: Annotated[
        float, typer.Option(help="With which errors, or V, are to decrease, 1/s.", min=0.0, max=50.0)
    ] = 0.01,
    seconds: Annotated[float, typer.Option(help="Time limit for each configuration.", min=0.1)] = 60.0,
    lyapunov: Annotated[
        bool, typer.Option("--lyapunov", help="Look at the file's own V in that box, instead of a norm.")
    ] = False,
) -> None:
    """Prove, by interval bounds, that the closed loop contracts around configurations: a certified region.

    In a ball in a norm that fits to the configuration, any two states come nearer to each other in every period, and
    the ball is mapped into itself: all trajectories from it go to one equilibrium. Where the first box is too large,
    smaller ones follow, each half as large. With --lyapunov the claim is that V decreases in every period, where it
    lies between 5 % of the level of the file's region of attraction and that level.

    Each configuration is proved; or disproved, with the state; or undecided, with the share of the box that is left.
    Exits with 0 when all are proved, else with 1. Claims are about real numbers, not about the rounding of float32.
    """
    import jax

    from haltere.policies.export import hybrid_file
    from haltere.policies.hybrid import car_mode

    console, weights = Console(), hybrid_file.read(file, car_mode)
    whole, look = True, _look_at_v if lyapunov else _look_at_norm
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with jax.enable_x64(True), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for text in configuration or DEFAULT:
            numbers, begun = _numbers(text), time.monotonic()
            task = bar.add_task(f"{text}: begins")

            def report(said: str, task: object = task, text: str = text) -> None:
                bar.update(task, description=f"{text}: {said}")  # type: ignore[arg-type]

            proved, told = look(weights, numbers, rate, box, seconds, report)
            bar.remove_task(task)
            whole &= proved
            console.print(f"{text}: {told}, {time.monotonic() - begun:.1f} s", highlight=False, soft_wrap=True)
    if not whole:
        raise typer.Exit(1)


def _look_at_norm(
    weights: Learned, numbers: Numbers, rate: float, box: float, seconds: float, report: Callable[[str], None]
) -> tuple[bool, str]:
    """Whether the closed loop contracts, and what to say of it."""
    from haltere.policies.hybrid import car_claim, car_mode

    loop = car_claim.loop_of(weights, numbers)
    most = car_claim.largest_box(numbers)
    if box >= most:
        raise ConfigError(f"box is {box:g}: expected less than {most:.3g}, where the car still drives forwards")
    try:
        unit = car_claim.ball_of(loop)
    except ConfigError as error:
        return False, f"disproved ({error})"
    first = unit._replace(radius=unit.radius * box)
    factor = 1 - max(rate, 1e-6) * car_mode.DOMAIN.period_s
    ball, verdict = car_claim.certified(loop, first, factor, seconds, report=report)
    if ball is None:
        return False, f"{verdict.outcome.value} ({_errors('not contracting at', verdict.state)}{verdict.boxes} boxes)"
    widths = _errors("half widths", ball.half_widths())
    return True, f"proved (contracts in a ball with {widths}{verdict.boxes} boxes)"


def _look_at_v(
    weights: Learned, numbers: Numbers, rate: float, box: float, seconds: float, report: Callable[[str], None]
) -> tuple[bool, str]:
    """Whether the file's V decreases, and what to say of it."""
    from haltere.policies.hybrid.car_claim import CarClaim
    from haltere.policies.hybrid.certificate import Outcome, Verdict, prove

    made, begun = CarClaim(weights, numbers, rate, box), time.monotonic()
    report("looking for a state that contradicts")
    state = made.search()
    if state is None:
        left_s = max(seconds - (time.monotonic() - begun), 0.1)

        def told(boxes: int, left: float) -> None:
            report(f"{boxes} boxes, {100 * left:.3g} % undecided")

        verdict = prove(made.claim, -made.box, made.box, most=10**9, seconds=left_s, report=told)
    else:
        verdict = Verdict(Outcome.DISPROVED, state, 0, 1.0)
    said = f"{verdict.outcome.value} ({_errors('V does not decrease at', verdict.state)}{verdict.boxes} boxes"
    said += f", level {made.level:.3g}"
    if verdict.outcome is Outcome.UNDECIDED:
        said += f", {100 * verdict.remaining:.4g} % of the box is left"
    return verdict.outcome is Outcome.PROVED, said + ")"


def _errors(what: str, state: object) -> str:
    """Scaled errors in their units, or nothing."""
    from haltere.policies.hybrid import car_mode

    if state is None:
        return ""
    import numpy as np

    numbers = np.asarray(state) * np.array(car_mode.DOMAIN.state)
    return f"{what} {', '.join(f'{x:.3g}' for x in numbers)}; "


def _numbers(text: str) -> Numbers:
    """The numbers of a configuration.

    Raises:
      ConfigError: these are not three numbers.
    """
    try:
        friction, speed, yaw_rate = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"configuration is {text!r}: expected three numbers, {','.join(NUMBERS)}") from error
    return friction, speed, yaw_rate
