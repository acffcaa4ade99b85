"""`haltere info`: a policy file's card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from haltere.policies import contract, hybrid_policy, planner_policy
from haltere.policies.policy_file import golden_error, load_policy, read_content
from haltere.policies.zoo.shipped import FOUNDATION


def info(
    policy: Annotated[Path, typer.Argument(help="Policy file (.onnx).")] = FOUNDATION,
    backend: Annotated[str, typer.Option(help="onnxruntime, c or numpy.")] = "onnxruntime",
) -> None:
    """Show a policy file's card, and check the file against its golden vectors."""
    console = Console()
    stated = read_content(policy)[1]["haltere.contract"]
    if stated == hybrid_policy.CONTRACT:
        controller, hybrid = hybrid_policy.load_hybrid(policy)
        _show_hybrid(console, stated, hybrid, hybrid_policy.golden_error(controller, hybrid.golden))
        return
    if stated == planner_policy.CONTRACT:
        planner, hybrid = planner_policy.load_planner(policy)
        _show_hybrid(console, stated, hybrid, planner_policy.golden_error(planner, hybrid.golden))
        return
    loaded, file = load_policy(policy, backend)
    card = file.card
    console.print(f"[bold]{card.name}[/] · {card.kind} · contract {contract.CONTRACT} · {len(file.content)} bytes")
    error = golden_error(loaded, file.golden)
    console.print(f"golden vectors: {len(file.golden.action)} steps, largest error {error:.1e} in {backend}")
    for title, fields in (("observation", contract.OBSERVATION_SPEC), ("action", contract.ACTION_SPEC)):
        table = Table(title=f"{title}, {contract.NATIVE_RATE_HZ:g} Hz", title_justify="left")
        for column in ("field", "size", "unit", "frame"):
            table.add_column(column)
        for field in fields:
            table.add_row(field.name, str(field.size), field.unit, field.frame)
        console.print(table)
    console.print("motor order: " + ", ".join(contract.MOTOR_ORDER))
    _show_entries(console, (("scores", card.scores), ("provenance", card.provenance)))


def _show_entries(console: Console, tables: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    for title, entries in tables:
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in entries.items():
            table.add_row(name, str(value))
        console.print(table)


def _show_hybrid(console: Console, stated: str, file: hybrid_policy.HybridFile, error: float) -> None:
    card = dict(file.card)
    size = len(file.content)
    console.print(f"[bold]{card.pop('name', file.path.stem)}[/] · contract {stated} · {size} bytes")
    console.print(f"golden vectors: {len(file.golden['state'])} states, largest error {error:.1e} in onnxruntime")
    nested = [(name, entry) for name, entry in card.items() if isinstance(entry, dict)]
    plain = {name: entry for name, entry in card.items() if not isinstance(entry, dict)}
    _show_entries(console, (("card", plain), *nested))
