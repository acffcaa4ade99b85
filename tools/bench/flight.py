"""`haltere bench flight`: every shipped vehicle in PyBullet, through C client, serial line and runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.vehicle import shipped_vehicles
from haltere.tools.bench.table import Rows
from haltere.tools.flight.plan import FlightPlan, fly_plan
from haltere.tools.flight.summary import summarise

OURS = "Haltere"
LINK = "pty:?baud=921600"
PERIOD_S = 9.0
ASKED_M = 0.12
HARDER: dict[str, dict[str, object]] = {
    "wind 3 m/s with gusts": {"wind_m_s": 3.0},
    "payload of 30 % dropped": {"payload_drop_s": 4.0},
    "one propeller at 80 %": {"worn": (0, 0.8)},
    "state 10 ms later": {"latency_s": 0.01},
    "115200 baud": {"link": "pty:?baud=115200"},
}
"""What is made harder, one at a time; nothing is asked of these."""


class FlightBench:
    """The bench; `policy` is the file that is flown."""

    def __init__(self, policy: Path = FOUNDATION) -> None:
        self._policy = policy

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        vehicles = shipped_vehicles()
        for vehicle in vehicles:
            status(vehicle)
            numbers = self._fly(vehicle, seed, {})
            measure = f"figure-eight {PERIOD_S:g} s, {vehicle}, {LINK}: "
            completed = numbers["result"] == "completed"
            rows.at_least(measure + "completed", OURS, 100.0 * completed, "%", 100.0)
            rows.at_most(measure + "RMSE", OURS, float(numbers["tracking_rmse_m"]), "m", ASKED_M)
            rows.add(measure + "time in FAST", OURS, float(numbers.get("share_fast_percent", 0.0)), "%")
            if quick:
                continue
            for name, change in HARDER.items():
                status(f"{vehicle}, {name}")
                numbers = self._fly(vehicle, seed, change)
                rmse = float(numbers["tracking_rmse_m"]) if numbers["result"] == "completed" else float("inf")
                rows.add(f"figure-eight {PERIOD_S:g} s, {vehicle}, {name}: RMSE", OURS, rmse, "m")
        return rows

    def _fly(self, vehicle: str, seed: int, change: dict[str, object]) -> dict[str, float | str]:
        values: dict[str, object] = {
            "vehicle": vehicle,
            "trajectory": f"figure-eight:period_s={PERIOD_S:g},loops=1",
            "link": LINK,
            "policy": self._policy,
            "seed": seed,
            **change,
        }
        with tempfile.TemporaryDirectory() as folder:
            outcome, _, length = fly_plan(FlightPlan(**values), Path(folder))  # type: ignore[arg-type]
            return summarise(outcome, length, Path(folder) / "black_box.bin")
