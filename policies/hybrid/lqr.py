"""Linear quadratic regulator of a hybrid plant's mode, sampled with Euler's method."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_discrete_are

from haltere.policies.plants.hybrid import Configuration, HybridSystem


def linearise(
    system: HybridSystem[Configuration], mode: int, state: jax.Array, action: jax.Array, configuration: Configuration
) -> tuple[jax.Array, jax.Array]:
    """Jacobians of the flow by state and by action.

    Args:
      system: the plant.
      mode: of it.
      state: (n, V).
      action: (m, V).
      configuration: of V.
    Returns:
      (V, n, n) and (V, n, m), in continuous time.
    """

    def alone(x: jax.Array, u: jax.Array, p: Configuration) -> jax.Array:
        one = jax.tree.map(lambda leaf: leaf[..., None], p)
        return system.flow(mode, x[:, None], u[:, None], one)[:, 0]

    slopes = jax.jit(jax.vmap(jax.jacobian(alone, argnums=(0, 1)), in_axes=(-1, -1, -1)))
    by_state, by_action = slopes(state, action, configuration)
    return by_state, by_action


def gain(a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray, period_s: float) -> np.ndarray:
    """The gain K of u = -K x that minimises the sum of x'Qx + u'Ru over all periods.

    Args:
      a: (V, n, n) Jacobian by state, continuous time.
      b: (V, n, m) Jacobian by action.
      q: (n, n).
      r: (m, m).
      period_s: of the controller; the plant is taken as x + period (a x + b u).
    Returns:
      (V, m, n) float64.
    """
    found = []
    for slope, push in zip(np.asarray(a, np.float64), np.asarray(b, np.float64), strict=True):
        step, hold = np.eye(len(slope)) + period_s * slope, period_s * push
        value = solve_discrete_are(step, hold, q, r)
        found.append(np.linalg.solve(hold.T @ value @ hold + r, hold.T @ value @ step))
    return np.stack(found)


def regulate(gains: jax.Array, error: jax.Array, limit: jax.Array | float) -> jax.Array:
    """-K x within the limits.

    Args:
      gains: (V, m, n).
      error: (n, V).
      limit: largest size of the action; (m, V) or a number.
    Returns:
      (m, V).
    """
    return jnp.clip(-jnp.einsum("vmn,nv->mv", gains, error), -limit, limit)
