"""Writes what was learned for a hybrid system's mode as one ONNX graph, with domain and golden vectors inside.

`(state, configuration) -> (action, lyapunov_value, region_level)`, batch of one, float32, opset 17. The state is inside
the mode's region of attraction where lyapunov_value <= region_level.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from haltere.policies.contract import FloatArray
from haltere.policies.errors import ExportError, PolicyFileError
from haltere.policies.export.onnx_file import IR_VERSION, OPSET
from haltere.policies.hybrid import controller, learned, lyapunov, region_of_attraction
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid_policy import CONTRACT, OUTPUTS, TOLERANCE, HybridPolicy, golden_error, read_hybrid

GOLDEN_SAMPLES = 64
Border = dict[str, tuple[int, ...]]
"""Of a graph: names of what goes in or out, and their shapes behind the batch of one."""


def dense(name: str, weights: Any, source: str) -> tuple[list[onnx.NodeProto], dict[str, FloatArray]]:
    """Nodes of a network from tensor `source` to tensor `name`, and its weights."""
    nodes, arrays = [], {}
    for index, layer in enumerate(weights):
        last = index == len(weights) - 1
        arrays[f"{name}_weight_{index}"] = np.asarray(layer.weight, np.float32)
        arrays[f"{name}_bias_{index}"] = np.asarray(layer.bias, np.float32)
        out = name if last else f"{name}_sum_{index}"
        inputs = [source, f"{name}_weight_{index}", f"{name}_bias_{index}"]
        nodes.append(helper.make_node("Gemm", inputs, [out], transB=1))
        if not last:
            source = f"{name}_hidden_{index}"
            nodes.append(helper.make_node("Tanh", [out], [source]))
    return nodes, arrays


def model(weights: Learned, mode: Mode, metadata: dict[str, str]) -> onnx.ModelProto:
    """Builds the graph."""
    domain = mode.DOMAIN
    states, actions, numbers = len(domain.state), len(domain.limit), len(domain.low)
    low, high = np.array(domain.low), np.array(domain.high)
    span = np.where(high > low, high - low, 1.0)
    arrays = {
        "half_width": np.array([domain.state], np.float32),
        "span": np.array([span / 2], np.float32),
        "centre": np.array([(low + high) / 2], np.float32),
        "limit": -np.array([domain.limit], np.float32),
        "floor": np.array([[lyapunov.FLOOR]], np.float32),
        "gain_shape": np.array([actions, states]),
        "matrix_shape": np.array([states, states]),
    }
    nodes = [
        helper.make_node("Div", ["state", "half_width"], ["scaled"]),
        helper.make_node("Sub", ["configuration", "centre"], ["from_centre"]),
        helper.make_node("Div", ["from_centre", "span"], ["features"]),
        helper.make_node("Concat", ["scaled", "features"], ["inputs"], axis=1),
    ]
    for name, part, source in (
        ("gain", weights.controller, "inputs"),
        ("matrix", weights.lyapunov, "inputs"),
        ("log_level", weights.region, "features"),
    ):
        more, held = dense(name, part, source)
        nodes += more
        arrays.update(held)
    split = ["gain"]
    if not domain.free:
        arrays["sizes"] = np.array([actions * states, actions])
        nodes.append(helper.make_node("Split", ["gain", "sizes"], ["gain_only", "offset"], axis=1))
        split = ["gain_only", "offset"]
    nodes += [
        helper.make_node("Reshape", [split[0], "gain_shape"], ["gains"]),
        helper.make_node("Gemm", ["scaled", "gains", *split[1:]], ["push"], transB=1),
        helper.make_node("Tanh", ["push"], ["limited"]),
        helper.make_node("Mul", ["limited", "limit"], ["action"]),
        helper.make_node("Reshape", ["matrix", "matrix_shape"], ["root"]),
        helper.make_node("Gemm", ["scaled", "root"], ["shaped"], transB=1),
        helper.make_node("ReduceSumSquare", ["shaped"], ["shaped_square"], axes=[1]),
        helper.make_node("ReduceSumSquare", ["scaled"], ["scaled_square"], axes=[1]),
        helper.make_node("Mul", ["scaled_square", "floor"], ["least"]),
        helper.make_node("Add", ["shaped_square", "least"], ["lyapunov_value"]),
        helper.make_node("Exp", ["log_level"], ["region_level"]),
    ]

    return finish(
        nodes,
        arrays,
        {"state": (states,), "configuration": (numbers,)},
        {"action": (actions,), "lyapunov_value": (1,), "region_level": (1,)},
        metadata,
    )


def golden(weights: Learned, mode: Mode, seed: int = 0) -> dict[str, FloatArray]:
    """Random states and configurations of the domain (S, n) and (S, c), and what belongs to them."""
    where, which = jax.random.split(jax.random.key(seed))
    state = mode.DOMAIN.uniform(where, GOLDEN_SAMPLES)
    numbers = mode.DOMAIN.configurations(which, GOLDEN_SAMPLES)
    outputs = (
        controller.act(weights.controller, mode.DOMAIN, state, numbers),
        lyapunov.value(weights.lyapunov, mode.DOMAIN, state, numbers)[None],
        region_of_attraction.level(weights.region, mode, numbers)[None],
    )
    names = ("state", "configuration", *OUTPUTS)
    return {
        name: np.asarray(array, np.float32).T for name, array in zip(names, (state, numbers, *outputs), strict=True)
    }


def finish(
    nodes: list[onnx.NodeProto],
    arrays: dict[str, Any],
    inputs: Border,
    outputs: Border,
    metadata: dict[str, str],
) -> onnx.ModelProto:
    """Makes a model of nodes, weights by name, and what goes in and out."""

    def border(of: Border) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *shape)) for name, shape in of.items()]

    graph = helper.make_graph(
        nodes,
        "haltere_hybrid",
        border(inputs),
        border(outputs),
        [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    made.producer_name = "haltere"
    helper.set_model_props(made, metadata)
    return made


def write(path: Path, weights: Learned, mode: Mode, card: dict[str, Any]) -> Path:
    """Writes the file, and reads it back; arguments and errors as of `save`."""
    build = partial(model, weights, mode)
    return save(path, weights, build, golden(weights, mode), {**card, "domain": mode.DOMAIN._asdict()})


def save(
    path: Path,
    weights: Any,
    build: Callable[[dict[str, str]], onnx.ModelProto],
    samples: dict[str, FloatArray],
    card: dict[str, Any],
    contract: str = CONTRACT,
    repeat: Callable[[bytes], float] | None = None,
) -> Path:
    """Writes a file, and reads it back.

    Args:
      path: the `.onnx` file.
      weights: any pytree; all must be finite.
      build: makes the model with given metadata.
      samples: golden vectors.
      card: what the file says about itself.
      contract: name of it.
      repeat: largest error of golden vectors that ONNX Runtime repeats from these bytes; default a hybrid controller's.
    Raises:
      ExportError: a weight is not finite, or ONNX Runtime does not repeat the golden vectors.
    """
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(weights)):
        raise ExportError("weights are not finite: training diverged, train again")
    coded = {
        name: {"shape": array.shape, "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}
        for name, array in samples.items()
    }
    made = build(
        {
            "haltere.contract": contract,
            "haltere.card": json.dumps(card),
            "haltere.golden": json.dumps(coded),
        }
    )
    onnx.checker.check_model(made, full_check=True)
    content = made.SerializeToString(deterministic=True)
    error = repeat(content) if repeat else golden_error(HybridPolicy(content), samples)
    if not error <= TOLERANCE:
        raise ExportError(f"ONNX Runtime differs from JAX by {error:.2g}: expected at most {TOLERANCE:g}")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    scratch.write_bytes(content)
    scratch.replace(path)
    return path


def load_model(path: Path) -> onnx.ModelProto:
    """Reads a graph.

    Raises:
      PolicyFileError: it cannot be read.
    """
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise PolicyFileError(f"cannot read {path}: {error}") from error


def name_of(path: Path) -> str:
    """The name of the system for which a file was learned, as its card has it.

    Raises:
      PolicyFileError: the file cannot be read, or is none of a hybrid controller.
    """
    return str(read_hybrid(path).card.get("name", ""))


def read(path: Path, mode: Mode) -> Learned:
    """Reads the networks back for JAX.

    Raises:
      PolicyFileError: the file cannot be read, or belongs to another mode or domain.
    """
    made = load_model(path)
    props = {entry.key: entry.value for entry in made.metadata_props}
    told = json.loads(props.get("haltere.card", "{}")).get("domain", {})
    wanted = json.loads(json.dumps(mode.DOMAIN._asdict()))
    if props.get("haltere.contract") != CONTRACT or told != wanted:
        raise PolicyFileError(f"{path} was not learned for this mode and domain: train it again")
    arrays = {entry.name: jnp.asarray(numpy_helper.to_array(entry)) for entry in made.graph.initializer}
    like = learned.draw(jax.random.key(0), mode)

    def network(name: str, part: Any) -> Any:
        return tuple(
            layer._replace(weight=arrays[f"{name}_weight_{index}"], bias=arrays[f"{name}_bias_{index}"])
            for index, layer in enumerate(part)
        )

    return Learned(
        network("gain", like.controller), network("matrix", like.lyapunov), network("log_level", like.region)
    )
