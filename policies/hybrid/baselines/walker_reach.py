"""The walker by Hamilton-Jacobi reachability: how near to a gait the next impact can be brought, from every state.

For each gait to reach, the value on a grid over (q1, q2, q1_dot, q2_dot) is the least distance, over all torques within
4 N m, between the state just after the next impact and the gait's. The dynamics stand still beyond the guard surface,
where the value is that of the impact; where none is made within the horizon, or only a bad one, the value is `FARTHEST`.
The law lowers the value: full torque against its slope along the input, and less where the slope is slight.

A grid in four dimensions is coarse: a cell is some 0.03 rad and 0.1 rad/s wide, and what is interpolated in it is known
less well than that.

Source: Choi et al. 2022 (RA-L), the same for the same walker with sets in place of distances; Bansal et al. 2017 (CDC),
the equation, and `hj_reachability`, which solves it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import walk
from haltere.policies.hybrid.walk import Law, Plan
from haltere.policies.plants import walker
from haltere.policies.plants.walker import LANDING_ANGLE_RAD, LARGEST_TORQUE_N_M, Gait

NODES = 31
LOW, HIGH = (-0.4, -0.6, -1.7, -3.5), (0.5, 1.1, 0.8, 4.5)
"""Corners of the grid: rad, rad, rad/s, rad/s."""
HORIZON_S = 1.0
FARTHEST = 2.0
LONGEST_BACK_S = 0.15
PROBE_S = 0.05
SOFT = 0.05


class Reach(NamedTuple):
    """Values of G gaits on a grid.

    Attributes:
      angle: (G,) rad, of the gaits to reach.
      value: (G, n, n, n, n) over (q1, q2, q1_dot, q2_dot), from `LOW` to `HIGH`; distance, units mixed.
    """

    angle: jax.Array
    value: jax.Array


def targets() -> np.ndarray:
    """Post-impact states (G, 4) of the gaits that the published tasks want."""
    both = np.concatenate([walk.same_gait(1).target, walk.many_gaits(1).target], axis=1).T
    return np.unique(both, axis=0)


def beyond(state: jax.Array) -> jax.Array:
    """Whether states (4, V) are on the guard surface or behind it: (V,)."""
    q1, q2, q1_dot, q2_dot = state
    return outside(state) | (2 * q1 + q2 <= 0) & (q1 <= LANDING_ANGLE_RAD) & (2 * q1_dot + q2_dot <= 0)


INVALID = (0.45, 0.95)
def outside(state: jax.Array) -> jax.Array:
    return (jnp.abs(state[0]) > INVALID[0]) | (jnp.abs(state[1]) > INVALID[1])


def landing(state: jax.Array, target: jax.Array) -> jax.Array:
    """Distance (V,) from a post-impact state `target` (4,) after an impact at states (4, V) near the guard surface.

    A state behind the surface is moved back to it, at its own speed.
    """
    rate = jnp.minimum(2 * state[2] + state[3], -1e-3)
    late_s = jnp.clip((2 * state[0] + state[1]) / rate, 0.0, LONGEST_BACK_S)
    before = state - late_s * walker.affine(state)[0]
    after = walker.reset(0, before, jnp.zeros((1, 1)), Gait(target[:1]), Gait(target[:1]))
    distance = jnp.sqrt(((after - target[:, None]) ** 2).sum(0))
    return jnp.where(before[0] <= LANDING_ANGLE_RAD, jnp.minimum(distance, FARTHEST), FARTHEST)


def solve(target: np.ndarray, nodes: int = NODES, horizon_s: float = HORIZON_S) -> np.ndarray:
    """Value (n, n, n, n) float32 of a gait with post-impact state `target` (4,)."""
    import hj_reachability as hj

    grid, dynamics = _problem(nodes)
    states = grid.states.reshape(-1, 4).T
    value = jnp.where(beyond(states) & ~outside(states), landing(states, jnp.asarray(target)), FARTHEST).reshape(grid.shape)
    settings = hj.SolverSettings.with_accuracy("medium")
    value = hj.step(settings, dynamics, grid, 0.0, value, -horizon_s, progress_bar=False)
    return np.asarray(jnp.clip(value, 0.0, FARTHEST), np.float32)


_cache = {}
def _problem(nodes: int) -> Any:
    import hj_reachability as hj
    if nodes in _cache: return _cache[nodes]

    class Swing(hj.dynamics.ControlAndDisturbanceAffineDynamics):
        def __init__(self):
            torque = jnp.array([LARGEST_TORQUE_N_M])
            super().__init__("min", "max", hj.sets.Box(-torque, torque), hj.sets.Box(0*torque, 0*torque))
        def open_loop_dynamics(self, state, time):
            return jnp.where(beyond(state), 0.0, walker.affine(state)[0])
        def control_jacobian(self, state, time):
            return jnp.where(beyond(state), 0.0, walker.affine(state)[1])[:, None]
        def disturbance_jacobian(self, state, time):
            return jnp.zeros((4, 1))
    grid = hj.Grid.from_lattice_parameters_and_boundary_conditions(hj.sets.Box(np.array(LOW), np.array(HIGH)), (nodes,) * 4)
    _cache[nodes]=(grid, Swing())
    return _cache[nodes]


def plan(reach: Reach) -> Plan:
    """Which of the values is that of the target's gait: (V,) int."""
    return lambda state, target: jnp.abs(reach.angle[:, None] - target.angle).argmin(0)


def interpolate(reach, state, which):
    nodes = reach.value.shape[1]
    low, high = jnp.array(LOW)[:, None], jnp.array(HIGH)[:, None]
    place = (nodes - 1) * (state - low) / (high - low)
    return map_coordinates(reach.value, [which, *place], order=1, mode="nearest")


def law(reach: Reach, probe=PROBE_S, soft=SOFT) -> Law:
    def act(state, which):
        push = walker.affine(state)[1]
        rise = interpolate(reach, state + probe * push, which) - interpolate(reach, state - probe * push, which)
        return -LARGEST_TORQUE_N_M * jnp.clip(rise / soft, -1.0, 1.0)[None]
    return act
