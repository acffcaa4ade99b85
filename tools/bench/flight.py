"""`haltere bench flight`: every shipped vehicle in PyBullet, through C client, serial line and runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.flight import Flight
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
    "one propeller at 70 %": {"worn": (0, 0.7)},
    "state 10 ms later": {"latency_s": 0.01},
    "115200 baud": {"link": "pty:?baud=115200"},
}
"""What is made harder, one at a time; nothing is asked of these."""
BLOWS: dict[str, tuple[float, dict[str, object]]] = {
    "poked by 1.5 m/s": (2.0, {"poke_s": 2.0, "poke_m_s": 1.5}),
    "thrown at 4 m/s": (0.0, {"throw_m_s": 4.0}),
    "let go rolled by 90 degrees": (0.0, {"throw_tilt_deg": 90.0}),
    "thrown at 4 m/s, rolled by 90 degrees": (0.0, {"throw_m_s": 4.0, "throw_tilt_deg": 90.0}),
}
"""Blows to a hover, with the time from which the recovery counts, s; nothing is asked of these."""
HIGH = "hover:position_m=0/0/6"


class FlightBench:
    """The bench.

    Args:
      policy: the file that is flown.
      videos: folder for a video of each flight; None: no videos.
    """

    def __init__(self, policy: Path = FOUNDATION, videos: Path | None = None) -> None:
        self._policy = policy
        self._videos = videos

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        vehicles = shipped_vehicles()
        for vehicle in vehicles:
            status(vehicle)
            numbers, _ = self._fly(vehicle, seed, "calm", {})
            measure = f"figure-eight {PERIOD_S:g} s, {vehicle}, {LINK}: "
            completed = numbers["result"] == "completed"
            rows.at_least(measure + "completed", OURS, 100.0 * completed, "%", 100.0)
            rows.at_most(measure + "RMSE", OURS, float(numbers["tracking_rmse_m"]), "m", ASKED_M)
            rows.add(measure + "time in FAST", OURS, float(numbers.get("share_fast_percent", 0.0)), "%")
            if quick:
                continue
            for name, change in HARDER.items():
                status(f"{vehicle}, {name}")
                numbers, _ = self._fly(vehicle, seed, name, change)
                rmse = float(numbers["tracking_rmse_m"]) if numbers["result"] == "completed" else float("inf")
                rows.add(f"figure-eight {PERIOD_S:g} s, {vehicle}, {name}: RMSE", OURS, rmse, "m")
            for name, (begin_s, change) in BLOWS.items():
                status(f"{vehicle}, {name}")
                high = {"trajectory": HIGH, "duration_s": 6.0, **change}
                numbers, flight = self._fly(vehicle, seed, name, high)
                recovered = flight.recovered_s(begin_s) if numbers["result"] == "completed" else float("inf")
                rows.add(f"hover, {vehicle}, {name}: back below 0.2 m", OURS, recovered, "s")
        return rows

    def _fly(
        self, vehicle: str, seed: int, name: str, change: dict[str, object]
    ) -> tuple[dict[str, float | str], Flight]:
        values: dict[str, object] = {
            "vehicle": vehicle,
            "trajectory": f"figure-eight:period_s={PERIOD_S:g},loops=1",
            "link": LINK,
            "policy": self._policy,
            "seed": seed,
            **change,
        }
        with tempfile.TemporaryDirectory() as folder:
            plan = FlightPlan(**values)  # type: ignore[arg-type]
            outcome, flown, length = fly_plan(plan, Path(folder))
            if self._videos is not None:
                from haltere.sim.video import write_video

                self._videos.mkdir(parents=True, exist_ok=True)
                write_video(outcome.flight, flown, self._videos / f"{vehicle}, {name}.mp4")
            return summarise(outcome, length, Path(folder) / "black_box.bin", plan.settling_s), outcome.flight
