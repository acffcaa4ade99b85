"""The neural controller of a mode: gains that depend on state and configuration, in a smooth limit.

u = -limit tanh(K(x, p) z + b(x, p)), with z the state in half widths. A linear law is a constant K; where the
equilibrium needs no action there is no b, so that the controller keeps it exactly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import network
from haltere.policies.hybrid.domain import Domain
from haltere.policies.hybrid.network import Network

HIDDEN = 64


def draw(key: jax.Array, domain: Domain, hidden: int = HIDDEN) -> Network:
    """An untrained controller."""
    states, actions = len(domain.state), len(domain.limit)
    outputs = actions * states if domain.free else actions * (states + 1)
    return network.draw(key, (states + len(domain.low), hidden, hidden, outputs))


def gains(weights: Network, domain: Domain, state: jax.Array, numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """K(x, p), (m, n, V), of actions in their limits by states in half widths; and b(x, p), (m, V)."""
    return _gains(network.apply(weights, domain.inputs(state, numbers)), domain)


def _gains(out: jax.Array, domain: Domain) -> tuple[jax.Array, jax.Array]:
    actions, states = len(domain.limit), len(domain.state)
    gain = out[: actions * states].reshape(actions, states, -1)
    return gain, jnp.zeros_like(gain[:, 0]) if domain.free else out[actions * states :]


def act(weights: Network, domain: Domain, state: jax.Array, numbers: jax.Array) -> jax.Array:
    """Actions within their limits.

    Args:
      weights: of the network.
      domain: of the mode.
      state: (n, V).
      numbers: (c, V) of the configuration.
    Returns:
      (m, V).
    """
    return of_output(network.apply(weights, domain.inputs(state, numbers)), domain, domain.scaled(state))


def of_output(out: jax.Array, domain: Domain, scaled: jax.Array) -> jax.Array:
    """Actions (m, V) by the network's output, at states (n, V) in half widths."""
    gain, offset = _gains(out, domain)
    push = jnp.einsum("mnv,nv->mv", gain, scaled) + offset
    return -jnp.asarray(domain.limit)[:, None] * jnp.tanh(push)
