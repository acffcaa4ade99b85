"""A path's steady-state Kalman filter (`rtl/carma_filter.v`), as functions of arrays with any leading batch axes.

The gains are constants, as a Kalman filter's are once its covariance has settled: Anderson & Moore, Optimal
Filtering, 1979, sec. 4.4; for position and velocity the alpha-beta filter of Kalata 1984.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from haltere.fpga.golden.fixed import TICK_S, Words, round_shift, saturate
from haltere.fpga.paths import Path

Flags = npt.NDArray[np.bool_]

INVALID = -(2**15)
NEVER = 0xFFFF
_NARROW = 2**24
_NIS_MAX = 2**24 - 1


@dataclass(frozen=True)
class FilterConfig:
    """The words of a path's configuration, as signed numbers.

    Attributes:
      calibration: (axes, channels), unit/LSB, Q28.
      offset: (axes,), Q12.20.
      gain_position: (axes,), Q16.
      gain_velocity: (axes,), Q16.
      precision: (axes,), inverse variance of the innovation, Q10.
    """

    calibration: Words
    offset: Words
    gain_position: Words
    gain_velocity: Words
    precision: Words


@dataclass(frozen=True)
class FilterState:
    """What the filter keeps between ticks. The leading axes are the batch's.

    Attributes:
      position, velocity: (..., axes), Q12.20.
      innovation: (..., axes), of the last sample, Q12.20.
      valid: (...,), a sample has been filtered since reset or reload.
      age: (...,), ticks since the last filtered sample, at most 65535.
      nis, nis_sum: (...,), running mean and sum of the normalised innovation squared against the fused state, Q8.
      samples, rejected, repeats: (...,), counts.
      previous: (..., channels), the last raw sample.
    """

    position: Words
    velocity: Words
    innovation: Words
    valid: Flags
    age: Words
    nis: Words
    nis_sum: Words
    samples: Words
    rejected: Words
    repeats: Words
    previous: Words


def initial_state(path: Path, batch: tuple[int, ...] = ()) -> FilterState:
    """Returns the state after reset."""
    axes, count = np.zeros((*batch, len(path.axes)), np.int64), np.zeros(batch, np.int64)
    return FilterState(
        position=axes,
        velocity=axes,
        innovation=axes,
        valid=np.zeros(batch, np.bool_),
        age=np.full(batch, NEVER, np.int64),
        nis=count,
        nis_sum=count,
        samples=count,
        rejected=count,
        repeats=count,
        previous=np.zeros((*batch, path.channels), np.int64),
    )


def reload(state: FilterState, position: Words, velocity: Words, where: Flags) -> FilterState:
    """Takes over a state from the fuser, (..., axes) Q12.20, in those elements of the batch where `where` is set."""
    axes = where[..., None]
    return replace(
        state,
        position=np.where(axes, position, state.position),
        velocity=np.where(axes, velocity, state.velocity),
        valid=state.valid & ~where,
        age=np.where(where, NEVER, state.age),
        nis=np.where(where, 0, state.nis),
    )


def predict(path: Path, state: FilterState, velocity_step: Words, where: Flags) -> FilterState:
    """Moves the state over one tick.

    Args:
      path: the filter's shape.
      state: before.
      velocity_step: (..., axes), change of velocity in the tick, Q12.20.
      where: (...,), elements of the batch that are awake and do not reload.
    """
    age = np.where(where, np.minimum(state.age + 1, NEVER), state.age)
    if not path.predicts:
        return replace(state, age=age)
    mean = saturate(state.velocity + (velocity_step >> 1))
    axes = where[..., None]
    return replace(
        state,
        age=age,
        position=np.where(axes, saturate(state.position + round_shift(mean * TICK_S, 24)), state.position),
        velocity=np.where(axes, saturate(state.velocity + velocity_step), state.velocity),
    )


def update(
    path: Path,
    config: FilterConfig,
    state: FilterState,
    raw: Words,
    fused: tuple[Words, Words],
    displacement: Words,
    where: Flags,
) -> FilterState:
    """Blends one sample in.

    Args:
      path: the filter's shape.
      config: calibration and gains.
      state: before.
      raw: (..., channels), int16 codes; a sample with the code -32768 is rejected.
      fused: position and velocity, (..., axes) each, Q12.20, by which the sample's consistency is judged; of no
        account to a filter that does not predict, which is judged by its own state.
      displacement: (..., axes), motion since the sample was measured, Q12.20.
      where: (...,), elements of the batch that have a sample.
    """
    equal = (raw == state.previous).all(axis=-1)
    repeats = np.where(equal, np.minimum(state.repeats + 1, NEVER), 0)
    invalid = (raw == INVALID).any(axis=-1)
    good = where & ~invalid

    channels = raw
    if path.rates:
        flow = (raw[..., :2] * raw[..., -1:]) >> 10
        channels = np.concatenate([flow, raw[..., 2:]], axis=-1)
    total = (channels[..., None, :] * config.calibration).sum(axis=-1)
    measured = saturate(round_shift(total, 8) + config.offset)
    is_velocity = np.array(path.velocity)
    expected = np.where(is_velocity, state.velocity, state.position)
    residual = saturate(measured - expected + displacement)

    judge = np.where(is_velocity, fused[1], fused[0]) if path.predicts else expected
    surprise = saturate(measured - judge + displacement)
    narrow = np.minimum(np.maximum(surprise, -_NARROW), _NARROW - 1)
    scaled = (((narrow * narrow) >> 20) * config.precision) >> 22
    axis_nis = np.minimum(np.maximum(scaled, 0), _NIS_MAX)
    sample_nis = np.minimum(axis_nis.sum(axis=-1), _NIS_MAX)

    axes = good[..., None]
    position = saturate(state.position + round_shift(residual * config.gain_position, 16))
    velocity = saturate(state.velocity + round_shift(residual * config.gain_velocity, 16))
    return FilterState(
        position=np.where(axes, position, state.position),
        velocity=np.where(axes, velocity, state.velocity),
        innovation=np.where(axes, residual, state.innovation),
        valid=state.valid | good,
        age=np.where(good, 0, state.age),
        nis=np.where(good, state.nis + ((sample_nis - state.nis) >> 4), state.nis),
        nis_sum=np.where(good, (state.nis_sum + sample_nis) & 0xFFFFFFFF, state.nis_sum),
        samples=state.samples + good,
        rejected=state.rejected + (where & invalid),
        repeats=np.where(where, repeats, state.repeats),
        previous=np.where(where[..., None], raw, state.previous),
    )
