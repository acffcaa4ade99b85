"""`haltere fly`: a simulated flight through the real bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import FOUNDATION


def _worn(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    rotor, _, factor = text.partition(":")
    try:
        return int(rotor), float(factor)
    except ValueError as error:
        raise ConfigError(f"--worn-propeller {text}: expected ROTOR:EFFICIENCY, as in 0:0.7") from error


def _street(world: str, weather: str, fpga: str | None) -> tuple[str, ...] | None:
    from haltere.tools.flight.street import BOARDS, weather_plan

    if world not in ("field", "street"):
        raise ConfigError(f"--world {world!r}: the worlds are field and street")
    if world == "field":
        if fpga is not None or weather != "clear":
            raise ConfigError("--weather and --fpga belong to --world street: the open field has neither")
        return None
    if fpga is not None and fpga not in BOARDS:
        raise ConfigError(f"--fpga {fpga!r}: it is {' or '.join(BOARDS)}")
    return weather_plan(weather)


def fly(
    vehicle: Annotated[str, typer.Option(help="A shipped vehicle, or your own TOML file.")] = "crazyflie",
    trajectory: Annotated[
        str,
        typer.Option(
            help="hover | step | figure-eight | wander | waypoints.csv; options follow, as in "
            "figure-eight:period_s=5.5,loops=3"
        ),
    ] = "figure-eight:period_s=9,loops=1",
    duration: Annotated[float, typer.Option(help="Seconds, of a trajectory without an end.", min=0.1)] = 10.0,
    policy: Annotated[Path, typer.Option(help="Policy file (.onnx).")] = FOUNDATION,
    backend: Annotated[str, typer.Option(help="Of the runtime: onnxruntime, c or numpy.")] = "onnxruntime",
    link: Annotated[
        str,
        typer.Option(
            help="pty:?baud=921600 | pty: (unpaced) | pty:?baud=921600&flip_every=2000 (bit errors) | "
            "tcp://127.0.0.1:5760 | serial:/dev/ttyUSB0?baud=921600"
        ),
    ] = "pty:?baud=921600",
    realtime: Annotated[
        bool, typer.Option("--realtime/--no-realtime", help="Physics by the wall clock, or waiting for each answer.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of gusts and sensor noise.", min=0)] = 0,
    wind: Annotated[float, typer.Option(help="Mean wind, m/s; gusts of a third of it.")] = 0.0,
    payload_drop: Annotated[
        float | None, typer.Option(help="Carry a payload and drop it after so many seconds.")
    ] = None,
    payload: Annotated[float, typer.Option(help="Its mass, as a share of the vehicle's.", min=0)] = 0.3,
    worn_propeller: Annotated[str | None, typer.Option(help="ROTOR:EFFICIENCY, as in 0:0.7 (front-right).")] = None,
    latency: Annotated[float, typer.Option(help="Extra age of the measured state, ms.", min=0)] = 0.0,
    noise: Annotated[float, typer.Option(help="Scale of the sensor noise.", min=0)] = 1.0,
    poke: Annotated[float | None, typer.Option(help="Hit the vehicle after so many seconds.")] = None,
    poke_speed: Annotated[float, typer.Option(help="How hard: by how many m/s its velocity changes.")] = 1.5,
    throw: Annotated[float, typer.Option(help="Let the vehicle go with so many m/s.")] = 0.0,
    tilt: Annotated[float, typer.Option(help="Let the vehicle go rolled by so many degrees.")] = 0.0,
    kill_runtime: Annotated[
        float | None, typer.Option(help="Kill the runtime (SIGKILL) after so many seconds.")
    ] = None,
    world: Annotated[
        str, typer.Option(help="field, or street: between houses, with five sensors in --weather.")
    ] = "field",
    weather: Annotated[
        str,
        typer.Option(
            help="Of the street: clear, fog, rain, snow, night, 'bare ground', 'no GPS', vibration, fast or dust "
            "(which the gate does not know); several, as in clear,fog,night, come in turn."
        ),
    ] = "clear",
    fpga: Annotated[
        str | None,
        typer.Option(help="Of the street: sim (default: golden model of the gated paths) or rtl (verilated design)."),
    ] = None,
    reset_fpga: Annotated[
        float | None, typer.Option(help="Of the street: reset the simulated FPGA after so many seconds.")
    ] = None,
    constants: Annotated[Path | None, typer.Option(help="Of the street's energy model: a TOML file.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of log, picture and video.")] = Path("runs/fly"),
    video: Annotated[bool, typer.Option("--video", help="Write an MP4 as well.")] = False,
) -> None:
    """Fly a simulated vehicle: world, C flight controller and runtime, joined by a real link.

    Three processes and a simulated serial line; the same bytes as on the board. Ends with a table, a log
    (MCAP: opens in Foxglove, PlotJuggler, Rerun), and a picture.
    """
    from haltere.tools.flight.gating_log import gating_summary
    from haltere.tools.flight.plan import FlightPlan, fly_plan
    from haltere.tools.flight.stack import BLACK_BOX
    from haltere.tools.flight.summary import as_table, summarise, write_summary

    plan = FlightPlan(
        vehicle=vehicle,
        trajectory=trajectory,
        duration_s=duration,
        link=link,
        policy=policy,
        backend=backend,
        real_time=realtime,
        seed=seed,
        wind_m_s=wind,
        payload_drop_s=payload_drop,
        payload=payload,
        worn=_worn(worn_propeller),
        latency_s=latency / 1e3,
        noise=noise,
        poke_s=poke,
        poke_m_s=poke_speed,
        throw_m_s=throw,
        throw_tilt_deg=tilt,
        kill_runtime_s=kill_runtime,
        street=_street(world, weather, fpga),
        board=fpga or "sim",
        reset_fpga_s=reset_fpga,
        constants=constants,
    )
    console = Console()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("starting")
        outcome, flown, length = fly_plan(
            plan,
            output,
            lambda time_s, total: bar.update(task, completed=time_s, total=total, description="flying"),
        )
    numbers = summarise(outcome, length, output / BLACK_BOX, plan.settling_s)
    if outcome.gating is not None:
        numbers |= gating_summary(outcome.gating)
    console.print(as_table(numbers, f"{flown.name}, {trajectory}, {link}"))
    write_summary(numbers, output / "summary.json")
    from haltere.sim.picture import write_picture  # takes seconds to import: not before the flight

    made = ["flight.mcap", "summary.json", "flight.png"]
    write_picture(outcome.flight, output / "flight.png")
    if outcome.gating is not None:
        from haltere.tools.flight.gating_picture import draw_gating

        draw_gating(outcome.gating, outcome.flight, output / "gates.png")
        made.append("gates.png")
    if video:
        from haltere.sim.video import write_video

        with console.status("drawing the video"):
            write_video(outcome.flight, flown, output / "flight.mp4")
        made.append("flight.mp4")
    console.print(f"wrote {', '.join(made)} in {output}")
    if numbers["result"] != "completed":
        raise typer.Exit(1)
