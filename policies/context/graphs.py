"""The networks as ONNX graphs, their standardisation inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from haltere.policies.context.networks import KEYS, Attention, Perceptron

OPSET, IR_VERSION = 17, 10


def _save(
    path: Path, nodes: list[Any], constants: dict[str, np.ndarray], shape: list[Any], card: dict[str, Any]
) -> None:
    whole = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    outputs = len(constants["class_bias"])
    graph = helper.make_graph(
        nodes,
        "context",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", outputs])],
        whole,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(made, {"haltere.context": json.dumps(card)})
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)


def _standardise(mean: np.ndarray, deviation: np.ndarray, limit: float) -> tuple[list[Any], dict[str, np.ndarray]]:
    constants: dict[str, np.ndarray] = {
        "mean": mean.astype(np.float32),
        "deviation": deviation.astype(np.float32),
        "least": np.array(-limit, np.float32),
        "most": np.array(limit, np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "least", "most"], ["standard"]),
    ]
    return nodes, constants


def _judge(network: Perceptron, source: str) -> tuple[list[Any], dict[str, np.ndarray]]:
    constants = {name: np.asarray(value, np.float32) for name, value in network._asdict().items()}
    nodes = [
        helper.make_node("Gemm", [source, "hidden_weight", "hidden_bias"], ["sums"], transB=1),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "class_weight", "class_bias"], ["scores"], transB=1),
    ]
    return nodes, constants


def save_perceptron(
    network: Perceptron, mean: np.ndarray, deviation: np.ndarray, limit: float, card: dict[str, Any], path: Path
) -> None:
    """Writes `features (n, F) -> scores (n, C)`.

    Args:
      network: trained on standardised features.
      mean, deviation, limit: of the standardisation.
      card: what else belongs to it, as JSON in the file.
      path: ONNX file.
    """
    before, first = _standardise(mean, deviation, limit)
    after, second = _judge(network, "standard")
    _save(path, before + after, first | second, [len(mean)], card)


def save_attention(
    network: Attention,
    mean: np.ndarray,
    deviation: np.ndarray,
    limit: float,
    window: int,
    card: dict[str, Any],
    path: Path,
) -> None:
    """Writes `features (n, T, F) -> scores (n, C)`; arguments as of `save_perceptron`, and T."""
    before, first = _standardise(mean, deviation, limit)
    maps = {name: np.asarray(getattr(network, name), np.float32).T for name in ("query", "key", "value")}
    constants = maps | {
        "last": np.array([window - 1]),
        "one": np.array([1]),
        "root": np.array(KEYS**0.5, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["standard", "last"], ["newest"], axis=1),
        helper.make_node("MatMul", ["newest", "query"], ["asked"]),
        helper.make_node("MatMul", ["standard", "key"], ["keys"]),
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["asked", "turned"], ["product"]),
        helper.make_node("Div", ["product", "root"], ["fit"]),
        helper.make_node("Softmax", ["fit"], ["share"], axis=2),
        helper.make_node("MatMul", ["standard", "value"], ["values"]),
        helper.make_node("MatMul", ["share", "values"], ["heard"]),
        helper.make_node("Concat", ["asked", "heard"], ["both"], axis=2),
        helper.make_node("Squeeze", ["both", "one"], ["flat"]),
    ]
    after, second = _judge(network.judge, "flat")
    _save(path, before + nodes + after, first | constants | second, [window, len(mean)], card)
