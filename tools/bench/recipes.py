"""`haltere bench recipes`: the three ways to train a policy, at equal cost, with several seeds each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.plan import SHIPPED, Plan, load_plan
from haltere.policies.foundation.run import run
from haltere.tools.bench.contestants import Contestant
from haltere.tools.bench.measures import fly_all
from haltere.tools.bench.table import Rows


def cheap_plans(minutes: float, teachers: int) -> dict[str, Plan]:
    """The shipped recipes, shortened so that each takes about as long on two cores.

    Args:
      minutes: of each training.
      teachers: of the recipes that have some.
    """
    # Minutes of the whole recipes; teachers in proportion to their number.
    whole = {"direct": 83.0, "meta-imitation": 19.0 + 0.04 * teachers, "meta-imitation+direct": 95.0 + 0.04 * teachers}
    plans = {}
    for name in SHIPPED:
        plan = load_plan(name)
        if plan.teachers:
            plan = plan.with_teachers(teachers)
        plans[name] = plan.scaled(minutes / whole[name])
    return plans


class RecipesBench:
    """The bench.

    Args:
      plans: by name.
      seeds: how many of each.
      output: folder of the trainings; those found there are resumed.
    """

    def __init__(self, plans: Mapping[str, Plan], seeds: int, output: Path) -> None:
        self._plans = plans
        self._seeds = seeds
        self._output = output
        self.curves: dict[str, list[list[Progress]]] = {name: [] for name in plans}

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        each = Rows()
        trained = []
        for name, plan in self._plans.items():
            for offset in range(self._seeds):
                who = f"{name}, seed {seed + offset}"

                def report(
                    part: str, update: int, total: int, loss: float, line: Progress | None, who: str = who
                ) -> None:
                    status(f"{who}: {part}, update {update} of {total}, loss {loss:.3f}")

                outcome = run(plan, seed + offset, self._output / who.replace(", seed ", "-"), report)
                self.curves[name].append(outcome.progress)
                trained.append(Contestant(who, outcome.weights))
                each.add("training", who, outcome.progress[-1].seconds / 60, "min")
        status("flying")
        fly_all(each, trained, quick, seed)
        if picture is not None:
            from haltere.tools.bench.recipes_picture import draw_recipes

            draw_recipes(self.curves, picture)
        return self._over_seeds(each)

    def _over_seeds(self, each: Rows) -> Rows:
        rows = Rows()
        values: dict[tuple[str, str, str], list[float]] = {}
        for row in each.rows:
            values.setdefault((row.measure, row.method.partition(", seed")[0], row.unit), []).append(row.value)
        for (measure, name, unit), found in values.items():
            rows.add(f"{measure} (median of {len(found)} seeds)", name, float(np.median(found)), unit)
            rows.add(f"{measure} (largest less smallest)", name, float(np.ptp(found)), unit)
        return rows
