"""`haltere bench ablation`: what recurrence and size are worth, all trained alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from haltere.policies.foundation import student, train
from haltere.policies.foundation.cells import draw
from haltere.policies.foundation.raptor import raptor_weights
from haltere.policies.foundation.recipe import Recipe, load_recipe
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.contestants import OURS, RAPTOR, Contestant, Contestants, load_student
from haltere.tools.bench.foundation import FoundationBench
from haltere.tools.bench.table import Rows

SHIPPED = "GRU 16, shipped"
"""Trained longer."""
VARIANTS = (("none", 33), ("liquid", 16), ("gru", 4), ("gru", 8), ("world", 16), ("gru", 16), ("gru", 32))
"""Cell and size; the first two, and the GRUs of 16, have about 2,084 parameters."""


def name_of(cell: str, size: int) -> str:
    """A variant's name in the table."""
    names = {"gru": f"GRU {size}", "world": f"GRU {size}, world's axes", "liquid": f"liquid {size}"}
    return names.get(cell, "no recurrence")


def fly_each(policies: dict[str, student.Policy], quick: bool, seed: int, status: Callable[[str], None]) -> Rows:
    """Sends policies, by name, through `FoundationBench`, one after the other; see `table.Bench`."""
    rows, raptor = Rows(), Contestant(RAPTOR, raptor_weights())
    for who, weights in policies.items():
        rows.add("parameters", who, student.parameter_count(weights), "1")

        def told(text: str, who: str = who) -> None:
            status(f"{who}: {text}")

        bench = FoundationBench(Contestants(Contestant(OURS, weights), raptor))
        for row in bench(quick, seed, None, told).rows:
            if row.method == OURS:
                rows.add(row.measure, who, row.value, row.unit)
    return rows


class AblationBench:
    """The bench: trains each variant by the shipped recipe with `scale` times the updates; then `FoundationBench`.

    Args:
      scale: factor.
      output: folder of the trainings; those found there are resumed.
      variants: cell and size of each.
      recipe: default the shipped policy's.
    """

    def __init__(
        self,
        scale: float,
        output: Path,
        variants: tuple[tuple[str, int], ...] = VARIANTS,
        recipe: Recipe | None = None,
    ) -> None:
        self._recipe = (recipe or load_recipe()).scaled(scale)
        self._output = output
        self._variants = variants

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        trained = {name_of(*variant): self._train(*variant, seed, status) for variant in self._variants}
        rows = fly_each({**trained, SHIPPED: load_student(FOUNDATION)}, quick, seed, status)
        if picture is not None:
            from haltere.tools.bench.ablation_picture import draw_ablation

            draw_ablation(rows, picture)
        return rows

    def _train(self, cell: str, size: int, seed: int, status: Callable[[str], None]) -> student.Policy:
        total = self._recipe.updates

        def report(update: int, loss: float, line: object) -> None:
            status(f"training {name_of(cell, size)}, update {update} of {total}, loss {loss:.3f}")

        begin = train.Start(draw(cell, size, seed), [], f"{cell} {size}")
        folder = self._output / f"{cell}{size}-seed{seed}"
        return train.train(self._recipe, seed, folder, report, begin=begin)[0]
