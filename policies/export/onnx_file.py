"""Writes a policy file: the student as one ONNX graph, with card and golden vectors inside.

The graph is ten nodes, ONNX's own GRU among them, at opset 17 and IR 10, so that the runtimes of JetPack and
PYNQ images can read it. Hidden state and features have a last element that is always 1, whose weights are
the biases: a GRU node with a bias input copies it at every call, which is a sixth of the call's time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from haltere.policies import card as cards
from haltere.policies.card import Card, Golden
from haltere.policies.contract import ACTION_SIZE, CONTRACT, HIDDEN_SIZE, OBSERVATION_SIZE, FloatArray
from haltere.policies.errors import ExportError
from haltere.policies.export.weights import to_onnx
from haltere.policies.policy_file import NumpyPolicy, load_policy

OPSET = 17
IR_VERSION = 10


def golden_run(weights: dict[str, FloatArray], initial_hidden_state: FloatArray, seed: int = 0) -> Golden:
    """Records a golden run: 64 steps over wide random observations, so that every weight takes part.

    It is worked out in double precision, so that each backend is held against the truth and not against another's
    rounding.

    Args:
      weights: by the names of `student.Weights`.
      initial_hidden_state: (19,).
      seed: of the observations.
    """
    rng = np.random.default_rng(seed)
    steps = 64
    scale = np.repeat(np.array([0.5, 0.6, 1.0, 2.0, 0.6], np.float32), [3, 9, 3, 3, 4])
    observation = (rng.standard_normal((steps, OBSERVATION_SIZE)) * scale).astype(np.float32)
    observation[::2, :3] *= 0.05  # near enough for the integral to move
    observation[:, [3, 7, 11]] = np.abs(observation[:, [3, 7, 11]])
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    policy = NumpyPolicy(exact, initial_hidden_state.astype(np.float64))
    hidden, action = [initial_hidden_state], []
    for row in observation:
        action.append(policy.step(row))
        hidden.append(policy.hidden_state)
    return Golden(observation, np.stack(hidden).astype(np.float32), np.stack(action).astype(np.float32))


def model(weights: dict[str, FloatArray], metadata: dict[str, str]) -> onnx.ModelProto:
    """Builds the single-step graph `(observation, hidden_state) -> (action, next_hidden_state)`."""

    constants = to_onnx(weights)
    nodes = [
        helper.make_node("MatMul", ["observation", "take_observation"], ["taken"]),
        helper.make_node("Clip", ["taken", "floor", "limit"], ["seen"]),
        helper.make_node("MatMul", ["hidden_state", "take_hidden"], ["remembered"]),
        helper.make_node("Add", ["seen", "remembered"], ["factors"]),
        helper.make_node("Split", ["factors"], ["left", "right"], axis=-1),
        helper.make_node("Mul", ["left", "right"], ["products"]),
        helper.make_node("MatMul", ["products", "input_weight"], ["input_sum"]),
        helper.make_node("Relu", ["input_sum"], ["features"]),
        helper.make_node(
            "GRU",
            ["features", "gru_input_weight", "gru_hidden_weight", "", "", "hidden_state"],
            ["", "next_hidden_state"],
            hidden_size=HIDDEN_SIZE + 1,
            linear_before_reset=1,
        ),
        helper.make_node("MatMul", ["next_hidden_state", "output_weight"], ["action"]),
    ]

    def value(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "haltere_policy",
        [value("observation", 1, OBSERVATION_SIZE), value("hidden_state", 1, 1, HIDDEN_SIZE + 1)],
        [value("action", 1, 1, ACTION_SIZE), value("next_hidden_state", 1, 1, HIDDEN_SIZE + 1)],
        [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    made.producer_name = "haltere"
    helper.set_model_props(made, metadata)
    return made


def write_policy(path: Path, weights: dict[str, FloatArray], card: Card, golden: Golden | None = None) -> Path:
    """Writes a policy file and reads it back.

    Args:
      path: the `.onnx` file.
      weights: float32 arrays by the names of `student.Weights`.
      card: what the file says about itself.
      golden: the run to store; recorded anew by default.
    Raises:
      ExportError: a weight is not finite, or the written file does not load.
    """
    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ExportError(f"{name} has numbers that are not finite: training diverged, train again")
    if golden is None:
        golden = golden_run(weights, np.array(card.initial_hidden_state, np.float32))
    metadata = {
        cards.CONTRACT_KEY: CONTRACT,
        cards.CARD_KEY: card.to_json(),
        cards.GOLDEN_KEY: golden.to_json(),
        cards.DIGEST_KEY: cards.BLANK_DIGEST,
    }
    made = model(weights, metadata)
    onnx.checker.check_model(made, full_check=True)
    content = made.SerializeToString(deterministic=True)
    content = content.replace(cards.BLANK_DIGEST.encode(), cards.digest(content).encode())
    scratch = path.with_suffix(".part")
    scratch.write_bytes(content)
    try:
        load_policy(scratch)
    except Exception as error:
        scratch.unlink()
        raise ExportError(f"the exported file does not load: {error}") from error
    scratch.replace(path)
    return path
