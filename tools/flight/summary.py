"""What a flight came to: numbers, table, JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from rich.table import Table

from haltere.firmware_bridge.runtime.black_box import read_black_box
from haltere.sim.world import Status
from haltere.tools.flight.simulate import Outcome

COMPLETED_BELOW_M = 1.0


def summarise(outcome: Outcome, duration_s: float, black_box: Path, settling_s: float = 0.0) -> dict[str, float | str]:
    """Numbers of a flight, by name with unit.

    Args:
      outcome: of the simulation.
      duration_s: how long it should have been, s.
      black_box: of the runtime; may be absent (runtime on a board).
      settling_s: before it the vehicle may be far from its path, s.
    """
    flight = outcome.flight
    error = flight.tracking_error_m
    flown_s = float(flight.time_s[-1] - flight.time_s[0]) if len(flight) else 0.0
    whole = flown_s >= duration_s - 0.05 and not outcome.status.over
    completed = whole and float(error[flight.time_s >= settling_s].max()) < COMPLETED_BELOW_M
    ended = {Status.FLYING: "left the path", Status.ON_GROUND: "landed"}.get(outcome.status, outcome.status.value)
    numbers: dict[str, float | str] = {
        "result": "completed" if completed else ended,
        "vehicle": flight.vehicle,
        "flown_s": round(flown_s, 2),
        "tracking_rmse_m": float(flight.rms_error_m()),
        "tracking_max_m": float(error.max()),
    }
    for mode, count in sorted(Counter(flight.mode).items()):
        numbers[f"share_{mode.lower()}_percent"] = 100 * count / len(flight)
    trips = 1e6 * flight.round_trip_s[np.isfinite(flight.round_trip_s)]
    numbers |= _latencies("round_trip", trips)
    dropped = outcome.frames_dropped
    if black_box.exists() and len(records := read_black_box(black_box)):
        # A runtime that opens the line in the middle of a frame drops that one before it flies.
        dropped += int(records["frames_dropped"][-1]) - int(records["frames_dropped"][0])
        numbers |= _latencies("inference", records["inference_ns"][records["mode"] == 0] / 1e3)
    numbers["frames_dropped"] = dropped
    numbers["status"] = outcome.status.value if outcome.status is not Status.FLYING else "flying"
    return numbers


def _latencies(name: str, values_us: np.ndarray) -> dict[str, float]:
    if len(values_us) == 0:
        return {}
    p50, p99 = np.percentile(values_us, [50, 99])
    return {f"{name}_p50_us": float(p50), f"{name}_p99_us": float(p99), f"{name}_max_us": float(values_us.max())}


def as_table(numbers: dict[str, float | str], title: str) -> Table:
    """The table that ends a flight."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")

    def cell(name: str, pattern: str) -> str:
        value = numbers.get(name)
        return "-" if value is None else pattern.format(value)

    table.add_row("result", str(numbers["result"]))
    table.add_row("tracking RMSE", cell("tracking_rmse_m", "{:.3f} m"))
    table.add_row("largest error", cell("tracking_max_m", "{:.3f} m"))
    for name, value in numbers.items():
        if name.startswith("share_"):
            table.add_row(f"time in {name.split('_')[1].upper()}", f"{value:.1f} %")
    for name, label in (("inference", "inference"), ("round_trip", "round trip")):
        parts = [cell(f"{name}_{part}_us", "{:.0f}") for part in ("p50", "p99", "max")]
        table.add_row(f"{label} p50 / p99 / max", " / ".join(parts) + " µs")
    if "saved_percent" in numbers:
        table.add_row("estimate RMSE", cell("estimate_rmse_m", "{:.3f} m"))
        table.add_row("context known, 1 s after changes", cell("context_right_percent", "{:.1f} %"))
        table.add_row("gates switched", cell("switches", "{}"))
        if numbers["fpga_resets"]:
            table.add_row("FPGA resets, set up again", cell("fpga_resets", "{}"))
        table.add_row("energy: sensors", cell("sensors_j", "{:.2f} J") + " of " + cell("sensors_all_on_j", "{:.2f} J"))
        table.add_row(
            "energy: clocks and data", cell("fabric_j", "{:.2g} J") + " of " + cell("fabric_all_on_j", "{:.2g} J")
        )
        table.add_row(
            "saved: all / clocks and data",
            cell("saved_percent", "{:.0f}") + " / " + cell("fabric_saved_percent", "{:.0f} %"),
        )
    table.add_row("frames dropped", cell("frames_dropped", "{}"))
    return table


def write_summary(numbers: dict[str, float | str], path: Path) -> None:
    """Writes the numbers as JSON."""
    path.write_text(json.dumps(numbers, indent=1) + "\n")
