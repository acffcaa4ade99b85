"""Runs a learned hybrid controller's file in ONNX Runtime, without JAX, and checks it against its golden vectors.

`(state, configuration) -> (action, lyapunov_value, region_level)`: the state is inside the mode's region of attraction
where lyapunov_value <= region_level. A file without `action` speaks of a policy that is another file: the quadrotor's,
whose state is what the foundation policy sees, and whose configuration is a one-hot of its modes.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from haltere.policies.contract import FloatArray
from haltere.policies.errors import PolicyFileError
from haltere.policies.policy_file import read_content

CONTRACT = "haltere.hybrid/1"
TOLERANCE = 1e-4
"""Largest difference from the golden vectors, over one plus their size."""
NO_ACTION: FloatArray = np.zeros(0, np.float32)
INPUTS, OUTPUTS = ("state", "configuration"), ("action", "lyapunov_value", "region_level")


class Answer(NamedTuple):
    """What a mode's networks say of one state.

    Attributes:
      action: (m,), in the plant's units; of length zero where the file has none.
      lyapunov_value: of the state.
      region_level: level of the region of attraction; the state is inside where its value is not above it.
    """

    action: FloatArray
    lyapunov_value: float
    region_level: float


@dataclass(frozen=True)
class HybridFile:
    """A file's bytes, card and golden vectors: by name, (S, n) each."""

    path: Path
    content: bytes
    card: dict[str, Any]
    golden: dict[str, FloatArray]


def read_hybrid(path: str | Path) -> HybridFile:
    """Reads a file.

    Raises:
      PolicyFileError: it cannot be read, or is none of a hybrid controller.
    """
    return read_contract(path, CONTRACT, "a hybrid controller's file: make one with `haltere train car`")


def read_contract(path: str | Path, contract: str, wanted: str) -> HybridFile:
    """Reads a file of one contract.

    Args:
      path: the file.
      contract: that it must state.
      wanted: what such a file is, and how to make one.
    Raises:
      PolicyFileError: it cannot be read, or states another contract.
    """
    content, metadata = read_content(path)
    if metadata["haltere.contract"] != contract:
        raise PolicyFileError(f"{path} is not {wanted}")
    try:
        golden = {
            name: np.frombuffer(base64.b64decode(entry["float32"]), "<f4").reshape(entry["shape"])
            for name, entry in json.loads(metadata["haltere.golden"]).items()
        }
        return HybridFile(Path(path), content, json.loads(metadata["haltere.card"]), golden)
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyFileError(f"{path}: card or golden vectors are not readable ({error}); train it again") from error


class HybridPolicy:
    """A mode's networks in ONNX Runtime, one state at a time."""

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def step(self, state: FloatArray, configuration: FloatArray) -> Answer:
        """Returns the answer for a state (n,) and the numbers of a configuration (c,), in the plant's units."""
        given = (np.asarray(array, np.float32)[None] for array in (state, configuration))
        *action, value, level = self._session.run(self._outputs, dict(zip(INPUTS, given, strict=True)))
        return Answer(action[0][0] if action else NO_ACTION, float(value[0, 0]), float(level[0, 0]))


def golden_error(policy: HybridPolicy, golden: dict[str, FloatArray]) -> float:
    """Largest difference from golden vectors, over one plus their size."""
    worst = 0.0
    for row in range(len(golden["state"])):
        answer = policy.step(golden["state"][row], golden["configuration"][row])
        for name, found in zip(OUTPUTS, answer, strict=True):
            if name not in golden:
                continue
            wanted = golden[name][row]
            worst = max(worst, float(np.max(np.abs(found - wanted) / (1 + np.abs(wanted)))))
    return worst


def load_hybrid(path: str | Path) -> tuple[HybridPolicy, HybridFile]:
    """Opens a file in ONNX Runtime and lets it repeat its golden vectors.

    Raises:
      PolicyFileError: it cannot be read, is none of a hybrid controller, or disagrees with its golden vectors.
    """
    file = read_hybrid(path)
    policy = HybridPolicy(file.content)
    error = golden_error(policy, file.golden)
    if not error <= TOLERANCE:
        raise PolicyFileError(f"{path} disagrees with its golden vectors by {error:.2g} (allowed {TOLERANCE:g})")
    return policy, file
