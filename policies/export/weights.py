"""Weights in and out of an ONNX file; names are those of the student."""

from __future__ import annotations

import numpy as np

from haltere.policies.contract import (
    ACTION_SIZE,
    HIDDEN_SIZE,
    INTEGRAL_FREE_M,
    INTEGRAL_HELD,
    INTEGRAL_KEEP,
    INTEGRAL_NEAR_M,
    INTEGRAL_SIZE,
    INTEGRAL_SLOPE_1_M,
    OBSERVATION_SIZE,
    UNITS,
    FloatArray,
)
from haltere.policies.errors import PolicyFileError

_STATE = HIDDEN_SIZE + 1
"""Of the graph's hidden state: the units, the integral, and the constant."""
_FEATURES = UNITS + 4 * INTEGRAL_SIZE + 1
"""Of the GRU's input: the learned features; how far each axis is off, to either side; how far beyond
`INTEGRAL_FREE_M`; and the constant."""
_OFF, _BEYOND = slice(UNITS, UNITS + 2 * INTEGRAL_SIZE), slice(UNITS + 2 * INTEGRAL_SIZE, UNITS + 4 * INTEGRAL_SIZE)


def _gates(stacked: FloatArray) -> FloatArray:
    """Reorders gates (reset, keep, candidate) into ONNX's (update, reset, hidden); its own inverse."""
    reset, keep, candidate = np.split(np.asarray(stacked), 3)
    return np.concatenate([keep, reset, candidate])


def to_onnx(weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Lays the weights out for the graph, whose hidden state and features end in a constant 1.

    Biases are what the constants are multiplied by; the constant's own gates write a new 1 at each step, and those of
    the integral are fixed, too.

    Args:
      weights: by the names of `student.Weights`.
    Returns:
      By the names of the graph: observation_limit and observation_floor (22,), its negative; input_weight (22, 29) and
      hidden_to_input (20, 29), gru_input_weight (1, 60, 29), gru_hidden_weight (1, 60, 20), output_weight (20, 4).
    """
    sides = np.concatenate([np.eye(INTEGRAL_SIZE), -np.eye(INTEGRAL_SIZE)], 1)
    input_weight = np.zeros((OBSERVATION_SIZE, _FEATURES), np.float32)
    input_weight[:, :UNITS] = weights["input_weight"].T
    input_weight[:INTEGRAL_SIZE, _OFF] = input_weight[:INTEGRAL_SIZE, _BEYOND] = sides

    hidden_to_input = np.zeros((_STATE, _FEATURES), np.float32)
    hidden_to_input[UNITS:-1, :UNITS] = weights["integral_reach"] * input_weight[:INTEGRAL_SIZE, :UNITS]
    hidden_to_input[-1, :UNITS] = weights["input_bias"]
    hidden_to_input[-1, _BEYOND] = -INTEGRAL_FREE_M
    hidden_to_input[-1, -1] = 1.0

    # By gate (update, reset, hidden), state, feature.
    gru_input_weight = np.zeros((3, _STATE, _FEATURES), np.float32)
    gru_hidden_weight = np.zeros((3, _STATE, _STATE), np.float32)
    for gates, name in ((gru_input_weight, "gru_input"), (gru_hidden_weight, "gru_hidden")):
        gates[:, :UNITS, :UNITS] = _gates(weights[f"{name}_weight"]).reshape(3, UNITS, UNITS)
        gates[:, :UNITS, -1] = _gates(weights[f"{name}_bias"]).reshape(3, UNITS)
    gru_input_weight[0, UNITS:-1, -1] = INTEGRAL_KEEP if weights["integral_reach"] > 0 else INTEGRAL_HELD
    gru_input_weight[0, UNITS:-1, _BEYOND] = INTEGRAL_SLOPE_1_M
    gru_input_weight[2, UNITS:-1, _OFF] = sides / INTEGRAL_NEAR_M
    gru_input_weight[:, -1, -1] = [-INTEGRAL_HELD, 0.0, INTEGRAL_HELD]

    output_weight = np.zeros((_STATE, ACTION_SIZE), np.float32)
    output_weight[:UNITS] = weights["output_weight"].T
    output_weight[-1] = weights["output_bias"]
    return {
        "observation_limit": np.asarray(weights["observation_limit"]),
        "observation_floor": -np.asarray(weights["observation_limit"]),
        "input_weight": input_weight,
        "hidden_to_input": hidden_to_input,
        "gru_input_weight": gru_input_weight.reshape(1, -1, _FEATURES),
        "gru_hidden_weight": gru_hidden_weight.reshape(1, -1, _STATE),
        "output_weight": output_weight,
    }


def weights_from_onnx(content: bytes) -> dict[str, FloatArray]:
    """Reads the student's weights from a policy file.

    Args:
      content: bytes of the file.
    Returns:
      Arrays by the names of `student.Weights`, without the initial hidden state.
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
        gru_input_weight = arrays["gru_input_weight"].reshape(3, _STATE, _FEATURES)[:, :UNITS]
        gru_hidden_weight = arrays["gru_hidden_weight"].reshape(3, _STATE, _STATE)[:, :UNITS]
        weights = {
            "input_weight": arrays["input_weight"][:, :UNITS].T,
            "input_bias": arrays["hidden_to_input"][-1, :UNITS],
            "gru_input_weight": _gates(gru_input_weight[..., :UNITS].reshape(-1, UNITS)),
            "gru_input_bias": _gates(gru_input_weight[..., -1].reshape(-1)),
            "gru_hidden_weight": _gates(gru_hidden_weight[..., :UNITS].reshape(-1, UNITS)),
            "gru_hidden_bias": _gates(gru_hidden_weight[..., -1].reshape(-1)),
            "output_weight": arrays["output_weight"][:UNITS].T,
            "output_bias": arrays["output_weight"][-1],
            "observation_limit": arrays["observation_limit"],
            "integral_reach": _reach(arrays["input_weight"], arrays["hidden_to_input"]),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyFileError(f"the graph is not a recurrent student's: {error}") from error
    if any(not np.array_equal(array, arrays[name]) for name, array in to_onnx(weights).items()):
        raise PolicyFileError(
            "the constants of the graph were changed, or are a former version's: copy the file again, or train "
            "the policy's last stage again"
        )
    return weights


def _reach(input_weight: FloatArray, hidden_to_input: FloatArray) -> FloatArray:
    """What the integral is multiplied by before the learned features see it, out of products with their weights."""
    factor = input_weight[:INTEGRAL_SIZE, :UNITS].astype(np.float64)
    product = hidden_to_input[UNITS:-1, :UNITS].astype(np.float64)
    return np.asarray(np.median(product[factor != 0] / factor[factor != 0]), np.float32)
