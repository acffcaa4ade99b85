"""The walker's reachable gaits, by Hamilton-Jacobi equations on a grid: which angle its strides can be brought to.

The coordinates are the stance angle q1, the gap s = 2 q1 + q2 (zero when both feet are on the ground), and their rates,
so that the impact is a layer of nodes. Two values are carried backward in time: the least and the largest angle with
which a stride, this one or one after it, can begin, over all torques within the limit. In the layer of the impact a
value is the better of the angle itself and of the value after the reset; angles outside of the benchmark's ranges
count as strides that never end. Where both are known, an angle between them is within reach, if what is within reach
is connected. A value on a grid is an approximation: it is no proof, and it errs most near the edge of what is possible.

Source: Choi et al. 2022 (RA-L), whose value is likewise carried through the reset; `hj_reachability` solves between
the resets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hj_reachability as hj
import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import PolicyFileError
from haltere.policies.hybrid import walk
from haltere.policies.hybrid.walk import Law
from haltere.policies.plants import walker
from haltere.policies.plants.walker import LANDING_ANGLE_RAD, LARGEST_TORQUE_N_M, Gait

LOW, HIGH = (-0.3, -0.5, -1.8, -4.0), (0.3, 0.5, 0.6, 4.0)
"""Of q1 and s, rad, and of their rates, rad/s."""
SHAPE = (31, 31, 31, 31)
PERIOD_S = 0.01
"""After which the layer of the impact is renewed."""
HORIZON_S = 2.0
NEVER = 0.5
"""Angle, rad, in place of one where no stride ends; its opposite for the largest."""
TORQUES = 9
AHEAD = 3
"""Periods for which the law tries a torque."""


class Table(NamedTuple):
    """Values on the grid.

    Attributes:
      least: (N1, N2, N3, N4) rad.
      most: (N1, N2, N3, N4) rad.
    """

    least: jax.Array
    most: jax.Array


class Swinging(hj.ControlAndDisturbanceAffineDynamics):  # type: ignore[misc]
    """The walker between impacts, in the grid's coordinates; the torque makes the value small."""

    def __init__(self) -> None:
        limit, none = jnp.array([LARGEST_TORQUE_N_M]), jnp.zeros(1)
        super().__init__("min", "max", hj.sets.Box(-limit, limit), hj.sets.Box(none, none))

    def open_loop_dynamics(self, state: Any, time: Any) -> jax.Array:
        """Drift (4,)."""
        return gapped(walker.affine(plain(state))[0])

    def control_jacobian(self, state: Any, time: Any) -> jax.Array:
        """Input column (4, 1)."""
        return gapped(walker.affine(plain(state))[1])[:, None]

    def disturbance_jacobian(self, state: Any, time: Any) -> jax.Array:
        """None."""
        return jnp.zeros((4, 1))


def gapped(state: jax.Array) -> jax.Array:
    """States or derivatives (4, ...) of the plant in the grid's coordinates."""
    q1, q2, q1_dot, q2_dot = state
    return jnp.stack([q1, 2 * q1 + q2, q1_dot, 2 * q1_dot + q2_dot])


def plain(state: jax.Array) -> jax.Array:
    """The inverse of `gapped`."""
    q1, gap, q1_dot, gap_dot = state
    return jnp.stack([q1, gap - 2 * q1, q1_dot, gap_dot - 2 * q1_dot])


def interpolate(values: jax.Array, state: jax.Array, outside: float) -> jax.Array:
    """Values (V,) at states (4, V) of the plant; `outside` off the grid."""
    count = np.array(values.shape)[:, None]
    low, high = np.array(LOW)[:, None], np.array(HIGH)[:, None]
    place = (gapped(state) - low) / (high - low) * (count - 1)
    on = ((place >= 0) & (place <= count - 1)).all(0)
    below = jnp.clip(jnp.floor(jnp.nan_to_num(place)).astype(jnp.int32), 0, count - 2)
    share = jnp.clip(place - below, 0.0, 1.0)
    total = jnp.zeros(state.shape[1:])
    for corner in np.ndindex(2, 2, 2, 2):
        upper = np.array(corner)[:, None] == 1
        weight = jnp.prod(jnp.where(upper, share, 1 - share), axis=0)
        total += weight * values[tuple(below + upper)]
    return jnp.where(on, total, outside)


def solve(shape: tuple[int, int, int, int] = SHAPE, report: Callable[[float], None] = lambda _: None) -> Table:
    """Solves both equations.

    Args:
      shape: nodes along each coordinate; an odd number along the gap, so that zero is one.
      report: told the share that is done.
    """
    least = _least(shape, 1.0, lambda share: report(share / 2))
    most = -_least(shape, -1.0, lambda share: report(0.5 + share / 2))
    return Table(least, most)


def _least(shape: tuple[int, int, int, int], sign: float, report: Callable[[float], None]) -> jax.Array:
    """The least value of `sign` times the angle with which a stride begins."""
    grid = hj.Grid.from_lattice_parameters_and_boundary_conditions(hj.sets.Box(np.array(LOW), np.array(HIGH)), shape)
    node = plain(jnp.moveaxis(grid.states, -1, 0))
    touching = jnp.arange(shape[1])[None, :, None, None] == shape[1] // 2
    landing = touching & (grid.states[..., 3] <= 0) & (node[0] <= LANDING_ANGLE_RAD)
    ranges = (jnp.abs(node[0]) <= walk.LARGEST_Q1_RAD) & (jnp.abs(node[1]) <= walk.LARGEST_Q2_RAD)
    none = jnp.zeros_like(node)
    after = walker.reset(0, node, none, Gait(none[0]), Gait(none[0])).reshape(4, -1)
    settings = hj.SolverSettings.with_accuracy(
        "low", artificial_dissipation_scheme=hj.artificial_dissipation.local_local_lax_friedrichs
    )

    @jax.jit
    def one(grid: Any, values: jax.Array, where: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        after, landing, ranges = where
        following = interpolate(values, after, NEVER).reshape(shape)
        value = jnp.minimum(sign * after[0].reshape(shape), following)
        values = jnp.where(landing, value, values)
        values = hj.step(settings, dynamics, grid, 0.0, values, -PERIOD_S, progress_bar=False)
        return jnp.where(ranges, jnp.minimum(values, NEVER), NEVER)

    dynamics, values, periods = Swinging(), jnp.full(shape, NEVER), round(HORIZON_S / PERIOD_S)
    for index in range(periods):
        values = one(grid, values, (after, landing, ranges)).block_until_ready()
        report((index + 1) / periods)
    return values


def missed(table: Table, state: jax.Array, angle: jax.Array) -> jax.Array:
    """How far, rad, gaits of `angle` (V,) are out of reach from states (4, V); negative inside."""
    least, most = (interpolate(values, state, NEVER) for values in (table.least, -table.most))
    return jnp.maximum(least - angle, angle + most)


def law(table: Table) -> Law:
    """Takes the torque, of some, after which the gait is most within reach."""
    torques = jnp.linspace(-LARGEST_TORQUE_N_M, LARGEST_TORQUE_N_M, TORQUES)

    def act(state: jax.Array, gait: Gait) -> jax.Array:
        def outcome(torque: jax.Array) -> jax.Array:
            now, landed = state, jnp.zeros(state.shape[1], bool)
            for _ in range(AHEAD):
                moved, impact = walker.tick(now, jnp.broadcast_to(torque, (1, state.shape[1])))
                now, landed = jnp.where(landed, now, moved), landed | impact
            out = missed(table, now, gait.angle)
            return jnp.where(landed, jnp.minimum(out, jnp.abs(now[0] - gait.angle) - walk.REACHED_RAD), out)

        return torques[jax.vmap(outcome)(torques).argmin(0)][None]

    return act


def write(path: Path, table: Table) -> None:
    """Writes the table (NumPy's `.npz`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{name: np.asarray(values) for name, values in table._asdict().items()})


def read(path: Path) -> Table:
    """Reads a table back.

    Raises:
      PolicyFileError: it cannot be read.
    """
    try:
        with np.load(path) as arrays:
            return Table(jnp.asarray(arrays["least"]), jnp.asarray(arrays["most"]))
    except (OSError, ValueError, KeyError) as error:
        raise PolicyFileError(f"cannot read {path}: no table of the walker's reach ({error})") from error
