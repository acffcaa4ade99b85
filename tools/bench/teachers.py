"""`haltere bench teachers`: students of few chosen teachers, of as many drawn by lot, and of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from haltere.policies.foundation import student, teacher, teaching
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.choice import choose, distances, slope_of, standardised
from haltere.policies.foundation.distil import distil
from haltere.policies.foundation.judge import LARGEST_EIGHT_M, Verdict, judge
from haltere.policies.foundation.line import deepest
from haltere.policies.foundation.plan import Plan
from haltere.policies.foundation.population import load_population
from haltere.policies.foundation.probe import traits
from haltere.policies.foundation.spread import mesh_for
from haltere.tools.bench.contestants import Contestant
from haltere.tools.bench.measures import fly_all
from haltere.tools.bench.table import Rows

FEW = (8, 16, 32, 64)


class School(NamedTuple):
    """N trained teachers.

    Attributes:
      teachers: their weights.
      verdict: on each, on its own vehicle.
      places: (N, d) standardised traits of their vehicles.
      exchanged: verdict on each vehicle with the teacher of another one.
      other: (N,) which.
    """

    teachers: teacher.Teachers
    verdict: Verdict
    places: np.ndarray
    exchanged: Verdict
    other: np.ndarray


def worth(verdict: Verdict) -> np.ndarray:
    """What teachers are worth, 0 to 1, by their figure-eights: (N,)."""
    return np.where(verdict.fit, np.clip(1 - verdict.eight_m / LARGEST_EIGHT_M, 0.0, 1.0), 0.0)


class TeachersBench:
    """The bench.

    Args:
      plan: with teachers and distillation.
      output: folder of the trainings; those found there are resumed.
      few: numbers of teachers.
    """

    def __init__(self, plan: Plan, output: Path, few: tuple[int, ...] = FEW) -> None:
        self._plan = plan
        self._output = output
        self._few = few

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        self._output.mkdir(parents=True, exist_ok=True)
        school = self._teach(seed, status)
        own = worth(school.verdict)
        apart = distances(school.places)[np.arange(len(own)), school.other]
        slope = slope_of(apart, own - worth(school.exchanged))
        rows.add("teachers fit on their own vehicle", "all", 100 * school.verdict.fit.mean(), "%")
        rows.add("teachers fit on another's vehicle", "all", 100 * school.exchanged.fit.mean(), "%")
        rows.add("worth lost per distance", "all", slope, "1")
        order = choose(school.places, max(self._few), lambda index: float(own[index]), slope)
        lot = np.random.default_rng(seed).permutation(len(own))
        subsets = {f"{count} chosen": np.array(order[:count]) for count in self._few}
        subsets |= {f"{count} by lot": lot[:count] for count in self._few}
        subsets[f"all {len(own)}"] = np.arange(len(own))
        students = []
        for name, members in subsets.items():
            which = school.verdict.fit & np.isin(np.arange(len(own)), members)
            rows.add("teachers fit", name, int(which.sum()), "1")
            students.append(Contestant(name, self._distil(name, school, which, seed, status)))
        status("flying")
        fly_all(rows, students, quick, seed)
        if picture is not None:
            from haltere.tools.bench.teachers_picture import draw_teachers

            draw_teachers(rows, picture)
        return rows

    def _report(self, what: str, status: Callable[[str], None]) -> Callable[..., None]:
        def report(name: str, update: int, total: int, loss: float, line: Progress | None) -> None:
            status(f"{what}: {name}, update {update} of {total}, loss {loss:.3f}")

        return report

    def _teach(self, seed: int, status: Callable[[str], None]) -> School:
        recipe = self._plan.teachers
        assert recipe is not None
        teachers, verdict, _ = teaching.teach(recipe, seed, self._output, self._report("all", status))
        population = load_population(recipe.population)
        vehicle, line = teaching.pupils(recipe, population, seed)
        other = np.random.default_rng(seed + 1).permutation(recipe.count)
        status("teachers on other vehicles")
        strangers: teacher.Teachers = jax.tree.map(lambda leaf: leaf[other], teachers)
        exchanged = judge(strangers, vehicle, line, deepest([population]), mesh_for(recipe.count))
        return School(teachers, verdict, standardised(traits(vehicle, line)), exchanged, other)

    def _distil(
        self, name: str, school: School, which: np.ndarray, seed: int, status: Callable[[str], None]
    ) -> student.Weights:
        assert self._plan.teachers is not None
        assert self._plan.distil is not None
        folder = self._output / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        report = self._report(name, status)
        return distil(self._plan.distil, self._plan.teachers, school.teachers, which, seed, folder, report, [])[0]
