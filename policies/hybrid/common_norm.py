"""A norm in which several matrices contract at once: what a loop needs whose pieces may follow in any order.

The norm |T x| is searched by gradient descent on the largest of |T A_s T^-1|, from the eigenvectors of the mean. That
it contracts is not taken on trust; `curvature` proves it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from haltere.policies.hybrid.contraction import frame_of

STEPS, RATE = 1500, 3e-3
SHARP = 2000.0
"""Of the soft maximum over squares of norms."""
WATCHED = 3
"""Largest eigenvalues of each matrix that are held down."""


def common_frame(slopes: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """T (n, n) for matrices (S, n, n).

    Raises:
      ConfigError: their mean has an eigenvalue outside of the unit circle.
    """
    begin = frame_of(slopes.mean(0))
    seen, same = jnp.asarray(begin @ slopes @ np.linalg.inv(begin)), jnp.eye(len(begin))
    rule = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    def largest(change: jax.Array) -> jax.Array:
        moved = (same + change) @ seen @ jnp.linalg.inv(same + change)
        squares = jnp.linalg.eigvalsh(jnp.swapaxes(moved, 1, 2) @ moved)[:, -WATCHED:]
        return jax.nn.logsumexp(SHARP * squares.ravel()) / SHARP

    def one(carry: tuple[jax.Array, optax.OptState], _: None) -> tuple[tuple[jax.Array, optax.OptState], None]:
        change, state = carry
        by, state = rule.update(jnp.nan_to_num(jax.grad(largest)(change)), state)
        return (optax.apply_updates(change, by), state), None

    @jax.jit
    def search(change: jax.Array) -> jax.Array:
        (change, _), _ = jax.lax.scan(one, (change, rule.init(change)), None, length=steps)
        return change

    found = np.asarray(same + search(jnp.zeros_like(same)))
    return np.asarray(found @ begin)
