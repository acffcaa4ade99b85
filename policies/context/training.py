"""Trains the networks with Adam on labelled features."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from haltere.policies.context.networks import Attention, Perceptron

Network = TypeVar("Network", Perceptron, Attention)
Loss = Callable[[jax.Array, jax.Array], jax.Array]


def cross_entropy(scores: jax.Array, label: jax.Array) -> jax.Array:
    """Mean cross entropy of scores (N, C) and classes (N,)."""
    return jnp.asarray(optax.softmax_cross_entropy_with_integer_labels(scores, label).mean())


def squared(scores: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error of scores (N, C) and targets (N, C)."""
    return ((scores - target) ** 2).mean()


def train(
    network: Network,
    inputs: np.ndarray,
    targets: np.ndarray,
    loss: Loss,
    steps: int = 3000,
    batch: int = 512,
    seed: int = 0,
) -> Network:
    """Trains a network.

    Args:
      network: as drawn.
      inputs: (M, ...) standardised.
      targets: (M,) classes or (M, C) numbers.
      loss: of scores and targets.
      steps: of Adam, at a cosine from 3e-3.
      batch: samples a step.
      seed: of the batches.
    """
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(3e-3, steps), weight_decay=1e-4)
    )
    data, wanted = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets)

    @jax.jit
    def step(network: Network, state: optax.OptState, key: jax.Array) -> tuple[Network, optax.OptState]:
        chosen = jax.random.randint(key, (batch,), 0, len(data))
        gradient = jax.grad(lambda net: loss(net(data[chosen]), wanted[chosen]))(network)
        update, state = optimiser.update(gradient, state, network)
        return optax.apply_updates(network, update), state

    state = optimiser.init(network)
    for key in jax.random.split(jax.random.key(seed), steps):
        network, state = step(network, state, key)
    return network
