"""The neural Lyapunov function of a mode: V(x, p) = |R(x, p) z|^2 + floor |z|^2, with z the state in half widths.

R is a square matrix that a network gives. V is zero at the equilibrium, and floor |z|^2 <= V <= (floor + r^2) |z|^2,
where r bounds the Frobenius norm of R; its decrease along the closed loop is what is learned.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import network
from haltere.policies.hybrid.domain import Domain
from haltere.policies.hybrid.network import Network

HIDDEN = 64
FLOOR = 0.01


def draw(key: jax.Array, domain: Domain, hidden: int = HIDDEN) -> Network:
    """An untrained function: V is about |z|^2."""
    states = len(domain.state)
    layers = network.draw(key, (states + len(domain.low), hidden, hidden, states * states))
    return (*layers[:-1], layers[-1]._replace(bias=jnp.eye(states).ravel()))


def value(weights: Network, domain: Domain, state: jax.Array, numbers: jax.Array) -> jax.Array:
    """V (V,) at states (n, V), for configurations of numbers (c, V)."""
    return of_root(network.apply(weights, domain.inputs(state, numbers)), domain.scaled(state))


def of_root(root: jax.Array, scaled: jax.Array) -> jax.Array:
    """V (V,) by the network's output (n n, V), at states (n, V) in half widths."""
    matrix = root.reshape(len(scaled), len(scaled), -1)
    return (jnp.einsum("ijv,jv->iv", matrix, scaled) ** 2).sum(0) + FLOOR * (scaled**2).sum(0)


def shape(weights: Network, domain: Domain, numbers: jax.Array) -> jax.Array:
    """P (V, n, n) with V = z' P z to second order at the equilibrium, z in half widths, for numbers (c, V)."""
    states = len(domain.state)
    flat = network.apply(weights, domain.inputs(jnp.zeros((states, numbers.shape[1])), numbers))
    root = flat.T.reshape(-1, states, states)
    return jnp.swapaxes(root, -1, -2) @ root + FLOOR * jnp.eye(states)


def bounds(weights: Network) -> tuple[float, float]:
    """(alpha, beta) with alpha |z| <= sqrt(V) <= beta |z| everywhere: the hidden layer lies in [-1, 1]."""
    last = weights[-1]
    largest = jnp.abs(last.bias) + jnp.abs(last.weight).sum(1)
    return FLOOR**0.5, float(jnp.sqrt(FLOOR + (largest**2).sum()))
