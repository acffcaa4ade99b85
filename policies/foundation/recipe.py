"""A training recipe: what is trained on what, for how long. Read from TOML."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from pathlib import Path
from typing import Any

from haltere.policies.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


OPTIMISERS = ("adam", "muon")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
      name: shown in the progress bar.
      updates: optimiser updates.
      window: control periods per update through which the gradient goes.
      gradient_decay: factor on the gradient through the physical state, per control period.
      gradient_limit: largest norm of one vehicle's gradient through its physical state, of the cost still to come,
        summed over control periods, by SI units; 0: none.
      learning_rate: (first, last); falls along a half cosine.
      acceleration_m_s2: largest acceleration of the references.
      velocity_weight: cost of velocity error, per m/s.
      population: name or path; by default the recipe's.
      position_soft_m: below this distance the cost of position error rounds off.
      velocity_soft_m_s: the same for velocity error.
      precision_weight: cost of the logarithm of the position error over `position_soft_m`: what a good vehicle
        could still do better counts beside what a bad one does.
      action_weight: cost of a change of the action.
      heading_soft_rad: below this angle the cost of a wrong heading rounds off; 0: the cost goes by the cosine, which
        lets the heading wander by degrees, and the position with it.
      second_chances: a vehicle that was lost flies again, from another initial state, until it is drawn anew with the
        `redraw` share: those that are hard to fly fly more often.
      averaging: decay, per update, of the moving average of the weights that is judged and kept; 0: the last ones.
      redraw: share of vehicles drawn anew per update; 0: the recipe's.
      integral: the policy's integral takes part.
      memory_noise: standard deviation of noise on the policy's units after every step. Where a memory is not to be
        trusted to the last digit, the loop does not multiply what one processor rounds otherwise than another.
      optimiser: `muon` turns the gradient of each matrix into the nearest orthogonal one, so that every direction of
        the small network learns at the same rate: with a short horizon it is far ahead (loss .54 against Adam's .75
        after 400 updates). With a long horizon the gradient is too noisy for rates above 1e-3; there `adam`, or `muon`
        to refine.
    """

    name: str
    updates: int
    window: int
    gradient_decay: float
    learning_rate: tuple[float, float]
    acceleration_m_s2: float
    velocity_weight: float
    population: str = ""
    position_soft_m: float = 0.02
    velocity_soft_m_s: float = 0.05
    precision_weight: float = 0.0
    action_weight: float = 0.1
    heading_soft_rad: float = 0.0
    second_chances: bool = False
    averaging: float = 0.0
    gradient_limit: float = 0.0
    redraw: float = 0.0
    integral: bool = True
    memory_noise: float = 0.0
    optimiser: str = "adam"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("updates", 1, 10**7),
            ("window", 1, 10**4),
            ("gradient_decay", 0.0, 1.0),
            ("acceleration_m_s2", 0.0, 50.0),
            ("velocity_weight", 0.0, 100.0),
            ("position_soft_m", 1e-6, 10.0),
            ("velocity_soft_m_s", 1e-6, 10.0),
            ("precision_weight", 0.0, 100.0),
            ("action_weight", 0.0, 100.0),
            ("heading_soft_rad", 0.0, 3.2),
            ("averaging", 0.0, 0.99999),
            ("gradient_limit", 0.0, 1e6),
            ("redraw", 0.0, 1.0),
            ("memory_noise", 0.0, 0.1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"stage {self.name}: {name} = {getattr(self, name)}, allowed {low} to {high}")
        if self.optimiser not in OPTIMISERS:
            raise ConfigError(f"stage {self.name}: optimiser = {self.optimiser}, allowed {' or '.join(OPTIMISERS)}")

    def horizon(self, vehicles: int) -> tuple[float, float]:
        """Factor and limit of the gradient through the physical state, where the loss is a mean over V vehicles."""
        limit = self.gradient_limit / (self.window * vehicles) if self.gradient_limit else math.inf
        return self.gradient_decay, limit


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The whole recipe.

    Attributes:
      population: name or path of the population, of stages that name no other.
      vehicles: how many are flown at once.
      redraw: share of vehicles drawn anew per update.
      validation_vehicles: how many are flown to judge the policy; never trained on.
      checkpoint_every: updates between checkpoints and validations.
      clip_norm: largest norm of the gradient.
      stages: in order.
    """

    population: str
    vehicles: int
    redraw: float
    validation_vehicles: int
    checkpoint_every: int
    clip_norm: float
    stages: tuple[Stage, ...]

    @property
    def updates(self) -> int:
        """Updates of all stages together."""
        return sum(stage.updates for stage in self.stages)

    def stage_at(self, update: int) -> Stage:
        """The stage that update number `update` (from 0) belongs to."""
        for stage in self.stages:
            if update < stage.updates:
                return stage
            update -= stage.updates
        return self.stages[-1]

    def until(self, update: int) -> Recipe:
        """The recipe with the stages alone that the first `update` updates belong to."""
        ends = itertools.accumulate((stage.updates for stage in self.stages), initial=0)
        begun = tuple(stage for stage, first in zip(self.stages, ends, strict=False) if first < update)
        return dataclasses.replace(self, stages=begun)

    def scaled(self, factor: float) -> Recipe:
        """The same recipe with `factor` times the updates (at least one a stage)."""
        stages = tuple(dataclasses.replace(s, updates=max(1, round(s.updates * factor))) for s in self.stages)
        return dataclasses.replace(self, stages=stages)


def load_recipe(path: Path | None = None) -> Recipe:
    """Reads the recipe of a direct training; without a path, the one of the shipped policy.

    Raises:
      ConfigError: the file, a key or a value is wrong.
    """
    file = path or Path(__file__).parent / "recipes" / "direct.toml"
    try:
        return direct_of(read_table(file))
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{file}: {error}; compare with the shipped recipes") from error


def read_table(file: Path) -> dict[str, Any]:
    """Reads a recipe's TOML.

    Raises:
      ConfigError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {file}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}; compare with the shipped recipes") from error


def direct_of(table: dict[str, Any]) -> Recipe:
    """The recipe of a direct training from its table; a key is missing or unknown: KeyError, TypeError."""
    entries: list[dict[str, Any]] = table.pop("stage")
    stages = tuple(Stage(**{**entry, "learning_rate": tuple(entry["learning_rate"])}) for entry in entries)
    return Recipe(**table, stages=stages)
