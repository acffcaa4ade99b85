"""The deterministic policy that reinforcement learning leaves: the hyperbolic tangent of the mean, in the limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import PolicyFileError
from haltere.policies.hybrid import network
from haltere.policies.hybrid.network import Layer, Network


class PolicyFile(NamedTuple):
    """A file's content.

    Attributes:
      weights: of the policy; the normalisation of its observations is folded into the first layer.
      card: where it came from, and its learning curve.
    """

    weights: Network
    card: dict[str, Any]


def act(weights: Network, observation: jax.Array, limit: tuple[float, ...]) -> jax.Array:
    """Actions (m, V) for observations (o, V)."""
    return jnp.asarray(limit)[:, None] * jnp.tanh(network.apply(weights, observation))


def write(path: Path, weights: Network, card: dict[str, Any]) -> Path:
    """Writes weights and card: arrays of an `.npz`.

    Raises:
      PolicyFileError: the file cannot be written.
    """
    arrays: dict[str, Any] = {"card": np.array(json.dumps(card))}
    for index, layer in enumerate(weights):
        arrays[f"weight_{index}"] = np.asarray(layer.weight, np.float32)
        arrays[f"bias_{index}"] = np.asarray(layer.bias, np.float32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise PolicyFileError(f"cannot write {path}: {error.strerror}") from error
    return path


def read(path: Path, observation_size: int) -> PolicyFile:
    """Reads a file back.

    Args:
      path: of the file.
      observation_size: that its policy must have.
    Raises:
      PolicyFileError: it cannot be read, or its policy sees other numbers than this version gives.
    """
    try:
        with np.load(path) as arrays:
            count = sum(name.startswith("weight_") for name in arrays)
            layers = tuple(
                Layer(jnp.asarray(arrays[f"weight_{index}"]), jnp.asarray(arrays[f"bias_{index}"]))
                for index in range(count)
            )
            card = json.loads(str(arrays["card"]))
    except (OSError, ValueError, KeyError) as error:
        raise PolicyFileError(f"cannot read {path}: no policy of `haltere train baseline` ({error})") from error
    if not layers or layers[0].weight.shape[1] != observation_size:
        raise PolicyFileError(f"{path} sees other numbers than this version gives: train it again")
    return PolicyFile(layers, card)
