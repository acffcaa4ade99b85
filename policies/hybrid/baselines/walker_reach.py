"""The walker by Hamilton-Jacobi reachability: how near to a gait the next impact can be brought, from every state.

For each gait to reach, the value on a grid over (q1, q2, q1_dot, q2_dot) is the least distance, over all torques within
4 N m, between the state just after the next impact and the gait's. The dynamics stand still beyond the guard surface,
where the value is that of the impact, and beyond the angles that the benchmark allows, where it is `FARTHEST`, as it is
where there is no impact within the horizon. The law lowers the value: full torque against its slope along the input,
and less where the slope is slight.

A grid in four dimensions is coarse: a cell is 0.03 rad and 0.08 rad/s wide, or wider, and what is small against that is
not to be read from it.

Source: Choi et al. 2022 (RA-L), on the same walker, with sets of states where distances are here; Bansal et al. 2017
(CDC) for the equation, and `hj_reachability`, which solves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from haltere.policies.hybrid import walk
from haltere.policies.hybrid.walk import Law, Plan
from haltere.policies.plants import walker
from haltere.policies.plants.walker import LANDING_ANGLE_RAD, LARGEST_TORQUE_N_M, Gait

NODES = 31
LOW, HIGH = (-0.4, -0.6, -1.7, -3.5), (0.5, 1.1, 0.8, 4.5)
"""Corners of the grid: rad, rad, rad/s, rad/s."""
ALLOWED_Q1_RAD, ALLOWED_Q2_RAD = 0.45, 0.95
"""Largest angles; about a cell's width within those of the benchmark."""
HORIZON_S = 1.0
COURANT = 0.9
FARTHEST = 2.0
"""Largest value, units mixed: a bad impact is as bad as a fall."""
LATEST_S = 0.15
"""How far back in time the impact of a state behind the guard surface is sought."""
PROBE_S = 0.02
"""How long 1 N m would push the walker to where the slope is taken, each way."""
SLIGHT = 0.05
"""Slope of the value along the input, 1 / (N m s), from which the torque is full."""


class Reach(NamedTuple):
    """Values of G gaits on a grid of n nodes along each axis.

    Attributes:
      target: (G, 4) post-impact states of the gaits to reach.
      value: (G, n, n, n, n) over (q1, q2, q1_dot, q2_dot) from `LOW` to `HIGH`: distance, units mixed.
    """

    target: jax.Array
    value: jax.Array


def targets() -> np.ndarray:
    """Post-impact states (G, 4) of the gaits that the published tasks want."""
    both = np.concatenate([walk.same_gait(1).target, walk.many_gaits(1).target], axis=1)
    return np.unique(both.T, axis=0)


def fallen(state: jax.Array) -> jax.Array:
    """Whether an angle of states (4, ...) is larger than allowed: (...,)."""
    return (jnp.abs(state[0]) > ALLOWED_Q1_RAD) | (jnp.abs(state[1]) > ALLOWED_Q2_RAD)


def landed(state: jax.Array) -> jax.Array:
    """Whether states (4, ...) are on the guard surface or behind it: (...,)."""
    q1, q2, q1_dot, q2_dot = state
    over: jax.Array = (2 * q1 + q2 <= 0) & (q1 <= LANDING_ANGLE_RAD) & (2 * q1_dot + q2_dot <= 0)
    return over


def distance(state: jax.Array, target: jax.Array) -> jax.Array:
    """How far from the wanted state the impact leaves the walker.

    A state behind the guard surface is taken back to it at the speed that it has without torque.

    Args:
      state: (4, V), on the guard surface or somewhat behind it.
      target: (4,) wanted just after the impact.
    Returns:
      (V,) at most `FARTHEST`, which is also where there was no impact to come from.
    """
    rate = jnp.minimum(2 * state[2] + state[3], -1e-3)
    late_s = jnp.clip((2 * state[0] + state[1]) / rate, 0.0, LATEST_S)
    before = state - late_s * walker.affine(state)[0]
    gait = Gait(target[:1])
    after = walker.reset(0, before, jnp.zeros((1, 1)), gait, gait)
    far = jnp.sqrt(((after - target[:, None]) ** 2).sum(0))
    return jnp.where(before[0] <= LANDING_ANGLE_RAD, jnp.minimum(far, FARTHEST), FARTHEST)


class _Stride(NamedTuple):
    """What `hj_reachability` asks of dynamics: a stride that ends where it lands or falls; the torque minimises."""

    torque_n_m: float = LARGEST_TORQUE_N_M

    def _moving(self, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        drift, push = walker.affine(state)
        over = landed(state) | fallen(state)
        return jnp.where(over, 0.0, drift), jnp.where(over, 0.0, push)

    def hamiltonian(self, state: jax.Array, time: Any, value: Any, slope: jax.Array) -> jax.Array:
        """Least rate of the value with this slope (4,) at a state (4,): a scalar."""
        drift, push = self._moving(state)
        return slope @ drift - self.torque_n_m * jnp.abs(slope @ push)

    def partial_max_magnitudes(self, state: jax.Array, time: Any, value: Any, slopes: Any) -> jax.Array:
        """Largest speeds (4,) at a state (4,)."""
        drift, push = self._moving(state)
        return jnp.abs(drift) + self.torque_n_m * jnp.abs(push)


def solve(target: np.ndarray, nodes: int = NODES) -> np.ndarray:
    """Value (n, n, n, n) float32 for the post-impact state `target` (4,); some 80 s with 31 nodes on two cores."""
    import hj_reachability

    box = hj_reachability.sets.Box(np.array(LOW), np.array(HIGH))
    grid = hj_reachability.Grid.from_lattice_parameters_and_boundary_conditions(box, (nodes,) * 4)
    states = grid.states.reshape(-1, 4).T
    ended = landed(states) & ~fallen(states)
    begin = jnp.where(ended, distance(states, jnp.asarray(target)), FARTHEST).reshape(grid.shape)
    settings = hj_reachability.SolverSettings.with_accuracy("medium", CFL_number=COURANT)
    value = hj_reachability.step(settings, _Stride(), grid, 0.0, begin, -HORIZON_S, progress_bar=False)
    return np.asarray(jnp.clip(value, 0.0, FARTHEST), np.float32)


def solve_all(status: Callable[[str], None], nodes: int = NODES) -> Reach:
    """Values of all gaits that the published tasks want, one after the other.

    Args:
      status: told how far it is, and how long the rest takes.
      nodes: along each axis.
    """
    wanted, values, begun = targets(), [], time.monotonic()
    for index, target in enumerate(wanted):
        spent_s = time.monotonic() - begun
        rest = f", {spent_s / index * (len(wanted) - index) / 60:.0f} minutes left" if index else ""
        status(f"walker by Hamilton-Jacobi: gait {index + 1} of {len(wanted)}{rest}")
        values.append(solve(target, nodes))
    return Reach(jnp.asarray(wanted), jnp.asarray(np.stack(values)))


def interpolate(reach: Reach, state: jax.Array, which: jax.Array) -> jax.Array:
    """Value (V,) at states (4, V) of the gaits `which` (V,); what is outside the grid is put on its border."""
    low, high = jnp.array(LOW)[:, None], jnp.array(HIGH)[:, None]
    place = (reach.value.shape[-1] - 1) * (state - low) / (high - low)
    found: jax.Array = map_coordinates(reach.value, [which.astype(place.dtype), *place], order=1, mode="nearest")
    return found


def plan(reach: Reach) -> Plan:
    """Which gait's values are to be used: the (V,) indices of those whose angles are nearest to the targets'."""

    def choose(state: jax.Array, target: Gait) -> jax.Array:
        return jnp.abs(reach.target[:, :1] - target.angle).argmin(0)

    return choose


def law(reach: Reach) -> Law:
    """Torque (1, V), within 4 N m, against the slope of the value along the input's column."""

    def act(state: jax.Array, which: jax.Array) -> jax.Array:
        ahead = PROBE_S * walker.affine(state)[1]
        rise = interpolate(reach, state + ahead, which) - interpolate(reach, state - ahead, which)
        share = jnp.clip(rise / (2 * PROBE_S * SLIGHT), -1.0, 1.0)
        return -LARGEST_TORQUE_N_M * share[None]

    return act
