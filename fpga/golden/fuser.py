"""The always-on fuser (`rtl/carma_fuser.v`), as functions of arrays with any leading batch axes.

Each tick the fused state is predicted with the IMU's acceleration and then replaced by the information-weighted mean
of that prediction and of every usable path's state. Delays are made good by a history of the fused state: a path
compares its sample with where the vehicle was when it was measured (Larsen et al., Incorporation of time delayed
measurements in a discrete-time Kalman filter, CDC 1998).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from haltere.fpga.golden.filter import FilterState, Flags
from haltere.fpga.golden.fixed import TICK_S, Words, round_shift, saturate
from haltere.fpga.paths import IMU, PATHS

HISTORY = 128

_COVERS = np.zeros((len(PATHS), 3), np.bool_)
_VELOCITY = np.zeros((len(PATHS), 3), np.bool_)
for _index, _path in enumerate(PATHS[1:], 1):
    for _axis, _is_velocity in zip(_path.axes, _path.velocity, strict=True):
        _COVERS[_index, _axis] = True
        _VELOCITY[_index, _axis] = _is_velocity


@dataclass(frozen=True)
class FuserConfig:
    """The five rows of the fuser's configuration; row 0 is the prediction's and the IMU's.

    Attributes:
      information_position, information_velocity: (5, 3), weights, 16 bits.
      delay: (5,), ticks from a sample's measurement to its arrival.
      age_max: (5,), ticks without a sample after which a path does not count.
      nis_max: (5,), running mean of the NIS above which a path keeps a 256th of its weight, Q8.
    """

    information_position: Words
    information_velocity: Words
    delay: Words
    age_max: Words
    nis_max: Words


@dataclass(frozen=True)
class FuserState:
    """What the fuser keeps between ticks. The leading axes are the batch's.

    Attributes:
      position, velocity: (..., 3), Q12.20.
      velocity_step: (..., 3), change of velocity in this tick, Q12.20.
      displacement: (..., 5, 3), motion since each path's samples were measured, Q12.20.
      usable: (..., 5), paths that counted in the last tick.
      consistent: (..., 5), of those, the ones that counted in full.
      history: (..., 128, 6), position and velocity at the last ticks, a ring.
      entry: (...,), place of the next tick in the ring.
      filled: (...,), ticks in the ring, at most 127.
    """

    position: Words
    velocity: Words
    velocity_step: Words
    displacement: Words
    usable: Flags
    consistent: Flags
    history: Words
    entry: Words
    filled: Words


def initial_state(batch: tuple[int, ...] = ()) -> FuserState:
    """Returns the state after reset."""
    return FuserState(
        position=np.zeros((*batch, 3), np.int64),
        velocity=np.zeros((*batch, 3), np.int64),
        velocity_step=np.zeros((*batch, 3), np.int64),
        displacement=np.zeros((*batch, len(PATHS), 3), np.int64),
        usable=np.zeros((*batch, len(PATHS)), np.bool_),
        consistent=np.zeros((*batch, len(PATHS)), np.bool_),
        history=np.zeros((*batch, HISTORY, 6), np.int64),
        entry=np.zeros(batch, np.int64),
        filled=np.zeros(batch, np.int64),
    )


def seed(state: FuserState, position: Words, velocity: Words, where: Flags) -> FuserState:
    """Starts anew from a given state, (..., 3) Q12.20, in those elements of the batch where `where` is set."""
    axes = where[..., None]
    return replace(
        state,
        position=np.where(axes, position, state.position),
        velocity=np.where(axes, velocity, state.velocity),
        displacement=np.where(axes[..., None], 0, state.displacement),
        filled=np.where(where, 0, state.filled),
    )


def predict(config: FuserConfig, state: FuserState, imu: FilterState) -> FuserState:
    """Moves the fused state over one tick with the IMU's acceleration; with none, if the IMU has fallen silent."""
    fresh = imu.valid & (imu.age <= config.age_max[IMU])
    step = np.where(fresh[..., None], saturate(round_shift(imu.velocity * TICK_S, 24)), 0)
    usable, consistent = state.usable.copy(), state.consistent.copy()
    usable[..., IMU] = fresh
    consistent[..., IMU] = imu.nis <= config.nis_max[IMU]
    return replace(
        state,
        position=saturate(state.position + round_shift((state.velocity + (step >> 1)) * TICK_S, 24)),
        velocity=saturate(state.velocity + step),
        velocity_step=step,
        usable=usable,
        consistent=consistent,
    )


def _mean(now: Words, prior: Words, others: Words, information: Words) -> Words:
    """Returns the weighted mean: now (..., 3), prior (3,), others and information (..., 4, 3)."""
    total = prior + information.sum(axis=-2)
    weighted = ((others - now[..., None, :]) * information).sum(axis=-2)
    quotient = np.sign(weighted) * (np.abs(weighted) // np.maximum(total, 1))
    return np.where(total > 0, saturate(now + quotient), now)


def _weights(information: Words, consistent: Flags) -> Words:
    """Returns the information (4, 3) of the paths, (..., 4, 3), those that are not consistent (..., 4) cut down."""
    little = np.where(information > 0, np.maximum(information >> 8, 1), 0)
    return np.where(consistent[..., None], information, little)


def fuse(config: FuserConfig, state: FuserState, paths: tuple[FilterState, ...], awake: Flags) -> FuserState:
    """Takes the usable paths' states in, records the result and works out each path's displacement.

    The history is written in place: the state that is handed in is not to be used again.

    Args:
      config: weights, delays and limits.
      state: after `predict`.
      paths: the five paths' states, the IMU's first.
      awake: (..., 5), paths whose clock runs.
    """
    batch = state.entry.shape
    usable, consistent = state.usable.copy(), state.consistent.copy()
    position = np.zeros((*batch, len(PATHS), 3), np.int64)
    velocity = np.zeros((*batch, len(PATHS), 3), np.int64)
    for index, (path, other) in enumerate(zip(PATHS, paths, strict=True)):
        if index == IMU:
            continue
        usable[..., index] = other.valid & (other.age <= config.age_max[index]) & awake[..., index]
        consistent[..., index] = other.nis <= config.nis_max[index]
        position[..., index, path.axes[0] : path.axes[-1] + 1] = other.position
        velocity[..., index, path.axes[0] : path.axes[-1] + 1] = other.velocity
    counts = (usable[..., None] & _COVERS)[..., 1:, :]
    new_position = _mean(
        state.position,
        config.information_position[0],
        position[..., 1:, :],
        counts * _weights(config.information_position[1:], consistent[..., 1:]),
    )
    new_velocity = _mean(
        state.velocity,
        config.information_velocity[0],
        velocity[..., 1:, :],
        counts * _weights(config.information_velocity[1:], consistent[..., 1:]),
    )

    now = np.concatenate([new_position, new_velocity], axis=-1)
    history = state.history
    np.put_along_axis(history, state.entry[..., None, None], now[..., None, :], axis=-2)
    delay = np.minimum(config.delay, state.filled[..., None])
    past = np.take_along_axis(history, ((state.entry[..., None] - delay) % HISTORY)[..., None], axis=-2)
    moved = saturate(now[..., None, :] - past)
    displacement = np.where(_VELOCITY, moved[..., 3:], moved[..., :3])
    displacement[..., IMU, :] = 0
    return replace(
        state,
        position=new_position,
        velocity=new_velocity,
        usable=usable,
        consistent=consistent,
        history=history,
        displacement=displacement,
        entry=(state.entry + 1) % HISTORY,
        filled=np.minimum(state.filled + 1, HISTORY - 1),
    )
