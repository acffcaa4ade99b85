"""Runs the car's learned planner in ONNX Runtime, without JAX, and checks it against its golden vectors.

`(state, ahead) -> (speed, offset)`: from the car and the next half pieces of its road to the reference on the first of
them. Names, units and order are `policies.hybrid.car_planner.STATE` and `HALF`, and in the file's card.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from haltere.policies.contract import FloatArray
from haltere.policies.errors import PolicyFileError
from haltere.policies.hybrid_policy import TOLERANCE, HybridFile, read_contract

CONTRACT = "haltere.planner/1"
INPUTS, OUTPUTS = ("state", "ahead"), ("speed", "offset")


class Choice(NamedTuple):
    """The reference on the next half piece.

    Attributes:
      speed_m_s: with which it drives.
      offset_m: of its end from the middle of the road, to the left of the way to the end of the half after it.
    """

    speed_m_s: float
    offset_m: float


class PlannerPolicy:
    """The planner in ONNX Runtime, one car at a time."""

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def plan(self, state: FloatArray, ahead: FloatArray) -> Choice:
        """Returns the reference for a car's state (7,) and the half pieces ahead (H, 6)."""
        given = (np.asarray(array, np.float32)[None] for array in (state, ahead))
        speed, offset = self._session.run(list(OUTPUTS), dict(zip(INPUTS, given, strict=True)))
        return Choice(float(speed[0, 0]), float(offset[0, 0]))


def golden_error(policy: PlannerPolicy, golden: dict[str, FloatArray]) -> float:
    """Largest difference from golden vectors, over one plus their size."""
    worst = 0.0
    for row in range(len(golden["state"])):
        choice = policy.plan(golden["state"][row], golden["ahead"][row])
        for name, found in zip(OUTPUTS, choice, strict=True):
            wanted = float(golden[name][row, 0])
            worst = max(worst, abs(found - wanted) / (1 + abs(wanted)))
    return worst


def digest(controller: bytes) -> str:
    """What tells a controller's file from others; a planner's card holds that of the one it was learned with."""
    return hashlib.sha256(controller).hexdigest()


def read_planner(path: str | Path, controller: bytes | None = None) -> HybridFile:
    """Reads a file.

    Args:
      path: the file.
      controller: content of the file of the controller that shall follow its references, if there is one.
    Raises:
      PolicyFileError: it cannot be read, is none of a planner, or was learned with another controller.
    """
    make = "make one with `haltere train car-planner`"
    file = read_contract(path, CONTRACT, f"a planner's file: {make}")
    if controller is not None and file.card.get("controller") != digest(controller):
        raise PolicyFileError(f"{path} was learned with another car's file than this one: {make} --car FILE")
    return file


def load_planner(path: str | Path, controller: bytes | None = None) -> tuple[PlannerPolicy, HybridFile]:
    """Opens a file in ONNX Runtime and lets it repeat its golden vectors; arguments as of `read_planner`.

    Raises:
      PolicyFileError: as of `read_planner`, or it disagrees with its golden vectors.
    """
    file = read_planner(path, controller)
    policy = PlannerPolicy(file.content)
    error = golden_error(policy, file.golden)
    if not error <= TOLERANCE:
        raise PolicyFileError(f"{path} disagrees with its golden vectors by {error:.2g} (allowed {TOLERANCE:g})")
    return policy, file
