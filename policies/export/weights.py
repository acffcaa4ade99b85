"""Weights in and out of an ONNX file; names are those of the student."""

from __future__ import annotations

import itertools

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
    OBSERVATION_BOUND,
    OBSERVATION_SIZE,
    UNITS,
    UNLIMITED,
    FloatArray,
)
from haltere.policies.errors import ExportError, PolicyFileError

_STATE = HIDDEN_SIZE + 1
"""Of the graph's hidden state: the units, the integral, and the constant."""
_FEATURES = UNITS + 4 * INTEGRAL_SIZE + 1
"""Of the GRU's input: the learned features; how far each axis is off, to either side; how far beyond
`INTEGRAL_FREE_M`; and the constant."""
_OFF, _BEYOND = slice(UNITS, UNITS + 2 * INTEGRAL_SIZE), slice(UNITS + 2 * INTEGRAL_SIZE, UNITS + 4 * INTEGRAL_SIZE)

_POSITION, _ATTITUDE, _VELOCITY, _OTHERS = np.split(np.arange(OBSERVATION_SIZE), [3, 12, 15])
_ERRORS = np.concatenate([_POSITION, _VELOCITY])
_TURNED = 3 * _ERRORS.size
_ALONE = np.concatenate([_POSITION, _ATTITUDE, _OTHERS])
_PRODUCTS = _TURNED + _ALONE.size + 1
"""Of two factors each: an element of the errors times one of the attitude, by element and body axis; what is seen as it
is, times 1; and the constant."""
_ONE = 9.0
"""Argument whose tanh is 1 also as ONNX Runtime's GRU approximates it; of larger ones it makes 1.0000005."""
_SMALL = 2.0**-11
"""What is not limited is taken so small that the limit of the others is none to it; a power of two costs no digit."""


def _gates(stacked: FloatArray) -> FloatArray:
    """Reorders gates (reset, keep, candidate) into ONNX's (update, reset, hidden); its own inverse."""
    reset, keep, candidate = np.split(np.asarray(stacked), 3)
    return np.concatenate([keep, reset, candidate])


def to_onnx(weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Lays the weights out for the graph, whose hidden state and features end in a constant 1.

    Biases are what the constants are multiplied by; the constant's own gates write a new 1 at each step, and those of
    the integral are fixed, too. To see the errors in the body's axes takes products of the observation with itself:
    two matrices take their factors, left and right, from the limited observation and from the hidden state.

    Args:
      weights: by the names of `student.Weights`.
    Returns:
      By the names of the graph: limit () and floor (), its negative; take_observation (22, 76) and take_hidden
      (20, 76), input_weight (38, 29), gru_input_weight (1, 60, 29), gru_hidden_weight (1, 60, 20), output_weight
      (20, 4).
    Raises:
      ExportError: the observation has limits that differ.
    """
    scale, limit = _scale(weights["observation_limit"])
    turned = weights["body_axes"] > 0
    take_observation = np.zeros((OBSERVATION_SIZE, 2, _PRODUCTS), np.float32)
    take_hidden = np.zeros((_STATE, 2, _PRODUCTS), np.float32)
    input_weight = np.zeros((_PRODUCTS, _FEATURES), np.float32)
    for product, (element, axis) in enumerate(itertools.product(range(_ERRORS.size), range(3))):
        error, row = _ERRORS[element], element % 3
        take_observation[error, 0, product] = scale[error]
        if error in _POSITION:
            take_hidden[UNITS + error, 0, product] = weights["integral_reach"] * scale[error]
        take_observation[_ATTITUDE[3 * row + axis], 1, product] = _SMALL * turned
        take_hidden[-1, 1, product] = _SMALL * (row == axis) * (not turned)
        seen_as = _ERRORS[element - row + axis]
        input_weight[product, :UNITS] = weights["input_weight"][:, seen_as] / (scale[error] * _SMALL)
    for product, element in enumerate(_ALONE, _TURNED):
        take_observation[element, 0, product] = scale[element]
        if element not in _POSITION:
            input_weight[product, :UNITS] = weights["input_weight"][:, element] / scale[element]
    take_hidden[-1, 1, _TURNED:] = take_hidden[-1, 0, -1] = 1.0

    sides = np.concatenate([np.eye(INTEGRAL_SIZE), -np.eye(INTEGRAL_SIZE)], 1)
    position = slice(_TURNED, _TURNED + INTEGRAL_SIZE)
    input_weight[position, _OFF] = input_weight[position, _BEYOND] = sides / scale[_POSITION, None]
    input_weight[-1, :UNITS] = weights["input_bias"]
    input_weight[-1, _BEYOND] = -INTEGRAL_FREE_M
    input_weight[-1, -1] = 1.0

    # By gate (update, reset, hidden), state, feature.
    gru_input_weight = np.zeros((3, _STATE, _FEATURES), np.float32)
    gru_hidden_weight = np.zeros((3, _STATE, _STATE), np.float32)
    for gates, name in ((gru_input_weight, "gru_input"), (gru_hidden_weight, "gru_hidden")):
        gates[:, :UNITS, :UNITS] = _gates(weights[f"{name}_weight"]).reshape(3, UNITS, UNITS)
        gates[:, :UNITS, -1] = _gates(weights[f"{name}_bias"]).reshape(3, UNITS)
    gru_input_weight[0, UNITS:-1, -1] = INTEGRAL_KEEP if weights["integral_reach"] > 0 else INTEGRAL_HELD
    gru_input_weight[0, UNITS:-1, _BEYOND] = INTEGRAL_SLOPE_1_M
    gru_input_weight[2, UNITS:-1, _OFF] = sides / INTEGRAL_NEAR_M
    gru_input_weight[:, -1, -1] = [-INTEGRAL_HELD, 0.0, _ONE]

    output_weight = np.zeros((_STATE, ACTION_SIZE), np.float32)
    output_weight[:UNITS] = weights["output_weight"].T
    output_weight[-1] = weights["output_bias"]
    return {
        "limit": limit,
        "floor": -limit,
        "take_observation": take_observation.reshape(OBSERVATION_SIZE, -1),
        "take_hidden": take_hidden.reshape(_STATE, -1),
        "input_weight": input_weight,
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
        take_observation = arrays["take_observation"].reshape(OBSERVATION_SIZE, 2, _PRODUCTS)
        scale = take_observation[_ALONE, 0, np.arange(_TURNED, _PRODUCTS - 1)]
        input_weight = np.empty((UNITS, OBSERVATION_SIZE), np.float32)
        input_weight[:, _ALONE] = (arrays["input_weight"][_TURNED:-1, :UNITS] * scale[:, None]).T
        for first, errors in ((0, _POSITION), (_TURNED // 2, _VELOCITY)):
            size = take_observation[errors[0], 0, first] * _SMALL
            input_weight[:, errors] = (arrays["input_weight"][first : first + 3, :UNITS] * size).T
        weights = {
            "input_weight": input_weight,
            "input_bias": arrays["input_weight"][-1, :UNITS],
            "gru_input_weight": _gates(gru_input_weight[..., :UNITS].reshape(-1, UNITS)),
            "gru_input_bias": _gates(gru_input_weight[..., -1].reshape(-1)),
            "gru_hidden_weight": _gates(gru_hidden_weight[..., :UNITS].reshape(-1, UNITS)),
            "gru_hidden_bias": _gates(gru_hidden_weight[..., -1].reshape(-1)),
            "output_weight": arrays["output_weight"][:UNITS].T,
            "output_bias": arrays["output_weight"][-1],
            "observation_limit": _limits(take_observation, arrays["limit"]),
            "integral_reach": arrays["take_hidden"][UNITS, 0] / take_observation[_POSITION[0], 0, 0],
            "body_axes": np.float32(take_observation[_ATTITUDE[0], 1, 0] > 0),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise PolicyFileError(f"the graph is not a recurrent student's: {error}") from error
    if any(not np.array_equal(array, arrays[name]) for name, array in to_onnx(weights).items()):
        raise PolicyFileError(
            "the constants of the graph were changed, or are a former version's: copy the file again, or train "
            "the policy's last stage again"
        )
    return weights


def _scale(observation_limit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What the elements (22,) of an observation are taken by, so that one limit () does for all."""
    limited = observation_limit < UNLIMITED
    limit = np.asarray(observation_limit[limited].min() if limited.any() else 1.0, np.float32)
    if (observation_limit[limited] != limit).any() or limit < (OBSERVATION_BOUND[~limited] * _SMALL).max():
        raise ExportError(f"limits of the observation: {observation_limit[limited]}; expected one, for some elements")
    return np.where(limited, 1.0, _SMALL).astype(np.float32), limit


def _limits(take_observation: FloatArray, limit: FloatArray) -> FloatArray:
    """Undoes `_scale`: the limits (22,)."""
    return np.where(take_observation[:, 0].max(-1) == 1, limit, UNLIMITED).astype(np.float32)
