"""`haltere fpga`: tests and synthesis of the RTL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from haltere.fpga import simulation, synthesis
from haltere.fpga.coverage import KINDS, summarise
from haltere.policies.errors import ConfigError

fpga = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Option(help="Folder of builds and logs.")]


@fpga.callback()
def _fpga() -> None:
    """Test and synthesise the RTL of the gated sensing paths."""


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
    faults = found.faults()
    for fault in faults:
        console.print(f"[red]{fault}[/]", highlight=False)
    if faults:
        raise typer.Exit(1)
