"""Carries out a plan of training, one part after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.foundation import student, train
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.course import Report
from haltere.policies.foundation.distil import distil
from haltere.policies.foundation.distil import identity as distil_identity
from haltere.policies.foundation.plan import Plan
from haltere.policies.foundation.teaching import teach


class Outcome(NamedTuple):
    """What a plan led to.

    Attributes:
      weights: the student.
      progress: the learning curve of all parts.
      fit: how many teachers were fit; the others were left out. None if there were none to train.
    """

    weights: student.Weights
    progress: list[Progress]
    fit: int | None


def run(
    plan: Plan,
    seed: int,
    output: Path,
    report: Report,
    restart: bool = False,
    begin: train.Start | None = None,
) -> Outcome:
    """Trains a policy by a plan.

    Args:
      plan: what is done.
      seed: of weights, vehicles, references and noise.
      output: folder for checkpoints and learning curve. What is found there is resumed, finished parts are not
        repeated; plans that share their first parts can share a folder.
      report: called after every update with the part's name (`teachers`, `distil`, or that of a direct stage).
      restart: ignore checkpoints.
      begin: what the direct stages go on from, where the plan has no others.
    Raises:
      ConfigError: a population is wrong, no teacher is fit, or a checkpoint belongs to another training; or there are
        teachers, and something to begin from.
    """
    output.mkdir(parents=True, exist_ok=True)
    if begin is not None and plan.distil:
        raise ConfigError("only direct stages can go on from a policy: this recipe begins with teachers")
    fit = None
    if plan.teachers and plan.distil:
        teachers, verdict, progress = teach(plan.teachers, seed, output, report, restart)
        fit = int(np.count_nonzero(verdict.fit))
        weights, progress = distil(
            plan.distil, plan.teachers, teachers, verdict.fit, seed, output, report, progress, restart
        )
        begin = train.Start(weights, progress, distil_identity(plan.distil, plan.teachers, seed))
    if plan.direct:
        recipe = plan.direct

        def tell(update: int, loss: float, line: Progress | None) -> None:
            report(recipe.stage_at(update - 1).name, update, recipe.updates, loss, line)

        if begin is not None:  # teachers' students have none, nor have others' policies
            reach = jnp.float32(student.INTEGRAL_REACH_M)
            begun: Any = begin.weights
            begin = begin._replace(weights=begun._replace(integral_reach=reach))
        weights, progress = train.train(recipe, seed, output, tell, restart, begin)
    return Outcome(weights, progress, fit)
