"""A plan of training: which of teachers, distillation and direct training come one after the other. From TOML."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from haltere.policies.errors import ConfigError
from haltere.policies.foundation.recipe import Recipe, Stage, direct_of, read_table

SHIPPED = ("direct", "meta-imitation", "meta-imitation+direct")
FINE_TUNE = "fine-tune"
"""Goes on from a policy."""


def _check(table: str, recipe: Any, *allowed: tuple[str, float, float]) -> None:
    for name, low, high in allowed:
        value = getattr(recipe, name)
        if not low <= value <= high:
            raise ConfigError(f"{table}: {name} = {value}, allowed {low} to {high}")


@dataclasses.dataclass(frozen=True)
class TeacherRecipe:
    """How the teachers are trained; table `teachers`, where the stage's keys stand beside the others.

    Attributes:
      population: name or path; its vehicles, and the latencies of their lines.
      count: teachers, N, each of its own vehicle.
      environments: copies of its vehicle that a teacher flies at once, E.
      redraw: share of flights begun anew per update.
      checkpoint_every: updates between checkpoints and judgements.
      clip_norm: largest norm of one teacher's gradient.
      stage: updates, window, cost.
    """

    population: str
    count: int
    environments: int
    redraw: float
    checkpoint_every: int
    clip_norm: float
    stage: Stage

    def __post_init__(self) -> None:
        _check(
            "teachers",
            self,
            ("count", 1, 10**6),
            ("environments", 1, 10**4),
            ("redraw", 0.0, 1.0),
            ("checkpoint_every", 1, 10**7),
            ("clip_norm", 1e-6, 1e6),
        )

    @property
    def steps(self) -> int:
        """Control periods flown with gradient."""
        return self.stage.updates * self.stage.window * self.count * self.environments


@dataclasses.dataclass(frozen=True)
class DistilRecipe:
    """How the student learns from the teachers; table `distil`.

    Attributes:
      vehicles: how many fly at once, about: each fit teacher's vehicle as often as fits in, at least once.
      redraw: share of flights begun anew per update.
      updates: optimiser updates.
      teacher_updates: the first of them, in which the teachers fly and the student only watches.
      window: control periods per update through which the gradient goes.
      learning_rate: (first, last); falls along a half cosine.
      acceleration_m_s2: largest acceleration of the references.
      clip_norm: largest norm of the gradient.
      checkpoint_every: updates between checkpoints and validations.
      validation_vehicles: how many are flown to judge the student; never trained on.
    """

    vehicles: int
    redraw: float
    updates: int
    teacher_updates: int
    window: int
    learning_rate: tuple[float, float]
    acceleration_m_s2: float
    clip_norm: float
    checkpoint_every: int
    validation_vehicles: int

    def __post_init__(self) -> None:
        _check(
            "distil",
            self,
            ("vehicles", 1, 10**7),
            ("redraw", 0.0, 1.0),
            ("updates", 1, 10**7),
            ("teacher_updates", 0, 10**7),
            ("window", 1, 10**4),
            ("acceleration_m_s2", 0.0, 50.0),
            ("clip_norm", 1e-6, 1e6),
            ("checkpoint_every", 1, 10**7),
            ("validation_vehicles", 1, 10**6),
        )

    @property
    def stage(self) -> Stage:
        """What the optimiser needs to know, as a stage; nothing is flown by it."""
        return Stage("distil", self.updates, self.window, 1.0, self.learning_rate, self.acceleration_m_s2, 0.0)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done, in this order; what is None is left out.

    Attributes:
      teachers: trained first; always together with `distil`.
      distil: the student imitates the teachers.
      direct: the student flies, and the cost is differentiated through the physics.
    """

    teachers: TeacherRecipe | None
    distil: DistilRecipe | None
    direct: Recipe | None

    def __post_init__(self) -> None:
        if (self.teachers is None) != (self.distil is None):
            raise ConfigError("tables teachers and distil go together: give both, or neither")
        if self.distil is None and self.direct is None:
            raise ConfigError("nothing to train: expected tables teachers and distil, or stages, or all of them")

    def scaled(self, factor: float) -> Plan:
        """The same plan with `factor` times the updates (at least one of each kind)."""

        def fewer(updates: int) -> int:
            return max(1, round(updates * factor))

        teachers, distil = self.teachers, self.distil
        if teachers and distil:
            stage = dataclasses.replace(teachers.stage, updates=fewer(teachers.stage.updates))
            teachers = dataclasses.replace(teachers, stage=stage)
            led = round(distil.teacher_updates * factor)
            distil = dataclasses.replace(distil, updates=fewer(distil.updates), teacher_updates=led)
        return Plan(teachers, distil, self.direct.scaled(factor) if self.direct else None)

    def with_teachers(self, count: int) -> Plan:
        """The same plan with another number of teachers.

        Raises:
          ConfigError: it has no teachers.
        """
        if not self.teachers:
            raise ConfigError(f"{count} teachers asked for, but the recipe has no table teachers: try meta-imitation")
        return dataclasses.replace(self, teachers=dataclasses.replace(self.teachers, count=count))

    @property
    def steps(self) -> int:
        """Control periods flown by what learns, with gradient, in all."""
        steps = 0
        if self.teachers and self.distil:
            copies = max(1, self.distil.vehicles // self.teachers.count)
            steps += self.teachers.steps + self.distil.updates * self.distil.window * copies * self.teachers.count
        if self.direct:
            steps += sum(stage.updates * stage.window * self.direct.vehicles for stage in self.direct.stages)
        return steps

    def described(self) -> dict[str, Any]:
        """For the policy's card: the direct recipe under `recipe`, the others under their own names."""
        parts = {"teachers": self.teachers, "distil": self.distil, "recipe": self.direct}
        return {name: dataclasses.asdict(part) for name, part in parts.items() if part}


def load_plan(source: str | Path) -> Plan:
    """Reads a plan from TOML.

    Args:
      source: a file, or the name of a shipped recipe (see `SHIPPED`, `FINE_TUNE`). A key `base` names the recipe
        whose tables and values hold where the file has none, or several of them, later ones over earlier ones. A key
        `stages` names the stages to keep.
    Raises:
      ConfigError: the file, a key or a value is wrong.
    """
    file = Path(source)
    if not file.suffix:
        file = Path(__file__).parent / "recipes" / f"{source}.toml"
        if not file.exists():
            raise ConfigError(f"no recipe {source!s}: give a TOML file, or one of {', '.join((*SHIPPED, FINE_TUNE))}")
    try:
        table = _with_bases(file)
        if "stages" in table:
            table["stage"] = _named(table.pop("stages"), table.get("stage", []))
        teachers, distil = table.pop("teachers", None), table.pop("distil", None)
        direct = direct_of(table) if "stage" in table or not (teachers or distil) else None
        if table and not direct:
            raise ConfigError(f"unknown key {next(iter(table))}")
        return Plan(_teachers_of(teachers) if teachers else None, _distil_of(distil) if distil else None, direct)
    except ConfigError as error:
        raise ConfigError(str(error) if str(file) in str(error) else f"{file}: {error}") from error
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{file}: {error}; compare with the shipped recipes") from error


def _with_bases(file: Path) -> dict[str, Any]:
    table = read_table(file)
    bases = table.pop("base", [])
    under: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        path = Path(base) if Path(base).suffix else Path(__file__).parent / "recipes" / f"{base}.toml"
        under = _over(under, _with_bases(path))
    return _over(under, table)


def _over(under: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    both: dict[str, Any] = {
        key: {**under[key], **table[key]} for key in ("teachers", "distil") if key in under and key in table
    }
    return {**under, **table, **both}


def _named(names: list[str], stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {str(stage["name"]): stage for stage in stages}
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(f"stages: no stage {missing[0]!r}, expected some of {', '.join(known) or 'none'}")
    return [known[name] for name in names]


def _teachers_of(table: dict[str, Any]) -> TeacherRecipe:
    own = {field.name for field in dataclasses.fields(TeacherRecipe)} - {"stage"}
    stage = {key: value for key, value in table.items() if key not in own}
    stage["learning_rate"] = tuple(stage["learning_rate"])
    rest = {key: value for key, value in table.items() if key in own}
    return TeacherRecipe(**rest, stage=Stage(name="teachers", **stage))


def _distil_of(table: dict[str, Any]) -> DistilRecipe:
    return DistilRecipe(**{**table, "learning_rate": tuple(table["learning_rate"])})
