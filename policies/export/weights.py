"""Weights in and out of an ONNX file; names are those of the student."""

from __future__ import annotations

import numpy as np

from haltere.policies.contract import HIDDEN_SIZE, FloatArray
from haltere.policies.errors import PolicyFileError


def to_onnx_gates(stacked: FloatArray) -> FloatArray:
    """Reorders gates (reset, keep, candidate) into ONNX's (update, reset, hidden); its own inverse."""
    reset, keep, candidate = np.split(np.asarray(stacked), 3)
    return np.concatenate([keep, reset, candidate])


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
        bias = arrays["gru_bias"][0]
        return {
            "input_weight": arrays["input_weight"],
            "input_bias": arrays["input_bias"],
            "gru_input_weight": to_onnx_gates(arrays["gru_input_weight"][0]),
            "gru_input_bias": to_onnx_gates(bias[: 3 * HIDDEN_SIZE]),
            "gru_hidden_weight": to_onnx_gates(arrays["gru_hidden_weight"][0]),
            "gru_hidden_bias": to_onnx_gates(bias[3 * HIDDEN_SIZE :]),
            "output_weight": arrays["output_weight"],
            "output_bias": arrays["output_bias"],
        }
    except (KeyError, IndexError) as error:
        raise PolicyFileError(f"the graph is not a recurrent student's: {error} is missing") from error
