"""Small dense networks as plain pytrees, layout `(feature, V)`: weights multiply from the left."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

STEEPEST_BEND = 0.77
"""Largest second derivative of the hyperbolic tangent, 4 / (3 sqrt 3)."""


class Layer(NamedTuple):
    """One dense layer.

    Attributes:
      weight: (outputs, inputs).
      bias: (outputs,).
    """

    weight: jax.Array
    bias: jax.Array


Network = tuple[Layer, ...]


def draw(key: jax.Array, sizes: tuple[int, ...], last: float = 0.1) -> Network:
    """Glorot-uniform weights, those of the last layer times `last`; no bias.

    Args:
      key: random.
      sizes: inputs, hidden layers, outputs.
      last: factor.
    """
    layers = []
    initial = jax.nn.initializers.glorot_uniform()
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weight = initial(jax.random.fold_in(key, index), (outputs, inputs))
        layers.append(Layer(last * weight if index == len(sizes) - 2 else weight, jnp.zeros(outputs)))
    return tuple(layers)


def apply(network: Network, inputs: jax.Array) -> jax.Array:
    """Dense layers with tanh between them: (inputs, V) -> (outputs, V)."""
    *hidden, last = network
    x = inputs
    for layer in hidden:
        x = jnp.tanh(layer.weight @ x + layer.bias[:, None])
    return last.weight @ x + last.bias[:, None]


def bend(network: Network, inputs: int) -> jax.Array:
    """How fast a network's slopes by the first of its inputs may change with these, () per unit, mean over the slopes.

    The bound that interval arithmetic would find: sizes of weights, and the largest derivatives of the hyperbolic
    tangent. Small, it makes a network that bounds can be proved of.
    """
    first, *others = network
    slope = jnp.abs(first.weight[:, :inputs])
    reach, change = slope.sum(1), jnp.zeros_like(slope)
    for layer in others:
        size = jnp.abs(layer.weight)
        change = size @ (change + STEEPEST_BEND * reach[:, None] * slope)
        slope, reach = size @ slope, size @ reach
    return change.mean()
