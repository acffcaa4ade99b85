"""The linear regulator of a return map, as a file would hold it: constant gains, a quadratic V, one level.

What is learned is compared with it by the same programs: a linear law is a controller whose network is constant, and a
quadratic form is a Lyapunov function whose network is.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_discrete_are

from haltere.policies.hybrid import learned, lyapunov, polish
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.network import Network

ITERATIONS = 12
"""Of Gauss and Newton, to the action that keeps the equilibrium."""


def _constant(like: Network, value: np.ndarray) -> Network:
    """A network that gives `value` everywhere."""
    last = like[-1]._replace(weight=jnp.zeros_like(like[-1].weight), bias=jnp.asarray(value, like[-1].bias.dtype))
    return (*like[:-1], last)


def regulator(mode: Mode, near: Network, numbers: jax.Array) -> Learned:
    """Controller -K z and V = z' P z of the regulator with unit weights, of errors in half widths, actions in limits.

    Actions saturate smoothly at their limits, as those of a learned controller do. The level is that of the largest
    ellipsoid in the domain.

    Args:
      mode: a return map.
      near: a controller that nearly keeps the equilibrium; from its action the right one is found.
      numbers: (c, 1) of the configuration; the regulator is that of this one alone.
    """
    domain, zero = mode.DOMAIN, jnp.zeros((len(mode.DOMAIN.state), 1))
    near = jax.tree.map(lambda leaf: jnp.asarray(leaf, numbers.dtype), near)
    held = polish.improve(mode, ITERATIONS, near, zero, numbers)
    limit = jnp.asarray(domain.limit)[:, None]

    def after(scaled: jax.Array) -> jax.Array:
        moved = mode.step(numbers, jnp.asarray(domain.state)[:, None] * scaled[:, None], limit * held.action)
        return domain.scaled(moved)[:, 0]

    a = np.asarray(jax.jacfwd(after)(zero[:, 0]), np.float64)
    b, kept = np.asarray(held.slope[0], np.float64), np.asarray(held.action, np.float64)
    value = solve_discrete_are(a, b, np.eye(len(a)), np.eye(b.shape[1]))
    gain = np.linalg.solve(b.T @ value @ b + np.eye(b.shape[1]), b.T @ value @ a)
    # u = -limit tanh(G z + h) has the slope -limit (1 - u^2) G at the equilibrium.
    gain = gain / (1 - kept**2)
    offset = -np.arctanh(kept[:, 0])
    like = learned.draw(jax.random.key(0), mode)
    push = gain.ravel() if domain.free else np.concatenate([gain.ravel(), offset])
    level = 1 / np.diag(np.linalg.inv(value)).max()
    root = np.linalg.cholesky(value - lyapunov.FLOOR * np.eye(len(a))).T
    return Learned(
        _constant(like.controller, push),
        _constant(like.lyapunov, root.ravel()),
        _constant(like.region, np.log([level])),
    )
