"""Weights in and out of an ONNX file; names are those of the student."""

from __future__ import annotations

import numpy as np

from haltere.policies.contract import HIDDEN_SIZE, UNLIMITED, FloatArray
from haltere.policies.errors import PolicyFileError

_SATURATED = 20.0
"""Argument at which the logistic function is 0 or 1, and tanh 1, in single precision."""


def _gates(stacked: FloatArray) -> FloatArray:
    """Reorders gates (reset, keep, candidate) into ONNX's (update, reset, hidden); its own inverse."""
    reset, keep, candidate = np.split(np.asarray(stacked), 3)
    return np.concatenate([keep, reset, candidate])


def to_onnx(weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Lays the weights out for the graph, whose features and hidden state end in a constant 1.

    Args:
      weights: by the names of `student.Weights`.
    Returns:
      By the names of the graph: observation_limit and observation_floor (22,), its negative; input_weight (17, 22),
      input_bias (17,), gru_input_weight and gru_hidden_weight (1, 51, 17), output_weight (17, 4). Biases are the
      columns (of the output, the row) of the constants; the constant's own gates write a new 1 at each step.
    """

    def gru(weight: str, bias: str, saturated: float) -> FloatArray:
        rows = np.column_stack([_gates(weights[weight]), _gates(weights[bias])]).reshape(3, HIDDEN_SIZE, -1)
        own = np.zeros((3, 1, HIDDEN_SIZE + 1), np.float32)
        own[:, 0, -1] = [-saturated, 0.0, saturated]
        return np.concatenate([rows, own], 1).reshape(1, -1, HIDDEN_SIZE + 1)

    return {
        "observation_limit": np.asarray(weights["observation_limit"]),
        "observation_floor": -np.asarray(weights["observation_limit"]),
        "input_weight": np.pad(weights["input_weight"], [(0, 1), (0, 0)]),
        "input_bias": np.append(weights["input_bias"], np.float32(1.0)),
        "gru_input_weight": gru("gru_input_weight", "gru_input_bias", _SATURATED),
        "gru_hidden_weight": gru("gru_hidden_weight", "gru_hidden_bias", 0.0),
        "output_weight": np.column_stack([weights["output_weight"], weights["output_bias"]]).T,
    }


def weights_from_onnx(content: bytes) -> dict[str, FloatArray]:
    """Reads the student's weights from a policy file.

    Args:
      content: bytes of the file.
    Returns:
      Arrays by the names of `student.Weights`, without the initial hidden state. A graph that limits no
      observation has limits that are never met.
    Raises:
      PolicyFileError: `onnx` is not installed, or the graph is another one.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise PolicyFileError("reading weights needs the onnx package: pip install onnx") from error
    graph = onnx.load_from_string(content).graph
    arrays = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    try:
        input_weight = arrays["gru_input_weight"].reshape(3, HIDDEN_SIZE + 1, -1)[:, :-1].reshape(3 * HIDDEN_SIZE, -1)
        hidden_weight = arrays["gru_hidden_weight"].reshape(3, HIDDEN_SIZE + 1, -1)[:, :-1].reshape(3 * HIDDEN_SIZE, -1)
        weights = {
            "input_weight": arrays["input_weight"][:-1],
            "input_bias": arrays["input_bias"][:-1],
            "gru_input_weight": _gates(input_weight[:, :-1]),
            "gru_input_bias": _gates(input_weight[:, -1]),
            "gru_hidden_weight": _gates(hidden_weight[:, :-1]),
            "gru_hidden_bias": _gates(hidden_weight[:, -1]),
            "output_weight": arrays["output_weight"][:-1].T,
            "output_bias": arrays["output_weight"][-1],
            "observation_limit": arrays.get("observation_limit", UNLIMITED),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyFileError(f"the graph is not a recurrent student's: {error}") from error
    if any(name in arrays and not np.array_equal(array, arrays[name]) for name, array in to_onnx(weights).items()):
        raise PolicyFileError("the constants of the graph were changed: copy or export the file again")
    return weights
