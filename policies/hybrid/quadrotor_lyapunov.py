"""The quadrotor's Lyapunov function, of what the policy sees: V = (floor + |e|^2) exp(N(observation, hidden, mode)).

|e|^2 is the square of distance, speed, tilt and rate, each over its size; N is a network. There is no one equilibrium:
every vehicle hovers at its own rotor speeds and hidden state, and V is least on the set of all of these.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.hybrid import network
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.network import Network

HIDDEN = 96
FLOOR = 0.01
WIDTHS = (*(1.0,) * 3, *(1.0,) * 9, *(3.0,) * 3, *(5.0,) * 3, *(1.0,) * (modes.SEEN - 18))
"""Scale of each number of the state: m, 1, m/s, rad/s, 1."""


def draw(key: jax.Array, hidden: int = HIDDEN) -> Network:
    """An untrained function."""
    return network.draw(key, (modes.SEEN + len(modes.MODES), hidden, hidden, 1))


def one_hot(mode: jax.Array) -> jax.Array:
    """Modes (V,) as the network sees them, (5, V)."""
    return jax.nn.one_hot(mode, len(modes.MODES), axis=0)


def log_value(weights: Network, seen: jax.Array, which: jax.Array) -> jax.Array:
    """Logarithm of V, (V,), of states (41, V) in modes (5, V), as of `one_hot`."""
    inputs = jnp.concatenate([seen / jnp.asarray(WIDTHS)[:, None], which])
    return jnp.log(FLOOR + modes.size(seen)) + network.apply(weights, inputs)[0]
