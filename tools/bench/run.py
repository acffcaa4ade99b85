"""Runs a bench from the command line: table, record, picture, check."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from haltere.tools.bench.table import Bench, show, write_record


def run_bench(
    name: str, bench: Bench, quick: bool, seed: int, check: bool, record: Path | None, picture: Path | None
) -> None:
    """Runs a bench and reports it; exits with 1 when `check` is set and something asked was not met."""
    console = Console()
    with Console(stderr=True).status(f"bench {name}") as spinner:
        rows = bench(quick, seed, picture, lambda text: spinner.update(f"bench {name}: {text}"))
    show(name, rows, console)
    if record is not None:
        write_record(name, rows, seed, record)
        console.print(f"wrote {record}")
    if picture is not None:
        console.print(f"wrote {picture}")
    asked = sum(row.met is not None for row in rows.rows)
    console.print(f"{asked - len(rows.failed)} of {asked} asked are met")
    for row in rows.failed:
        console.print(f"not met: {row.measure}, {row.method}: {row.value:.4g} {row.unit}, asked {row.asked}")
    if check and rows.failed:
        raise typer.Exit(1)
