"""Checkpoints and learning curve of a training."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.foundation.spread import collect, is_first_host


class Progress(NamedTuple):
    """One line of the learning curve."""

    update: int
    stage: str
    seconds: float
    loss: float
    gradient_norm: float
    stable: float
    steady_error_m: float
    figure_eight_m: float


def save(training: Any, progress: list[Progress], seconds: float, identity: str, path: Path) -> None:
    """Writes a checkpoint in one step, a kill leaves the old one or the new one; and beside it `curve.csv`.

    To be called on every host, of which the first writes.

    Args:
      training: any pytree of arrays.
      progress: the learning curve so far.
      seconds: time spent so far, s.
      identity: of recipe, population and seed; only a training of the same may go on from here.
      path: the file.
    """
    leaves: dict[str, Any] = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(collect(training)))}
    if not is_first_host():
        return
    rows = np.array([tuple(map(str, row)) for row in progress]) if progress else np.zeros((0, 8), str)
    scratch = path.with_suffix(".part")
    with scratch.open("wb") as file:
        np.savez(file, rows=rows, seconds=seconds, identity=identity, **leaves)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    with path.with_name("curve.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(Progress._fields)
        writer.writerows(progress)


def restore(
    like: Callable[[int], Any], identity: Callable[[int], str], path: Path
) -> tuple[Any, list[Progress], float]:
    """Reads a checkpoint.

    Args:
      like: gives a pytree of the same structure and shapes, from the number of updates that were done.
      identity: gives what `save` was given, from the same number.
      path: the file.
    Returns:
      The pytree, the learning curve, the time spent in s.
    Raises:
      ConfigError: it belongs to another recipe, population or seed.
    """
    with np.load(path) as file:
        rows = [Progress(int(r[0]), str(r[1]), *(float(value) for value in r[2:])) for r in file.get("rows", [])]
        done = rows[-1].update if rows else 0
        leaves, shape = jax.tree.flatten(like(done))
        found = [file[str(i)] for i in range(len(leaves)) if str(i) in file]
        same = [leaf.shape for leaf in found] == [np.shape(leaf) for leaf in leaves]
        if "identity" not in file or str(file["identity"]) != identity(done) or not same:
            raise ConfigError(
                f"{path} belongs to another recipe, population or seed: choose another --output, or pass --restart"
            )
        seconds = float(file["seconds"])
    return jax.tree.unflatten(shape, found), rows, seconds
