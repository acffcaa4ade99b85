"""Writes the tables of README and other pages from the records: `python -m haltere.tools.bench.readme [--check]`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

EIGHT = "figure-eight {} s, random vehicles: mean RMSE of those below 1 m"
FOUNDATION = (
    "hover, paper's initial states: stabilised",
    "hover, paper's initial states: settled below 0.2 m, median",
    "hover, torque-to-inertia 40-80: stable",
    "hover: steady error, no force, median",
    "hover: steady error, constant force, median",
    "hover: steady error, constant force, p95",
    *(EIGHT.format(period) for period in ("15", "9", "5.5", "4.5", "3.5")),
    "figure-eight 3.5 s, random vehicles: below 1 m",
    *(f"whole observation {age} ms stale: stable" for age in (0, 10, 20, 30)),
    "noise: root mean square step of the action",
    "mass changed by 30 % in flight: largest distance, median",
    "probe of the hidden state: thrust-to-weight, R2",
)


HARD = (
    "initial states: stabilised",
    "steady error, no force, median",
    "root mean square step of the action",
    "torque-to-inertia 40-80: stable",
    "ms stale: stable",
)
"""What other policies miss, though the shipped one may not."""


def load_record(name: str) -> dict[str, Any]:
    """Reads `tests/records/NAME.json`."""
    record: dict[str, Any] = json.loads((ROOT / "tests" / "records" / f"{name}.json").read_text())
    return record


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _source(record: dict[str, Any]) -> str:
    return f"`{record['command']}`, {record['date']}, {record['machine']}"


def foundation_table() -> list[str]:
    """Our policy beside RAPTOR's weights."""
    record = load_record("foundation")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    lines = ["| measure | RAPTOR's weights | Haltere |", "|---|---|---|"]
    for measure in FOUNDATION:
        raptor, ours = cells[measure, "RAPTOR"], cells[measure, "Haltere"]
        unit = "" if ours["unit"] == "1" else f" {ours['unit']}"
        lines.append(f"| {measure} | {_number(raptor['value'])}{unit} | **{_number(ours['value'])}{unit}** |")
    missed = [row for row in record["rows"] if row["met"] is False]
    aims = "; ".join(f"{row['measure']} {row['value']:.4g} (aim {row['asked']})" for row in missed)
    return [*lines, "", *([f"Aimed at and not reached: {aims}.", ""] if missed else []), _source(record)]


def flight_table() -> list[str]:
    """Every shipped vehicle in PyBullet: one row a vehicle, one column a condition."""
    return _by_vehicle(r"figure-eight \S+ s, (\w+), (.+): RMSE", lambda value: f"{100 * value:.1f} cm")


def blows_table() -> list[str]:
    """Every shipped vehicle in PyBullet: how long after a blow it is back."""
    return _by_vehicle(r"hover, (\w+), (.+): back below 0.2 m", lambda value: f"{value:.1f} s")


def _by_vehicle(pattern: str, cell: Callable[[float], str]) -> list[str]:
    record = load_record("flight")
    found = [(re.fullmatch(pattern, row["measure"]), row["value"]) for row in record["rows"]]
    values = {(match[1], match[2]): value for match, value in found if match}
    vehicles, conditions = (list(dict.fromkeys(key[part] for key in values)) for part in (0, 1))
    head = ["calm, 921600 baud" if "pty:" in name else name for name in conditions]
    lines = ["| vehicle | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for vehicle in vehicles:
        cells = (values[vehicle, name] for name in conditions)
        lines.append(f"| {vehicle} | " + " | ".join(cell(value) if value < 1e3 else "lost" for value in cells) + " |")
    return [*lines, "", _source(record)]


def adaptation_table() -> list[str]:
    """Changes in flight, both policies."""
    record = load_record("adaptation")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    lines = ["| change | what | RAPTOR's weights | Haltere |", "|---|---|---|---|"]
    for (measure, method), ours in cells.items():
        if method == "Haltere" and measure.endswith(
            (": largest distance, median", ": distance after 3 s, median", ": lost")
        ):
            change, _, what = measure.partition(": ")
            raptor = cells[measure, "RAPTOR"]
            unit = ours["unit"]
            lines.append(
                f"| {change} | {what} | {_number(raptor['value'])} {unit} | **{_number(ours['value'])} {unit}** |"
            )
    return [*lines, "", _source(record)]


def _asked_of_policies(name: str) -> list[str]:
    """Policies beside each other: a row for each aim that the shipped one does not meet, and for hard ones."""
    record, asked = load_record(name), load_record("foundation")
    cells = {(row["measure"], row["method"]): row["value"] for row in record["rows"]}
    units = {row["measure"]: "" if row["unit"] == "1" else f" {row['unit']}" for row in record["rows"]}
    aims = {row["measure"]: row for row in asked["rows"] if row["asked"] and row["method"] == "Haltere"}
    methods = list(dict.fromkeys(row["method"] for row in record["rows"]))
    shipped = next(who for who in methods if who.endswith("shipped"))
    missed = {
        measure
        for measure, row in aims.items()
        if (measure, shipped) in cells and not _meets(cells[measure, shipped], row["asked"])
    }
    shown = [measure for measure in aims if measure in missed or measure.endswith(HARD)]
    lines = [f"| measure | {' | '.join(methods)} | aim |", "|---|" + "---|" * (len(methods) + 1)]
    for measure in ["parameters", *shown]:
        aim = aims[measure]["asked"] if measure in aims else ""
        texts = []
        for who in methods:
            value = cells.get((measure, who))
            text = "" if value is None else "never" if value > 1e8 else f"{_number(value)}{units[measure]}"
            texts.append(f"**{text}**" if value is not None and aim and _meets(value, aim) else text)
        lines.append(f"| {measure} | {' | '.join(texts)} | {aim} |")
    met = [
        sum(_meets(cells[measure, who], row["asked"]) for measure, row in aims.items() if (measure, who) in cells)
        for who in methods
    ]
    return [*lines, f"| aims met, of {len(aims)} | {' | '.join(map(str, met))} |  |", "", _source(record)]


def _meets(value: float, aim: str) -> bool:
    relation, limit, *_ = aim.split()
    return value <= float(limit) if relation == "<=" else value >= float(limit)


def ablation_table() -> list[str]:
    """Cells and sizes, trained alike."""
    return _asked_of_policies("ablation")


def directions_table() -> list[str]:
    """What else the shipped policy could be."""
    return _asked_of_policies("directions")


def recipes_table() -> list[str]:
    """The ways to train, at equal cost: medians over seeds, and how far these are apart."""
    record = load_record("recipes")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    methods = list(dict.fromkeys(row["method"] for row in record["rows"]))
    lines = [f"| measure | {' | '.join(methods)} |", "|---|" + "---|" * len(methods)]
    for measure in dict.fromkeys(row["measure"] for row in record["rows"]):
        name, _, seeds = measure.partition(" (median of ")
        if not seeds or name in ("parameters", "training"):
            continue
        shown = []
        for who in methods:
            middle, apart = cells[measure, who], cells[f"{name} (largest less smallest)", who]["value"]
            unit = "" if middle["unit"] == "1" else f" {middle['unit']}"
            shown.append(f"{_number(middle['value'])}{unit} ({_number(apart)})")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return [*lines, "", _source(record)]


def teachers_table() -> list[str]:
    """Students of chosen teachers, of as many drawn by lot, and of all: one row each."""
    record = load_record("teachers")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    measures = dict.fromkeys(row["measure"] for row in record["rows"] if row["method"].endswith("by lot"))
    shown = [name for name in measures if name not in ("parameters", "teachers fit")]
    students = dict.fromkeys(row["method"] for row in record["rows"] if row["measure"] == "teachers fit")
    lines = [f"| student of | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for who in students:
        found = (cells[measure, who] for measure in shown)
        values = (f"{_number(row['value'])}{'' if row['unit'] == '1' else ' ' + row['unit']}" for row in found)
        lines.append(f"| {who} | {' | '.join(values)} |")
    return [*lines, "", _source(record)]


def limits_table() -> list[str]:
    """The policy's hardest flights, and the same flights with the vehicle known."""
    record = load_record("limits")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    known = next(row["method"] for row in record["rows"] if row["method"] != "Haltere")
    lines = [f"| measure | Haltere | {known} |", "|---|---|---|"]
    for (measure, method), ours in cells.items():
        if method == "Haltere":
            values = (_number(row["value"]) for row in (ours, cells[measure, known]))
            lines.append(f"| {measure} | " + " | ".join(f"{value} {ours['unit']}" for value in values) + " |")
    return [*lines, "", _source(record)]


def runtime_table() -> list[str]:
    """What an answer costs."""
    record = load_record("runtime")
    lines = ["| measure | value |", "|---|---|"]
    for row in record["rows"]:
        if "median" in row["measure"] or "alone" in row["measure"]:
            owner = "" if row["method"] == "Haltere" else f"{row['method']}: "
            unit = "" if row["unit"] == "1" else f" {row['unit']}"
            lines.append(f"| {owner}{row['measure']} | {_number(row['value'])}{unit} |")
    return [*lines, "", _source(record)]


def hybrid_table() -> list[str]:
    """What was asked of the learned hybrid controllers, beside the published method."""
    record = load_record("hybrid")
    cells = {(row["measure"], row["method"]): row for row in record["rows"]}
    columns = {
        "published": ("Meng & Fan, published",),
        "LQR, CLF-QP": ("LQR", "CLF-QP"),
        "MPC": ("MPC (CasADi, IPOPT)", "One-hop MPC (Newton)"),
        "Hamilton-Jacobi": ("Hamilton-Jacobi",),
        "PPO": ("PPO (brax)",),
        "SAC": ("SAC (brax)",),
        "no planner": ("Haltere, no planner",),
    }
    methods = {method for _, method in cells}
    columns = {name: names for name, names in columns.items() if methods.intersection(names)}
    lines = [f"| measure | {' | '.join(columns)} | Haltere | aim |", "|---|" + "---|" * (len(columns) + 2)]
    for (measure, method), ours in cells.items():
        if method == "Haltere" and ours["asked"]:
            found = (
                [cells[measure, who]["value"] for who in names if (measure, who) in cells] for names in columns.values()
            )
            others = " | ".join(_number(values[0]) if values else "" for values in found)
            unit = "" if ours["unit"] == "1" else f" {ours['unit']}"
            lines.append(f"| {measure} | {others} | **{_number(ours['value'])}{unit}** | {ours['asked']} |")
    return [*lines, "", _source(record)]


def quadrotor_table() -> list[str]:
    """The regions of the quadrotor's modes, on fresh flights."""
    record = load_record("quadrotor")
    cells = {(row["measure"], row["method"]): row["value"] for row in record["rows"]}
    modes = [row["measure"].partition(":")[0] for row in record["rows"] if row["asked"]]
    bound = "lower bound, 99.9 % confidence"
    head = (
        "mode",
        "starts that return",
        "starts inside the region",
        "of these return, at least",
        "fail, of as many with least V",
        "with least error",
        "with least tilt and distance",
        "switches to it that land inside, at least",
    )
    lines = [f"| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1)]
    for mode in modes:
        lowest = f"{mode}: failures among as many that score lowest"
        values = [
            cells[f"{mode}: starts that return", "Haltere"],
            cells[f"{mode}: starts inside the region", "Haltere"],
            cells[f"{mode}: starts inside that return, {bound}", "Haltere"],
            *(cells[lowest, who] for who in ("Haltere", "size of the error", "tilt and distance")),
            min(cells[f"switch from {other} to {mode}: lands inside, {bound}", "Haltere"] for other in modes),
        ]
        shown = " | ".join(
            f"**{value:.2f} %**" if index == 2 else f"{value:.2f} %" for index, value in enumerate(values)
        )
        lines.append(f"| {mode} | {shown} |")
    return [*lines, "", _source(record)]


def gating_table() -> list[str]:
    """What was asked of the gate, and what came of it."""
    record = load_record("gating")
    lines = ["| measure | Haltere | aim |", "|---|---|---|"]
    for row in record["rows"]:
        if row["method"] == "int8 (RTL)" and row["asked"] and "counted" not in row["measure"]:
            unit = "" if row["unit"] == "1" else f" {row['unit']}"
            lines.append(f"| {row['measure']} | **{_number(row['value'])}{unit}** | {row['asked']} |")
    return [*lines, "", _source(record)]


TABLES = {
    "gating": gating_table,
    "quadrotor": quadrotor_table,
    "hybrid": hybrid_table,
    "foundation": foundation_table,
    "ablation": ablation_table,
    "directions": directions_table,
    "recipes": recipes_table,
    "teachers": teachers_table,
    "limits": limits_table,
    "adaptation": adaptation_table,
    "flight": flight_table,
    "blows": blows_table,
    "runtime": runtime_table,
}


PAGES = (
    Path("README.md"),
    *(Path("policies/foundation") / name for name in ("ADAPTATION.md", "FRONTIER.md", "RECIPES.md")),
)


def filled(text: str) -> str:
    """A page with its tables filled in."""
    for name, table in TABLES.items():
        before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if not mark:
            continue
        _, end, after = rest.partition("<!-- end -->")
        text = "".join([before, mark, *(f"{line}\n" for line in table()), end, after])
    return text


def main() -> int:
    """Fills the tables in, or checks with `--check` that they are what the records say."""
    stale = [page for page in PAGES if (ROOT / page).read_text() != filled((ROOT / page).read_text())]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page}: tables differ from tests/records: run `python -m haltere.tools.bench.readme`")
        return len(stale)
    for page in stale:
        (ROOT / page).write_text(filled((ROOT / page).read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
