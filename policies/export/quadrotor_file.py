"""Writes the quadrotor's Lyapunov function and regions of attraction as one ONNX graph.

`(state, configuration) -> (lyapunov_value, region_level)`, batch of one, float32, opset 17. The state is what the
foundation policy sees: observation (22) and hidden state (19); the configuration is a one-hot of the modes.
"""

from __future__ import annotations

import json
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
from haltere.policies.foundation import student
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import Population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.quadrotor_training import LearnedModes

NAME = "quadrotor"


def model(learned: LearnedModes, metadata: dict[str, str]) -> onnx.ModelProto:
    """Builds the graph."""
    square, tilt = np.zeros((modes.SEEN, 1), np.float32), np.zeros((modes.SEEN, 1), np.float32)
    square[:3], square[12:15], square[15:18] = (size**-2 for size in (modes.SIZE_M, modes.SIZE_M_S, modes.SIZE_RAD_S))
    tilt[11] = -2 / modes.SIZE_RAD**2
    arrays = {
        "widths": np.array([lyapunov.WIDTHS], np.float32),
        "square": square,
        "floor": np.array([lyapunov.FLOOR], np.float32),
        "tilt": tilt,
        "upright": np.array([2 / modes.SIZE_RAD**2], np.float32),
        "log_levels": np.asarray(learned.log_levels, np.float32)[:, None],
    }
    nodes = [
        helper.make_node("Div", ["state", "widths"], ["scaled"]),
        helper.make_node("Concat", ["scaled", "configuration"], ["inputs"], axis=1),
    ]
    more, held = hybrid_file.dense("log_ratio", learned.lyapunov, "inputs")
    nodes += more
    arrays.update(held)
    nodes += [
        helper.make_node("Mul", ["state", "state"], ["squares"]),
        helper.make_node("Gemm", ["squares", "square", "floor"], ["moving"]),
        helper.make_node("Gemm", ["state", "tilt", "upright"], ["leaning"]),
        helper.make_node("Relu", ["leaning"], ["tilted"]),
        helper.make_node("Add", ["moving", "tilted"], ["size"]),
        helper.make_node("Exp", ["log_ratio"], ["ratio"]),
        helper.make_node("Mul", ["size", "ratio"], ["lyapunov_value"]),
        helper.make_node("MatMul", ["configuration", "log_levels"], ["log_level"]),
        helper.make_node("Exp", ["log_level"], ["region_level"]),
    ]
    inputs: hybrid_file.Border = {"state": (modes.SEEN,), "configuration": (len(modes.MODES),)}
    return hybrid_file.finish(nodes, arrays, inputs, {"lyapunov_value": (1,), "region_level": (1,)}, metadata)


def golden(
    learned: LearnedModes, policy: student.Policy, population: Population, seed: int = 0
) -> dict[str, FloatArray]:
    """States (S, 38) of flights, modes (S, 5), and what belongs to them."""
    count = hybrid_file.GOLDEN_SAMPLES
    key, line = jax.random.key(seed), clean_line(count)
    mode = jnp.arange(count) % len(modes.MODES)
    hover = flights.hovering(policy, key, count, population, line)
    flown, _ = flights.flown_from(policy, key, hover, mode, jnp.ones(count), line)
    tick = jnp.arange(count) // len(modes.MODES)
    seen = jnp.take_along_axis(flown.seen, tick[None, None], axis=0)[0]
    which = lyapunov.one_hot(mode)
    value = jnp.exp(lyapunov.log_value(learned.lyapunov, seen, which))
    found = (seen, which, value[None], jnp.exp(learned.log_levels)[mode][None])
    names = ("state", "configuration", "lyapunov_value", "region_level")
    return {name: np.asarray(array, np.float32).T for name, array in zip(names, found, strict=True)}


def write(
    path: Path, learned: LearnedModes, policy: student.Policy, population: Population, card: dict[str, Any]
) -> Path:
    """Writes the file, and reads it back; errors as of `hybrid_file.save`.

    Args:
      path: the `.onnx` file.
      learned: what it holds.
      policy: of which it speaks.
      population: of vehicles.
      card: what the file says about itself.
    """
    told = {
        **card,
        "name": NAME,
        "state": "observation (22), as of the policy's contract; hidden state (19) before the step",
        "configuration": f"one-hot of {', '.join(modes.MODES)}",
        "levels": dict(zip(modes.MODES, np.exp(np.asarray(learned.log_levels)).round(4).tolist(), strict=True)),
    }
    samples = golden(learned, policy, population)
    return hybrid_file.save(path, learned, partial(model, learned), samples, told)


def read(path: Path) -> LearnedModes:
    """Reads V and the levels back for JAX.

    Raises:
      PolicyFileError: the file cannot be read, or is of another system.
    """
    if hybrid_file.name_of(path) != NAME:
        raise PolicyFileError(f"{path} is not the quadrotor's: make one with `haltere train quadrotor`")
    made = hybrid_file.load_model(path)
    props = {entry.key: entry.value for entry in made.metadata_props}
    if list(json.loads(props["haltere.card"]).get("levels", {})) != list(modes.MODES):
        raise PolicyFileError(f"{path} has other modes than {', '.join(modes.MODES)}: train it again")
    arrays = {entry.name: jnp.asarray(numpy_helper.to_array(entry)) for entry in made.graph.initializer}
    network = tuple(
        layer._replace(weight=arrays[f"log_ratio_weight_{index}"], bias=arrays[f"log_ratio_bias_{index}"])
        for index, layer in enumerate(lyapunov.draw(jax.random.key(0)))
    )
    return LearnedModes(network, arrays["log_levels"][:, 0])
