"""`haltere bench NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from haltere.policies.zoo.shipped import BASELINES, CAR, CAR_PLANNER, FOUNDATION, POGOBOT, QUADROTOR, WALKER
from haltere.tools.bench.run import run_bench
from haltere.tools.cores import use_every_core

bench = typer.Typer(no_args_is_help=True)

Quick = Annotated[bool, typer.Option("--quick/--full", help="A fair sample in under a minute, or all of it.")]
Seed = Annotated[int, typer.Option(help="Of vehicles, initial states and noise.", min=0)]
Check = Annotated[bool, typer.Option("--check", help="Exit with 1 when something asked is not met.")]
Record = Annotated[Path | None, typer.Option("--json", help="Write the record to this file.")]
Picture = Annotated[Path | None, typer.Option(help="Draw the picture into this file (PNG).")]
Policy = Annotated[Path, typer.Option(help="Policy file (.onnx).")]


@bench.callback()
def _bench() -> None:
    """Measure, against the published systems, and against what was asked."""


@bench.command()
def foundation(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    picture: Picture = None,
    policy: Policy = FOUNDATION,
) -> None:
    """The foundation policy against RAPTOR's published weights: hover, figure-eights, latency, noise."""
    use_every_core()
    from haltere.tools.bench.contestants import ours_and_raptor
    from haltere.tools.bench.foundation import FoundationBench

    run_bench("foundation", FoundationBench(ours_and_raptor(policy)), quick, seed, check, record, picture)


@bench.command()
def adaptation(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    picture: Picture = None,
    policy: Policy = FOUNDATION,
) -> None:
    """What the policy knows of its vehicle, and how fast it learns that it has changed, beside RAPTOR's weights."""
    use_every_core()
    from haltere.tools.bench.adaptation import AdaptationBench

    run_bench("adaptation", AdaptationBench(policy), quick, seed, check, record, picture)


@bench.command()
def limits(
    quick: Quick = False,
    seed: Seed = 0,
    record: Record = None,
    policy: Policy = FOUNDATION,
) -> None:
    """How much better the hardest flights could be flown by one that knows the vehicle, in hindsight."""
    use_every_core()
    from haltere.tools.bench.limits import LimitsBench

    run_bench("limits", LimitsBench(policy), quick, seed, False, record, None)


@bench.command()
def ablation(
    scale: Annotated[
        float, typer.Option(help="Updates of each training over those of the shipped recipe.", min=1e-4, max=1.0)
    ] = 0.1,
    output: Annotated[Path, typer.Option(help="Folder of the trainings; what is there is resumed.")] = Path(
        "runs/ablation"
    ),
    quick: Quick = False,
    seed: Seed = 0,
    record: Record = None,
    picture: Picture = None,
) -> None:
    """What recurrence and size are worth: seven policies trained alike (at scale 0.1 some 35 minutes on two cores)."""
    use_every_core()
    from haltere.tools.bench.ablation import AblationBench

    run_bench("ablation", AblationBench(scale, output), quick, seed, False, record, picture)


@bench.command()
def directions(
    scale: Annotated[float, typer.Option(help="Factor of the updates of each training.", min=1e-4, max=10.0)] = 1.0,
    output: Annotated[Path, typer.Option(help="Folder of the trainings; what is there is resumed.")] = Path(
        "runs/directions"
    ),
    quick: Quick = False,
    seed: Seed = 0,
    record: Record = None,
) -> None:
    """What else the shipped policy could be: trained on by other weights of the cost (some 35 minutes on two cores)."""
    use_every_core()
    from haltere.tools.bench.directions import DirectionsBench

    run_bench("directions", DirectionsBench(scale, output), quick, seed, False, record, None)


@bench.command()
def recipes(
    minutes: Annotated[float, typer.Option(help="About how long each training takes on two cores.", min=0.01)] = 8.0,
    seeds: Annotated[int, typer.Option(help="Trainings by each recipe.", min=1)] = 3,
    count: Annotated[int, typer.Option("--teachers", help="Of the recipes that have some.", min=2)] = 128,
    output: Annotated[Path, typer.Option(help="Folder of the trainings; what is there is resumed.")] = Path(
        "runs/recipes"
    ),
    quick: Quick = False,
    seed: Seed = 0,
    record: Record = None,
    picture: Picture = None,
) -> None:
    """Direct, meta-imitation, and both, at equal cost (by default some 75 minutes; resumes after a stop)."""
    use_every_core()
    from haltere.tools.bench.recipes import RecipesBench, cheap_plans

    run_bench("recipes", RecipesBench(cheap_plans(minutes, count), seeds, output), quick, seed, False, record, picture)


@bench.command()
def teachers(
    count: Annotated[int, typer.Option(help="Number of all teachers.", min=64)] = 1000,
    scale: Annotated[
        float, typer.Option(help="Updates of each training over those of the recipe.", min=1e-4, max=1.0)
    ] = 1.0,
    output: Annotated[Path, typer.Option(help="Folder of the trainings; what is there is resumed.")] = Path(
        "runs/teachers"
    ),
    quick: Quick = False,
    seed: Seed = 0,
    record: Record = None,
    picture: Picture = None,
) -> None:
    """Students of 8 to 64 chosen teachers, of as many drawn by lot, and of all (hours; resumes after a stop)."""
    use_every_core()
    from haltere.policies.foundation.plan import load_plan
    from haltere.tools.bench.teachers import TeachersBench

    plan = load_plan("meta-imitation").with_teachers(count).scaled(scale)
    run_bench("teachers", TeachersBench(plan, output), quick, seed, False, record, picture)


@bench.command()
def runtime(
    quick: Quick = False, seed: Seed = 0, check: Check = False, record: Record = None, policy: Policy = FOUNDATION
) -> None:
    """What an answer costs: ONNX Runtime, exported C, NumPy, RAPTOR's package, and a pty round trip."""
    from haltere.tools.bench.runtime import RuntimeBench

    run_bench("runtime", RuntimeBench(policy), quick, seed, check, record, None)


@bench.command()
def flight(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    policy: Policy = FOUNDATION,
    videos: Annotated[Path | None, typer.Option(help="Folder for a video (MP4) of each flight.")] = None,
) -> None:
    """Every shipped vehicle in PyBullet over a simulated serial line, in calm air and under faults."""
    from haltere.tools.bench.flight import FlightBench

    run_bench("flight", FlightBench(policy, videos), quick, seed, check, record, None)


@bench.command()
def hybrid(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    policy: Annotated[Path, typer.Option(help="The car's file (.onnx).")] = CAR,
    pogobot: Annotated[Path, typer.Option(help="The pogobot's file (.onnx).")] = POGOBOT,
    walker: Annotated[Path, typer.Option(help="The walker's file (.onnx).")] = WALKER,
    car_planner: Annotated[Path, typer.Option(help="The file of the car's planner (.onnx).")] = CAR_PLANNER,
    baselines: Annotated[Path, typer.Option(help="Folder of `haltere train baseline`'s files (.npz).")] = BASELINES,
    hamilton_jacobi: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Measure the walker by Hamilton-Jacobi reachability, too: a table of values (.npz). Where it is not "
            "there, it is solved and written (some 20 minutes). Without this option there are no such rows.",
        ),
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Prove regions of attraction of pogobot and walker, too, and compare them with the linear "
            "regulator's. Proofs are kept there, and go on where they were stopped; the walker's takes some 40 "
            "minutes. Without this option there are no such rows.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Hybrid systems: car on icy roads, pogobot and walker, beside published numbers, baselines, and the ablations."""
    from haltere.tools.bench.hybrid import HybridBench

    bench = HybridBench(policy, pogobot, walker, car_planner, baselines, hamilton_jacobi, certificates)
    run_bench("hybrid", bench, quick, seed, check, record, None)


@bench.command()
def quadrotor(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    picture: Picture = None,
    policy: Policy = FOUNDATION,
    file: Annotated[Path, typer.Option(help="The quadrotor's file (.onnx).")] = QUADROTOR,
) -> None:
    """The foundation policy's Lyapunov function: regions of hover, transit, recover, payload, rotor; switches."""
    from haltere.tools.bench.quadrotor import QuadrotorBench

    run_bench("quadrotor", QuadrotorBench(policy, file), quick, seed, check, record, picture)


@bench.command()
def gating(
    quick: Quick = False,
    seed: Seed = 0,
    check: Check = False,
    record: Record = None,
    picture: Picture = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.", min=1)] = None,
    constants: Annotated[Path | None, typer.Option(help="Of the energy model: a TOML file.")] = None,
) -> None:
    """Senses gated by context against everything on, static subsets and random gating: energy, error, recognition."""
    from haltere.fpga.energy import CONSTANTS
    from haltere.tools.bench.gating import GatingBench

    run_bench("gating", GatingBench(workers, constants or CONSTANTS), quick, seed, check, record, picture)
