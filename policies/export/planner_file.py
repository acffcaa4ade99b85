"""Writes the car's learned planner as one ONNX graph, with golden vectors inside.

`(state, ahead) -> (speed, offset)`, batch of one, float32, opset 17.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import helper, numpy_helper

from haltere.policies.contract import FloatArray
from haltere.policies.errors import PolicyFileError
from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import car_planner, references, roads
from haltere.policies.hybrid.network import Layer, Network
from haltere.policies.planner_policy import CONTRACT, PlannerPolicy, golden_error, read_planner

GOLDEN_SAMPLES = 64
FASTEST, SLOWEST = car_planner.HALF.index("fastest_m_s"), car_planner.HALF.index("slowest_m_s")


def model(weights: Network, metadata: dict[str, str]) -> onnx.ModelProto:
    """Builds the graph."""
    states, rows, columns = len(car_planner.STATE), car_planner.AHEAD, len(car_planner.HALF)
    arrays = {
        "state_centre": np.array([car_planner.STATE_CENTRE], np.float32),
        "state_scale": np.array([car_planner.STATE_SCALE], np.float32),
        "half_centre": np.array(car_planner.HALF_CENTRE, np.float32),
        "half_scale": np.array(car_planner.HALF_SCALE, np.float32),
        "widest": np.array([[references.OFFSET_M]], np.float32),
        "first": np.array(0),
        "slowest_at": np.array([SLOWEST]),
        "fastest_at": np.array([FASTEST]),
        "speed_at": np.array([0]),
        "offset_at": np.array([1]),
    }
    network, held = hybrid_file.dense("choice", weights, "inputs")
    arrays.update(held)
    nodes = [
        helper.make_node("Sub", ["state", "state_centre"], ["state_moved"]),
        helper.make_node("Div", ["state_moved", "state_scale"], ["state_features"]),
        helper.make_node("Sub", ["ahead", "half_centre"], ["ahead_moved"]),
        helper.make_node("Div", ["ahead_moved", "half_scale"], ["ahead_scaled"]),
        helper.make_node("Flatten", ["ahead_scaled"], ["ahead_features"]),
        helper.make_node("Concat", ["state_features", "ahead_features"], ["inputs"], axis=1),
        *network,
        helper.make_node("Gather", ["ahead", "first"], ["next"], axis=1),
        helper.make_node("Gather", ["next", "slowest_at"], ["slowest"], axis=1),
        helper.make_node("Gather", ["next", "fastest_at"], ["fastest"], axis=1),
        helper.make_node("Gather", ["choice", "speed_at"], ["speed_choice"], axis=1),
        helper.make_node("Gather", ["choice", "offset_at"], ["offset_choice"], axis=1),
        helper.make_node("Sub", ["fastest", "slowest"], ["span"]),
        helper.make_node("Sigmoid", ["speed_choice"], ["share"]),
        helper.make_node("Mul", ["span", "share"], ["above"]),
        helper.make_node("Add", ["slowest", "above"], ["speed"]),
        helper.make_node("Tanh", ["offset_choice"], ["aside"]),
        helper.make_node("Mul", ["aside", "widest"], ["offset"]),
    ]

    inputs: hybrid_file.Border = {"state": (states,), "ahead": (rows, columns)}
    return hybrid_file.finish(nodes, arrays, inputs, {"speed": (1,), "offset": (1,)}, metadata)


def golden(weights: Network, seed: int = 0) -> dict[str, FloatArray]:
    """States (S, 7) at random places of random roads, the half pieces ahead (S, H, 6), and the references there."""
    halves = references.along(roads.published(GOLDEN_SAMPLES, roads.SEED + 1 + seed), car_planner.AHEAD)
    index = np.random.default_rng(seed).integers(0, 2 * roads.PIECES, GOLDEN_SAMPLES)
    at, cars = index + np.arange(car_planner.AHEAD)[:, None], np.arange(GOLDEN_SAMPLES)
    view = references.References(
        *(
            jnp.asarray(array[at, cars] if array.ndim == 2 else array[at, :, cars].swapaxes(1, 2))
            for array in map(np.asarray, halves)
        )
    )
    noise = 0.5 * jax.random.normal(jax.random.key(seed), (len(car_planner.STATE), GOLDEN_SAMPLES))
    world = noise.at[:2].add(view.begin[0]).at[3].add(8.0)
    state, ahead = car_planner.observe(view, world)
    first = jax.tree.map(lambda leaf: leaf[0], view)
    speed, offset = first.within(car_planner.choose(weights, view, world))
    return {
        "state": np.asarray(state, np.float32).T,
        "ahead": np.asarray(ahead, np.float32).transpose(2, 0, 1),
        "speed": np.asarray(speed, np.float32)[:, None],
        "offset": np.asarray(offset, np.float32)[:, None],
    }


def write(path: Path, weights: Network, card: dict[str, Any]) -> Path:
    """Writes the file, and reads it back; arguments and errors as of `hybrid_file.save`."""
    samples = golden(weights)
    told = {**card, "state": car_planner.STATE, "ahead": car_planner.HALF, "halves_ahead": car_planner.AHEAD}

    def repeat(content: bytes) -> float:
        return golden_error(PlannerPolicy(content), samples)

    return hybrid_file.save(path, weights, partial(model, weights), samples, told, CONTRACT, repeat)


def read(path: Path, controller: bytes | None = None) -> Network:
    """Reads the network back for JAX; arguments as of `read_planner`.

    Raises:
      PolicyFileError: as of `read_planner`, or it sees other numbers than this version.
    """
    file = read_planner(path, controller)
    wanted = [list(car_planner.STATE), list(car_planner.HALF), car_planner.AHEAD]
    if [file.card.get(name) for name in ("state", "ahead", "halves_ahead")] != wanted:
        raise PolicyFileError(f"{path} sees other numbers than this version gives: train it again")
    made = onnx.load_from_string(file.content)
    arrays = {entry.name: jnp.asarray(numpy_helper.to_array(entry)) for entry in made.graph.initializer}
    count = sum(name.startswith("choice_weight_") for name in arrays)
    return tuple(Layer(arrays[f"choice_weight_{index}"], arrays[f"choice_bias_{index}"]) for index in range(count))
