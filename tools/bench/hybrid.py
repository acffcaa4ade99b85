"""`haltere bench hybrid`: the learned hybrid controllers beside the published numbers and the ablations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from haltere.policies.zoo.shipped import CAR
from haltere.tools.bench.hybrid_car import bench_car
from haltere.tools.bench.table import Rows


class HybridBench:
    """The bench; `car` is the learned file."""

    def __init__(self, car: Path = CAR) -> None:
        self._car = car

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        bench_car(rows, self._car, quick, seed, status)
        return rows
