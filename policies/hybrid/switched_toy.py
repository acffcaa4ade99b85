"""A switched system of two spirals: each mode is stable, switching between them fast is not.

dx/dt = A_i x in the plane. The claims say what makes slow switching safe: in each mode V_i decreases at a rate, and
after a dwell time every state of a mode's level set has come into the other mode's.

Source: Branicky 1998, Multiple Lyapunov functions and other analysis tools for switched and hybrid systems, ex. 2.1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

from haltere.policies.hybrid.certificate import Claim
from haltere.policies.hybrid.decrease import Function

MODES = (np.array([[-0.1, 1.0], [-10.0, -0.1]]), np.array([[-0.1, 10.0], [-1.0, -0.1]]))
"""The published matrices over ten: the same spirals, in slower time."""
BOX = np.array([1.0, 1.0])
"""Half widths of the domain."""
HOLE = 0.05
"""Decrease is claimed outside of this share of the level set's value: at the equilibrium itself V cannot decrease."""


def shape(mode: int) -> np.ndarray:
    """P (2, 2) of V_i = x' P x, with dV_i/dt = -|x|^2, scaled so that {V_i <= 1} is the largest in the box."""
    solved = solve_continuous_lyapunov(MODES[mode].T, -np.eye(2))
    return np.asarray(solved * np.diag(np.linalg.inv(solved)).max() / BOX[0] ** 2)


def value(mode: int, state: jax.Array) -> jax.Array:
    """V_i () at a state (2,)."""
    return (state * (jnp.asarray(shape(mode)) @ state)).sum()


def step(parameters: tuple[jax.Array, jax.Array], state: jax.Array) -> jax.Array:
    """A mode for one period, (2,) -> (2,); parameters as of `sampled`."""
    return parameters[0] @ state


def root(parameters: tuple[jax.Array, jax.Array], state: jax.Array) -> jax.Array:
    """R (2, 2) with V_i = |R x|^2."""
    return parameters[1]


SAMPLED = Function(step, root, 0.0)


def sampled(mode: int, period_s: float) -> tuple[jax.Array, jax.Array]:
    """The transition matrix of a period, and R."""
    return jnp.asarray(expm(MODES[mode] * period_s)), jnp.asarray(np.linalg.cholesky(shape(mode)).T)


def decrease(mode: int, rate: float) -> Claim:
    """In the level set, outside the hole: dV_i/dt < -rate V_i, 1/s."""

    def quantity(state: jax.Array) -> jax.Array:
        slope = 2 * jnp.asarray(shape(mode)) @ state
        flow = jnp.asarray(MODES[mode]) @ state
        return (slope * flow).sum() + rate * value(mode, state)

    return Claim(quantity, (lambda state: value(mode, state) - 1, lambda state: HOLE - value(mode, state)))


def landing(mode: int, dwell_s: float) -> Claim:
    """After `dwell_s` in a mode, a state from its level set lies inside the other mode's."""
    flown = expm(MODES[mode] * dwell_s)

    def quantity(state: jax.Array) -> jax.Array:
        return value(1 - mode, jnp.asarray(flown) @ state) - 1

    return Claim(quantity, (lambda state: value(mode, state) - 1,))
