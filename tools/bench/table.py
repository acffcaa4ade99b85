"""One mechanism for every bench: rows with what was asked, as Markdown, JSON and a table on the screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from haltere.policies.errors import HaltereError
from haltere.tools import provenance


@dataclass(frozen=True)
class Row:
    """One cell of a bench.

    Attributes:
      measure: what was measured.
      method: of whom.
      value: the number.
      unit: its unit.
      asked: what was asked of it, in words; None if nothing was.
      met: whether that is so.
    """

    measure: str
    method: str
    value: float
    unit: str
    asked: str | None = None
    met: bool | None = None


@dataclass
class Rows:
    """Collects the rows of a bench."""

    rows: list[Row] = field(default_factory=list)

    def add(self, measure: str, method: str, value: float, unit: str) -> None:
        """Adds a number of which nothing is asked."""
        self.rows.append(Row(measure, method, float(value), unit))

    def at_most(self, measure: str, method: str, value: float, unit: str, limit: float, why: str = "") -> None:
        """Adds a number that must not exceed `limit`."""
        asked = f"<= {limit:.4g}" + (f" ({why})" if why else "")
        self.rows.append(Row(measure, method, float(value), unit, asked, bool(value <= limit)))

    def at_least(self, measure: str, method: str, value: float, unit: str, limit: float) -> None:
        """Adds a number that must reach `limit`."""
        self.rows.append(Row(measure, method, float(value), unit, f">= {limit:.4g}", bool(value >= limit)))

    def near(self, measure: str, method: str, value: float, unit: str, centre: float, within: float) -> None:
        """Adds a number that must repeat a published one within sampling error."""
        asked = f"{centre:.4g} +- {within:.2g} (published)"
        met = bool(abs(value - centre) <= within)
        self.rows.append(Row(measure, method, float(value), unit, asked, met))

    @property
    def failed(self) -> list[Row]:
        """Rows that were asked for and not met."""
        return [row for row in self.rows if row.met is False]


class Bench(Protocol):
    """A bench: runs every method of its table in this process and returns the rows.

    Args of a call: quick (a fair sample in at most 50 s on two cores), seed, picture (path or None), status
    (told what is being done).
    """

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """Runs the bench."""


def as_markdown(name: str, rows: Rows) -> str:
    """The table as Markdown."""
    lines = [
        f"### haltere bench {name}",
        "",
        "| measure | method | value | unit | asked | met |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows.rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        lines.append(f"| {row.measure} | {row.method} | {row.value:.4g} | {row.unit} | {row.asked or ''} | {met} |")
    return "\n".join(lines)


def as_record(name: str, rows: Rows, seed: int) -> dict[str, Any]:
    """The table as the JSON record."""
    return {
        "bench": name,
        "command": provenance.command(),
        "commit": provenance.commit(),
        "date": provenance.today(),
        "seed": seed,
        "machine": provenance.machine(),
        "rows": [asdict(row) for row in rows.rows],
    }


def show(name: str, rows: Rows, console: Console) -> None:
    """Prints the table: Markdown when the output is not a terminal."""
    if not console.is_terminal:
        console.print(as_markdown(name, rows), markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(title=f"haltere bench {name}")
    for column in ("measure", "method", "value", "unit", "asked", "met"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for row in rows.rows:
        met = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[row.met]
        table.add_row(row.measure, row.method, f"{row.value:.4g}", row.unit, row.asked or "", met)
    console.print(table)


def write_record(name: str, rows: Rows, seed: int, path: Path) -> None:
    """Writes the record: JSON, and the same as Markdown beside it.

    Raises:
      HaltereError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        record = as_record(name, rows, seed)
        path.write_text(json.dumps(record, indent=1) + "\n")
        source = f"`{record['command']}`, seed {seed}, commit {record['commit']}, {record['date']}, {record['machine']}"
        path.with_suffix(".md").write_text(f"{as_markdown(name, rows)}\n\n{source}\n")
    except OSError as error:
        raise HaltereError(f"cannot write {path}: {error.strerror}") from error
