"""What is left of a proof of a return map, and the file in which it is kept, so that a stopped proof goes on."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import checkpoint
from haltere.policies.hybrid.level_boxes import Bounds
from haltere.policies.hybrid.return_map import ReturnMap, follow

KEPT_EVERY_S = 60.0
"""How often what is left of a proof is written."""


class Open(NamedTuple):
    """What is left of a proof.

    Attributes:
      along: (n, n) axes of the boxes.
      low: (B, n) of boxes that are open.
      high: (B, n).
      least: (B,) lower bounds of V in them.
      whole: () volume of all boxes with which the proof began.
    """

    along: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    whole: np.ndarray


class Kept:
    """Where what is left of the proof of one claim is kept: a file of a folder, named by the claim, or nowhere."""

    def __init__(self, folder: Path | None, returns: ReturnMap, parameters: Any, claim: Bounds) -> None:
        self._path: Path | None = None
        self._written_s, self._identity = time.monotonic(), ""
        if folder is None:
            return
        self._identity = _identity(returns, parameters, claim)
        self._path = folder / f"{self._identity[:16]}.npz"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder} for proofs: {error.strerror}") from error

    def read(self) -> tuple[Open, int] | None:
        """What is left, and how many boxes were looked at; nothing, if the proof has not begun."""
        if self._path is None or not self._path.exists():
            return None
        like = Open(*[np.zeros(0)] * len(Open._fields))
        left, seen, _ = checkpoint.restore(like, self._identity, self._path)
        return left, seen

    def write(self, left: Open, seen: int, at_once: bool = False) -> None:
        """Writes it, if it is time for that."""
        if self._path is None or not (at_once or time.monotonic() - self._written_s > KEPT_EVERY_S):
            return
        self._written_s = time.monotonic()
        checkpoint.save(left, seen, 0.0, self._identity, self._path)


def _identity(returns: ReturnMap, parameters: Any, claim: Bounds) -> str:
    """Of a claim: its numbers, the program and the parameters of the map, and the version that proves."""
    program = jax.make_jaxpr(partial(follow, returns))(parameters, jnp.zeros(returns.states))
    digest = hashlib.sha256(f"{version('haltere')} {program.jaxpr}".encode())
    for leaf in jax.tree.leaves((program.consts, parameters, claim)):
        digest.update(np.asarray(leaf, np.float64).tobytes())
    return digest.hexdigest()
