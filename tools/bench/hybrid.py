"""`haltere bench hybrid`: the learned hybrid controllers beside the published numbers and the ablations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from haltere.policies.hybrid.baselines import walker_reach_file
from haltere.policies.zoo.shipped import BASELINES, CAR, CAR_PLANNER, POGOBOT, WALKER
from haltere.tools.bench.hybrid_car import bench_car
from haltere.tools.bench.hybrid_certificates import bench_certificates
from haltere.tools.bench.hybrid_pogobot import bench_pogobot
from haltere.tools.bench.hybrid_walker import bench_walker
from haltere.tools.bench.table import Rows


class HybridBench:
    """The bench.

    `car`, `pogobot`, `walker` and `car_planner` are the learned files, `baselines` is a folder of rivals, and
    `hamilton_jacobi` the file of one more of the walker's, which is solved and written where it is not there. With
    `certificates`, a folder in which proofs are kept, certified regions are compared, too.
    """

    def __init__(
        self,
        car: Path = CAR,
        pogobot: Path = POGOBOT,
        walker: Path = WALKER,
        car_planner: Path = CAR_PLANNER,
        baselines: Path = BASELINES,
        hamilton_jacobi: Path | None = None,
        certificates: Path | None = None,
    ) -> None:
        self._car, self._pogobot, self._walker, self._car_planner = car, pogobot, walker, car_planner
        self._baselines, self._hamilton_jacobi, self._certificates = baselines, hamilton_jacobi, certificates

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        reach = None
        if self._hamilton_jacobi is not None:
            reach = walker_reach_file.read_or_solve(self._hamilton_jacobi, status)
        bench_car(rows, self._car, self._car_planner, self._baselines, quick, seed, status)
        bench_pogobot(rows, self._pogobot, self._baselines, quick, seed, status)
        bench_walker(rows, self._walker, self._baselines, quick, seed, status, reach)
        if self._certificates is not None:
            bench_certificates(rows, self._pogobot, self._walker, self._certificates, seed, status)
        return rows
