"""`haltere bench directions`: what else the shipped policy could be, by other weights of the cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from haltere.policies.errors import ConfigError
from haltere.policies.foundation import student, train
from haltere.policies.foundation.plan import load_plan
from haltere.policies.foundation.recipe import Recipe
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.ablation import fly_each
from haltere.tools.bench.contestants import load_student
from haltere.tools.bench.table import Rows

SHIPPED = "shipped"
DIRECTIONS = Path(train.__file__).parent / "recipes" / "directions.toml"


class DirectionsBench:
    """The bench: goes on from the shipped policy with each stage of a recipe alone; then `FoundationBench` of each.

    Args:
      scale: factor of the updates.
      output: folder of the trainings; those found there are resumed.
      recipe: default `DIRECTIONS`; each of its stages is a direction.
    """

    def __init__(self, scale: float, output: Path, recipe: Recipe | None = None) -> None:
        whole = recipe or load_plan(DIRECTIONS).direct
        if whole is None:
            raise ConfigError(f"{DIRECTIONS}: no stages")
        whole = whole.scaled(scale)
        self._recipes = {stage.name: dataclasses.replace(whole, stages=(stage,)) for stage in whole.stages}
        self._output = output

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        shipped = load_student(FOUNDATION)
        policies: dict[str, student.Policy] = {SHIPPED: shipped}
        for name, recipe in self._recipes.items():

            def report(update: int, loss: float, line: object, name: str = name, total: int = recipe.updates) -> None:
                status(f"going on, {name}: update {update} of {total}, loss {loss:.3f}")

            begin = train.Start(shipped, [], SHIPPED)
            folder = self._output / f"{name}-seed{seed}"
            policies[name] = train.train(recipe, seed, folder, report, begin=begin)[0]
        return fly_each(policies, quick, seed, status)
