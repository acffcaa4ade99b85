"""`haltere train`: trains a policy, and writes it as one ONNX file."""

from __future__ import annotations

import hashlib
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import CAR, FOUNDATION
from haltere.tools.cores import join_hosts, use_every_core

train = typer.Typer(no_args_is_help=True)


@train.callback()
def _train() -> None:
    """Train a policy."""


@train.command()
def foundation(
    output: Annotated[Path, typer.Option(help="Folder for policy, checkpoint, curve and picture.")] = Path(
        "runs/foundation"
    ),
    seed: Annotated[int, typer.Option(help="Of weights, vehicles, references and noise.", min=0, max=2**32 - 1)] = 0,
    recipe: Annotated[
        str,
        typer.Option(
            help="Recipe: a TOML file, or direct (the shipped policy's), meta-imitation (teachers, then "
            "distillation), meta-imitation+direct (and then the last direct stages), fine-tune (one more "
            "stage, for --begin)."
        ),
    ] = "direct",
    teachers: Annotated[
        int | None, typer.Option(help="Number of teachers, where the recipe has some.", min=1, max=10**6)
    ] = None,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    begin: Annotated[
        Path | None,
        typer.Option(
            help="Go on from this policy file (.onnx) instead of drawn weights, with a recipe of direct stages."
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(help="Train on several hosts: HOST:PORT of the first. Start the same command on each of them."),
    ] = None,
    hosts: Annotated[int, typer.Option(help="With --coordinator: how many hosts.", min=1)] = 1,
    host: Annotated[int, typer.Option(help="With --coordinator: which of them this is, from 0.", min=0)] = 0,
) -> None:
    """Train the foundation policy (direct: 90 minutes on two cores; fine-tune: half an hour; meta-imitation: 60).

    Resumes from the folder's checkpoints after a stop, to the same result. Leaves foundation.onnx, curve.csv,
    curve.png and checkpoints (*.npz) in the folder. The vehicles are shared by all devices (a machine's cores, or its
    GPUs where JAX finds some) and, with --coordinator, by several hosts, whose --output must be one shared folder.
    """
    use_every_core()
    first = join_hosts(coordinator, hosts, host)
    import jax

    from haltere.policies.foundation.checkpoint import Progress as Line
    from haltere.policies.foundation.curve import draw_curve
    from haltere.policies.foundation.plan import FINE_TUNE, load_plan
    from haltere.policies.foundation.run import run
    from haltere.policies.foundation.train import Start
    from haltere.policies.policy_file import read_policy
    from haltere.tools.bench.contestants import load_student
    from haltere.tools.training_card import write_trained

    console = Console(quiet=not first)
    plan = load_plan(recipe)
    if teachers is not None:
        plan = plan.with_teachers(teachers)
    plan = plan.scaled(scale)
    start, begun = None, None
    if begin is not None:
        begun = read_policy(begin).card
        start = Start(load_student(begin), [], hashlib.sha256(begin.read_bytes()).hexdigest())
    elif recipe == FINE_TUNE:
        raise ConfigError(f"recipe {FINE_TUNE} goes on from a policy: give --begin FILE, such as {FOUNDATION}")
    parts = []
    if plan.teachers and plan.distil:
        parts.append(f"{plan.teachers.stage.updates} updates of {plan.teachers.count} teachers")
        parts.append(f"{plan.distil.updates} of distillation")
    if plan.direct:
        parts.append(f"{plan.direct.updates} updates of {plan.direct.vehicles} vehicles")
    console.print(
        f"training {', then '.join(parts)} on {jax.device_count()} devices, seed {seed}; checkpoint in {output}"
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
        tasks: dict[str, TaskID] = {}
        shown = ""

        def report(name: str, update: int, total: int, loss: float, line: Line | None) -> None:
            nonlocal shown
            # The direct stages share one bar; teachers and distillation take another time per update.
            part = name if name in ("teachers", "distil") else "direct"
            if part not in tasks:
                shown = ""
                tasks[part] = bar.add_task(name, total=total, completed=update - 1, scores="")
            if line is not None:
                share = "fit" if part == "teachers" else "stable"
                shown = f"steady {100 * line.steady_error_m:.1f} cm, {share} {100 * line.stable:.0f} %"
                if not console.is_terminal:
                    console.print(
                        f"{line.update:6d} {line.stage:13s} {line.seconds:6.0f} s  loss {line.loss:.4f}  {shown}, "
                        f"figure-eight {100 * line.figure_eight_m:.1f} cm"
                    )
            bar.update(tasks[part], completed=update, description=name, scores=f"loss {loss:.3f}  {shown}")

        outcome = run(plan, seed, output, report, restart, start)
    if plan.teachers and outcome.fit is not None:
        console.print(
            f"{outcome.fit} of {plan.teachers.count} teachers were fit; "
            f"the other {plan.teachers.count - outcome.fit} and their vehicles were left out"
        )
    if not first:
        return
    draw_curve(outcome.progress, output / "curve.png")
    path = write_trained(outcome, plan, seed, output / "foundation.onnx", begun)
    console.print(f"wrote {path}; look at it with: haltere info {path}")


@train.command()
def car(
    output: Annotated[Path, typer.Option(help="Folder for the file, the checkpoint and the learning curve.")] = Path(
        "runs/car"
    ),
    seed: Annotated[int, typer.Option(help="Of weights and samples.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the car's controller, Lyapunov function and region of attraction (a quarter of an hour on two cores).

    Resumes from the folder's checkpoint after a stop, to the same result. Leaves car.onnx, curve.csv and a checkpoint
    (*.npz) in the folder.
    """
    from haltere.policies.hybrid import car_expert, car_mode
    from haltere.policies.hybrid.training import Recipe
    from haltere.tools.hybrid_training import train_mode

    train_mode("car", car_mode, car_expert.schedule().at, Recipe().scaled(scale), seed, output, restart)


@train.command()
def car_planner(
    car: Annotated[Path, typer.Option(help="File of the controller whose references are planned.")] = CAR,
    output: Annotated[Path, typer.Option(help="Folder for the file, the checkpoint and the learning curve.")] = Path(
        "runs/car_planner"
    ),
    seed: Annotated[int, typer.Option(help="Of weights, roads and samples.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the car's planner through the closed loop, on random roads (some minutes on two cores).

    Resumes from the folder's checkpoint after a stop, to the same result. Leaves car_planner.onnx, curve.csv and a
    checkpoint (*.npz) in the folder.
    """
    from haltere.policies.hybrid.car_planner_learning import PlannerRecipe
    from haltere.tools.hybrid_training import train_car_planner

    train_car_planner(car, PlannerRecipe().scaled(scale), seed, output, restart)


@train.command()
def pogobot(
    output: Annotated[Path, typer.Option(help="Folder for the file, the checkpoint and the learning curve.")] = Path(
        "runs/pogobot"
    ),
    seed: Annotated[int, typer.Option(help="Of weights and samples.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the pogobot's controller, Lyapunov function and region of attraction, from apex to apex (half an hour).

    Resumes from the folder's checkpoint after a stop, to the same result. Leaves pogobot.onnx, curve.csv and a
    checkpoint (*.npz) in the folder.
    """
    from haltere.policies.hybrid import pogobot_mode
    from haltere.policies.hybrid.training import POGOBOT
    from haltere.tools.hybrid_training import train_mode

    train_mode("pogobot", pogobot_mode, None, POGOBOT.scaled(scale), seed, output, restart)


@train.command()
def walker(
    output: Annotated[Path, typer.Option(help="Folder for the file, the checkpoint and the learning curve.")] = Path(
        "runs/walker"
    ),
    seed: Annotated[int, typer.Option(help="Of weights and samples.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of updates: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the walker's controller, Lyapunov function and region of attraction, from impact to impact.

    Resumes from the folder's checkpoint after a stop, to the same result. Leaves walker.onnx, curve.csv and a
    checkpoint (*.npz) in the folder.
    """
    from haltere.policies.hybrid import walker_mode
    from haltere.policies.hybrid.training import WALKER
    from haltere.tools.hybrid_training import train_mode

    train_mode("walker", walker_mode, None, WALKER.scaled(scale), seed, output, restart)


@train.command()
def quadrotor(
    output: Annotated[Path, typer.Option(help="Folder for the file, the checkpoint and the learning curve.")] = Path(
        "runs/quadrotor"
    ),
    policy: Annotated[Path, typer.Option(help="Policy file (.onnx) that flies.")] = FOUNDATION,
    population: Annotated[str, typer.Option(help="Of vehicles: raptor, wide, shaped, or a TOML file.")] = "raptor",
    seed: Annotated[int, typer.Option(help="Of weights and flights.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of rounds: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Ignore a checkpoint in the folder.")] = False,
) -> None:
    """Train the quadrotor's Lyapunov function and regions of attraction under the foundation policy (ten minutes).

    The policy is given, and stays as it is. Resumes from the folder's checkpoint after a stop, to the same result.
    Leaves quadrotor.onnx, curve.csv and a checkpoint (*.npz) in the folder.
    """
    from haltere.policies.hybrid.quadrotor_learning import QuadrotorRecipe
    from haltere.policies.hybrid.quadrotor_training import scaled
    from haltere.tools.quadrotor_training import train_quadrotor

    train_quadrotor(policy, population, scaled(QuadrotorRecipe(), scale), seed, output, restart)


class System(str, Enum):
    """Hybrid systems that reinforcement learning is tried on."""

    CAR = "car"
    POGOBOT = "pogobot"
    WALKER = "walker"


class Algorithm(str, Enum):
    """Of reinforcement learning."""

    PPO = "ppo"
    SAC = "sac"


@train.command()
def baseline(
    system: Annotated[System, typer.Argument(help="Which system.")],
    algorithm: Annotated[Algorithm, typer.Option(help="Proximal policy optimisation, or soft actor-critic.")],
    output: Annotated[Path, typer.Option(help="Folder for the file and the learning curve.")] = Path("runs/baselines"),
    seed: Annotated[int, typer.Option(help="Of weights, episodes and noise.", min=0, max=2**32 - 1)] = 0,
    scale: Annotated[
        float,
        typer.Option(help="Multiply the number of steps: 0.01 shows that it runs.", min=1e-4, max=100),
    ] = 1.0,
) -> None:
    """Train a rival of the hybrid controllers by reinforcement learning, with brax (ten minutes on two cores).

    Leaves SYSTEM_ALGORITHM.npz and SYSTEM_ALGORITHM/curve.csv in the folder, which `haltere bench hybrid --baselines`
    takes. The same seed on as many cores gives the same policy; SAC, whose batches are small, trains on one.
    """
    if algorithm is Algorithm.PPO:
        use_every_core()
    from haltere.tools.baseline_training import train_baseline

    path = train_baseline(system.value, algorithm.value, scale, seed, output)
    Console().print(f"wrote {path}")
