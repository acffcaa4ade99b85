"""The course of a training: update after update, with checkpoints, judgements and reports between."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from haltere.policies.foundation.checkpoint import Progress, restore, save

Report = Callable[[str, int, int, float, Progress | None], None]
"""Called with name, update (from 1), updates in all, loss, and the new line of the learning curve or None."""


class Course(NamedTuple):
    """What a training is to do, and where it leaves its traces.

    Attributes:
      name: of the training; its checkpoint is `name`.npz.
      updates: how many.
      every: updates between checkpoints.
      judge: scores of a training: share stable, steady error in m, RMSE of a figure-eight in m.
      identity: as for `checkpoint.save`.
      output: folder.
    """

    name: str
    updates: int
    every: int
    judge: Callable[[Any], tuple[float, float, float]]
    identity: str
    output: Path

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's file."""
        return self.output / f"{self.name}.npz"


def resume(course: Course, training: Any, before: list[Progress], restart: bool) -> tuple[Any, list[Progress], float]:
    """The training of the checkpoint, if there is one, or else the one given; learning curve; seconds spent."""
    if course.checkpoint.exists() and not restart:
        return restore(lambda _: training, lambda _: course.identity, course.checkpoint)
    return training, list(before), before[-1].seconds if before else 0.0


def follow(
    course: Course,
    update: Callable[[Any], tuple[Any, float, float]],
    training: Any,
    progress: list[Progress],
    seconds: float,
    report: Report,
) -> Any:
    """Updates a training to its end.

    Args:
      course: what to do.
      update: one update: the training after it, loss, norm of the gradient.
      training: has a field `update`, the number of updates behind it.
      progress: learning curve so far, those of earlier trainings included; is appended to.
      seconds: spent so far.
      report: called after every update.
    Returns:
      The training at its end.
    """
    done = int(training.update)
    earlier = max((row.update for row in progress if row.stage != course.name), default=0)
    clock = time.monotonic()
    while done < course.updates:
        training, loss, norm = update(training)
        done += 1
        line = None
        if done % course.every == 0 or done == course.updates:
            scores = course.judge(training)
            now = time.monotonic()
            seconds, clock = seconds + now - clock, now
            line = Progress(earlier + done, course.name, seconds, float(loss), float(norm), *scores)
            progress.append(line)
            save(training, progress, seconds, course.identity, course.checkpoint)
        report(course.name, done, course.updates, float(loss), line)
    return training
