"""`haltere fpga`: tests, synthesis and bitstream of the RTL, energy of the paths, training of the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from haltere.fpga import simulation, synthesis
from haltere.fpga.coverage import KINDS, summarise
from haltere.policies.errors import ConfigError

fpga = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Folder of builds and logs.")]


@fpga.callback()
def _fpga() -> None:
    """Test, synthesise and build the RTL of the gated sensing paths; train their gate."""


@fpga.command("test")
def run_benches(
    bench: Annotated[list[str] | None, typer.Argument(help="Benches to run; all, if none is named.")] = None,
    simulator: Annotated[list[str] | None, typer.Option(help="icarus or verilator; both, if none is named.")] = None,
    quick: Annotated[bool, typer.Option("--quick/--full", help="The short form, or all of it.")] = False,
    coverage: Annotated[bool, typer.Option(help="Line and toggle coverage, of Verilator's runs.")] = False,
    seed: Annotated[int, typer.Option(help="Of the benches' random numbers.", min=0)] = 1,
    folder: Folder = Path("build/fpga"),
) -> None:
    """Run the benches of the RTL; exits with 1 when a test fails."""
    console = Console()
    names = [each.name for each in simulation.BENCHES]
    unknown = set(bench or ()) - set(names) | set(simulator or ()) - set(simulation.SIMULATORS)
    if unknown:
        raise ConfigError(
            f"no bench or simulator is called {', '.join(sorted(unknown))}; the benches are {', '.join(names)}, "
            f"the simulators {' and '.join(simulation.SIMULATORS)}"
        )
    failed = ran = 0
    for tool in simulator or simulation.SIMULATORS:
        lack = simulation.missing(tool)
        if lack:
            console.print(f"[yellow]{tool} skipped:[/] {lack}", highlight=False)
            continue
        for each in simulation.BENCHES:
            if bench and each.name not in bench:
                continue
            for outcome in simulation.run(each, tool, folder, not quick, seed, coverage and tool == "verilator"):
                ran += 1
                failed += not outcome.passed
                mark = "[green]pass[/]" if outcome.passed else "[red]FAIL[/]"
                console.print(
                    f"{mark} {tool:9} {outcome.bench:11} {outcome.test}  "
                    f"({outcome.simulated_us / 1000:.2f} ms simulated in {outcome.took_s:.1f} s)",
                    highlight=False,
                )
                if not outcome.passed:
                    console.print(f"     {outcome.message}", highlight=False, markup=False)
    if coverage:
        _show_coverage(console, folder)
    console.print(f"{ran - failed} passed, {failed} failed", highlight=False)
    if failed or not ran:
        raise typer.Exit(1)


def _show_coverage(console: Console, folder: Path) -> None:
    found = summarise(sorted((folder / "verilator").glob("*/coverage.dat")))
    table = Table("module", *KINDS)
    cells = {(each.module, each.kind): f"{each.hit}/{each.points}" for each in found}
    for module in sorted({each.module for each in found}):
        table.add_row(module, *(cells.get((module, kind), "") for kind in KINDS))
    total = []
    for kind in KINDS:
        hit, points = (sum(getattr(each, name) for each in found if each.kind == kind) for name in ("hit", "points"))
        total.append(f"{100 * hit / max(points, 1):.1f} %")
    table.add_row("all", *total)
    console.print(table)


@fpga.command()
def synth(
    netlist: Annotated[Path | None, typer.Option(help="Write the netlist (JSON) to this file.")] = None,
) -> None:
    """Synthesise for the XC7Z020 with yosys; exits with 1 when it does not fit or a gate is not one."""
    console = Console()
    found = synthesis.synthesise(netlist)
    table = Table("resource", "used", "of", "share")
    taken = {"LUT": found.lut, "FF": found.ff, "BRAM36": found.bram36, "DSP": found.dsp}
    for name, share in found.used().items():
        table.add_row(name, f"{taken[name]:g}", str(synthesis.XC7Z020[name]), f"{100 * share:.1f} %")
    console.print(table)
    console.print(f"{found.bufgce} BUFGCE, {found.bufg} BUFG, {found.latches} latches", highlight=False)
    if netlist:
        loads = synthesis.clock_loads(netlist)
        told = ", ".join(f"{name} {count}" for name, count in loads.items())
        console.print(f"flip-flops: {told}, always on {found.ff - sum(loads.values())}", highlight=False)
    faults = found.faults()
    for fault in faults:
        console.print(f"[red]{fault}[/]", highlight=False)
    if faults:
        raise typer.Exit(1)


@fpga.command("toggles")
def count_toggles(
    output: Annotated[
        Path | None, typer.Option(help="Write the shipped constants of energy, with what is fitted replaced, here.")
    ] = None,
    masks: Annotated[int, typer.Option(help="Times that other paths are woken, for three ticks each.", min=4)] = 40,
    seed: Annotated[int, typer.Option(help="Of what is awake, and of the samples.", min=0)] = 0,
    folder: Folder = Path("build/netlist"),
) -> None:
    """Simulate the netlist gate by gate, compare it with the golden model, and count toggles (some ten minutes)."""
    from haltere.fpga import netlist, toggles
    from haltere.fpga.energy import CONSTANTS
    from haltere.fpga.paths import PATHS

    console = Console()
    with console.status("synthesising and compiling the netlist: some five minutes"):
        built = netlist.build(folder)
    with Progress(console=console) as bar:
        task = bar.add_task("counting", total=masks)
        fit = toggles.measure(built, folder, masks, seed, lambda done, _: bar.update(task, completed=done))
    table = Table("toggles", *toggles.KINDS)
    rows = {"tick": fit.base}
    for path, per_tick, per_sample in zip(PATHS, fit.per_tick, fit.per_sample, strict=True):
        rows.update({f"{path.name} awake": per_tick, f"{path.name} sample": per_sample})
    for name, counts in rows.items():
        table.add_row(name, *(f"{count:.0f}" for count in counts))
    table.add_row("R2", *(f"{share:.3f}" for share in fit.r2))
    console.print(table)
    console.print(
        "A tick with the IMU alone awake, and what paths add by being awake and by a sample. "
        f"{fit.windows} ticks were counted; in all the netlist computed what the golden model did.",
        highlight=False,
    )
    if output:
        output.write_text(toggles.refit(CONSTANTS.read_text(), fit, built.sinks_per_net))
        console.print(f"wrote {output}", highlight=False)


@fpga.command("build")
def make_bitstream(
    board: Annotated[str, typer.Option(help="pynq-z2, kv260 or zcu104.")],
    folder: Annotated[Path, typer.Option(help="Of the build.")] = Path("build/bitstream"),
    clock: Annotated[float, typer.Option(help="Of the fabric, MHz.")] = 100.0,
    board_files: Annotated[bool, typer.Option(help="Vivado has the board's files.")] = True,
) -> None:
    """Make the bitstream with Vivado (its scripts have never been run); without Vivado, say what to do."""
    from haltere.fpga import bitstream

    bit, description = bitstream.build(board, folder, clock, board_files)
    Console().print(f"wrote {bit} and {description}", highlight=False)


@fpga.command()
def energy(
    constants: Annotated[Path | None, typer.Option(help="TOML file, laid out as the shipped energy.toml.")] = None,
    clock: Annotated[float, typer.Option(help="Of the fabric, MHz.", min=0.64)] = 100.0,
) -> None:
    """Show what sensors, clocks and data of each path take, with bounds, and what sleeping saves."""
    from haltere.fpga.energy import CONSTANTS, PathUse, Value, estimate, load_constants
    from haltere.fpga.paths import PATHS
    from haltere.fpga.street import STREET_SENSORS

    console, used, second = Console(), load_constants(constants or CONSTANTS), round(clock * 1e6)

    def cell(value: Value, scale: float) -> str:
        return f"{scale * value.value:.3g} ({scale * value.low:.3g} to {scale * value.high:.3g})"

    table = Table("path", "sensor, W", "asleep, W", "clocks, mW", "data, uW")
    for number, path in enumerate(PATHS):
        uses = [
            PathUse(second if number == other else 0, round(STREET_SENSORS[other].rate_hz) if number == other else 0)
            for other in range(len(PATHS))
        ]
        found, power = estimate(used, uses, second, clock * 1e6), used.sensors[number]
        sensor = ("not known", "not known") if power is None else (cell(power.measure_w, 1), cell(power.standby_w, 1))
        table.add_row(path.name, *sensor, cell(found.clock, 1e3), cell(found.data, 1e6))
    console.print(table)
    console.print(f"static, which nothing saves: {cell(used.static_w, 1)} W", highlight=False)


@fpga.command("train")
def train_networks(
    output: Annotated[Path, typer.Option(help="Folder of the ONNX files.")] = Path("runs/gate"),
    seeds: Annotated[int, typer.Option(help="Flights of each context; a multiple of 8.", min=8)] = 16,
) -> None:
    """Train the gate's networks on flights through the street (some minutes), and write them as ONNX."""
    from haltere.policies.zoo.shipped import FOUNDATION
    from haltere.sim.vehicle import load_vehicle
    from haltere.tools.bench.contestants import load_student
    from haltere.tools.bench.foundation import as_plant
    from haltere.tools.gating.flights import Flights
    from haltere.tools.gating.training import train_gate

    if seeds % 8:
        raise ConfigError(f"--seeds {seeds}: it must be a multiple of 8")
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    flights = Flights(as_plant([load_vehicle("x500")]), load_student(FOUNDATION))
    with console.status("training") as spinner:
        shares = train_gate(flights, output, seeds, spinner.update)
    for name, share in shares.items():
        console.print(f"{name}: {100 * share:.2f} %", highlight=False)
