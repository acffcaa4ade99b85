"""The networks that tell contexts apart and predict losses: pure functions on pytrees."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

HIDDEN = 32
KEYS = 16


class Perceptron(NamedTuple):
    """One hidden layer. Attributes: (H, F), (H,), (C, H), (C,)."""

    hidden_weight: jax.Array
    hidden_bias: jax.Array
    class_weight: jax.Array
    class_bias: jax.Array

    def __call__(self, features: jax.Array) -> jax.Array:
        """Returns scores (N, C) of standardised features (N, F)."""
        hidden = jax.nn.relu(features @ self.hidden_weight.T + self.hidden_bias)
        return hidden @ self.class_weight.T + self.class_bias


class Attention(NamedTuple):
    """The newest features ask those of the last second, and a perceptron judges both.

    Attributes:
      query, key, value: (16, F).
      judge: of 2 x 16 numbers.
    Source: Vaswani et al. 2017, eq. 1, one head.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    judge: Perceptron

    def __call__(self, window: jax.Array) -> jax.Array:
        """Returns scores (N, C) of a window of standardised features (N, T, F), the newest last."""
        asked = window[:, -1] @ self.query.T
        fit = jnp.einsum("nk,ntk->nt", asked, window @ self.key.T) / KEYS**0.5
        heard = jnp.einsum("nt,ntk->nk", jax.nn.softmax(fit), window @ self.value.T)
        return self.judge(jnp.concatenate([asked, heard], axis=1))


def perceptron(key: jax.Array, inputs: int, outputs: int, hidden: int = HIDDEN) -> Perceptron:
    """Draws a perceptron (He et al. 2015)."""
    first, second = jax.random.split(key)
    return Perceptron(
        jax.random.normal(first, (hidden, inputs)) * (2 / inputs) ** 0.5,
        jnp.zeros(hidden),
        jax.random.normal(second, (outputs, hidden)) * (2 / hidden) ** 0.5,
        jnp.zeros(outputs),
    )


def attention(key: jax.Array, inputs: int, outputs: int) -> Attention:
    """Draws an attention network."""
    keys = jax.random.split(key, 4)
    query, asked, value = (jax.random.normal(one, (KEYS, inputs)) * (1 / inputs) ** 0.5 for one in keys[:3])
    return Attention(query, asked, value, perceptron(keys[3], 2 * KEYS, outputs))
