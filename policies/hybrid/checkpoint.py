"""Checkpoints of a training: any pytree of arrays, and how far it has come."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from haltere.policies.errors import ConfigError


def save(training: Any, done: int, seconds: float, identity: str, path: Path) -> None:
    """Writes a checkpoint in one step: a kill leaves the old one or the new one.

    Args:
      training: any pytree of arrays.
      done: updates so far.
      seconds: time spent so far, s.
      identity: of recipe and seed; only a training of the same may go on from here.
      path: the file.
    """
    leaves: dict[str, Any] = {str(index): leaf for index, leaf in enumerate(jax.tree.leaves(training))}
    scratch = path.with_suffix(".part")
    with scratch.open("wb") as file:
        np.savez(file, done=done, seconds=seconds, identity=identity, **leaves)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def restore(like: Any, identity: str, path: Path) -> tuple[Any, int, float]:
    """Reads a checkpoint.

    Args:
      like: a pytree of the same structure.
      identity: as given to `save`.
      path: the file.
    Returns:
      The pytree, the updates done, and the time spent in s.
    Raises:
      ConfigError: it belongs to another recipe or seed, or is damaged.
    """
    try:
        with np.load(path) as file:
            if "identity" not in file or str(file["identity"]) != identity:
                raise ConfigError(
                    f"{path} belongs to another recipe or seed: choose another --output, or pass --restart"
                )
            leaves = [file[str(index)] for index in range(len(jax.tree.leaves(like)))]
            return jax.tree.unflatten(jax.tree.structure(like), leaves), int(file["done"]), float(file["seconds"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is damaged ({error}): delete it, to begin anew") from error
