"""What the hidden state is asked to know of the vehicle while it learns to fly.

The share of a trait's variance that no linear probe reads from the hidden states of a batch is made small beside the
cost of flying. The probe is fitted to each batch anew, in closed form: it is no part of the policy, and has no weights
to learn. Since it is the best one for its batch, the gradient need not go through the fit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.foundation.probe import full_thrust_to_weight
from haltere.policies.foundation.spread import AXIS
from haltere.policies.plants.quadrotor import Quadrotor

LARGEST_THRUST_TO_WEIGHT = 5.0
"""Stronger vehicles are not asked about: their few large values would be all that counts."""
RIDGE = 1e-4


def unexplained(vehicle: Quadrotor, hidden: jax.Array, alive: jax.Array) -> jax.Array:
    """Share of the variance of the thrust-to-weight ratio that a linear probe of the hidden states leaves: ().

    Called where the vehicles are shared by devices along `AXIS`: all of them fit one probe; the mean over the devices
    of what each returns is the share.

    Args:
      vehicle: V vehicles of this device, in their present condition.
      hidden: (T, n, V) hidden states.
      alive: (V,) bool; others do not count.
    """
    target = full_thrust_to_weight(vehicle)
    counts = jnp.where(alive & (target <= LARGEST_THRUST_TO_WEIGHT), 1.0, 0.0)
    every, size = len(hidden), hidden.shape[1] + 1
    states = jnp.concatenate([hidden, jnp.ones_like(hidden[:, :1])], 1)

    seen = jax.lax.stop_gradient(states)
    number, total = jax.lax.psum((counts.sum(), counts @ target), AXIS)
    centred = target - total / jnp.maximum(number, 1.0)
    gram, moment, spread = jax.lax.psum(
        (
            jnp.einsum("tnv,tmv,v->nm", seen, seen, counts) / every,
            jnp.einsum("tnv,v->n", seen, counts * centred) / every,
            counts @ centred**2,
        ),
        AXIS,
    )
    probe = jnp.linalg.solve(gram + RIDGE * number * jnp.eye(size), moment)
    wrong = ((jnp.einsum("n,tnv->tv", probe, states) - centred) ** 2).mean(0)
    share: jax.Array = jax.lax.psum(1.0, AXIS) * (counts @ wrong) / jnp.maximum(spread, 1e-6)
    return share
