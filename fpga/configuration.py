"""Sensors in SI units, and the words that make the paths' filters and the fuser fit them.

The gains are those of the Kalman filter with position and velocity as its state, driven by white acceleration noise
and predicted at every tick, once its covariance has settled (Bar-Shalom, Li & Kirubarajan, Estimation with
Applications to Tracking and Navigation, 2001, sec. 5.2 and 6.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from haltere.fpga.device import Device
from haltere.fpga.golden.fixed import FRACTION_BITS
from haltere.fpga.paths import IMU, PATHS, TICK_RATE_HZ
from haltere.fpga.registers import offset
from haltere.policies.errors import ConfigError

CALIBRATION_BITS, GAIN_BITS, PRECISION_BITS, NIS_BITS = 28, 16, 10, 8
PREDICTION_INFORMATION = 256
"""Weight of the fused prediction: against it a path of 1 cm or 5 cm/s has 16384."""
_BEST_POSITION_M, _BEST_VELOCITY_M_S = 0.01, 0.05
_BEST_INFORMATION = 16384.0


@dataclass(frozen=True)
class Gains:
    """A settled Kalman filter of one axis: gains, and standard deviations of innovation and state."""

    position: float
    velocity: float
    innovation_std: float
    position_std: float
    velocity_std: float


def settled_gains(rate_hz: float, noise: float, acceleration_noise_m_s2: float, velocity: bool) -> Gains:
    """Returns the gains to which a Kalman filter settles.

    Args:
      rate_hz: of the measurements, at most 500.
      noise: standard deviation of a measurement, m or m/s.
      acceleration_noise_m_s2: standard deviation of the IMU's error over one tick.
      velocity: the measurement is a velocity; the position is then left alone, since nothing is known of it.
    """
    tick_s = 1 / TICK_RATE_HZ
    per_measurement = max(1, round(TICK_RATE_HZ / rate_hz))
    move = np.array([[1.0, tick_s], [0.0, 1.0]])
    drive = np.array([tick_s**2 / 2, tick_s]) * acceleration_noise_m_s2
    seen = np.array([0.0, 1.0]) if velocity else np.array([1.0, 0.0])
    covariance = np.diag([0.0 if velocity else noise**2, noise**2 if velocity else 1.0])
    gain = np.zeros(2)
    variance = noise**2
    for _ in range(20_000):
        for _ in range(per_measurement):
            covariance = move @ covariance @ move.T + np.outer(drive, drive)
        if velocity:
            covariance[0, :] = covariance[:, 0] = 0.0
        variance = float(seen @ covariance @ seen) + noise**2
        before, gain = gain, covariance @ seen / variance
        covariance = covariance - np.outer(gain, seen @ covariance)
        if np.allclose(before, gain, rtol=1e-9, atol=0):
            break
    return Gains(
        position=float(gain[0]),
        velocity=float(gain[1]),
        innovation_std=math.sqrt(variance),
        position_std=math.inf if velocity else math.sqrt(covariance[0, 0]),
        velocity_std=math.sqrt(covariance[1, 1]),
    )


@dataclass(frozen=True)
class Sensor:
    """What a path's sensor measures, and how well.

    Attributes:
      calibration: one row an axis of the path, one column a channel: m, m/s or m/s^2 a raw count. Of the flow the
        raw count is the product of angular rate and range, divided by 1024.
      noise: standard deviation of each axis, same units.
      rate_hz: samples a second.
      gain_rate_hz: rate for which the gains are worked out, where samples come in bursts; 0: that of the samples.
      offset: added to each axis; zero if empty.
      delay_s: from measurement to arrival.
      silence_s: without a sample for which the path no longer counts.
      nis_max: running mean of the NIS above which the path keeps a 256th of its weight.
    """

    calibration: tuple[tuple[float, ...], ...]
    noise: tuple[float, ...]
    rate_hz: float
    gain_rate_hz: float = 0.0
    offset: tuple[float, ...] = ()
    delay_s: float = 0.0
    silence_s: float = 0.5
    nis_max: float = 40.0


def _ring(counts_m: float) -> tuple[tuple[float, ...], ...]:
    """Returns position from eight ranges at 45 degrees to the walls of a square room around the origin."""
    angles = [math.pi / 4 * index for index in range(8)]
    # Walls in x are seen by the beams along x, walls in y by those along y; the diagonals' corners count for neither.
    x = tuple(-math.cos(angle) / 2 * counts_m if index % 4 == 0 else 0.0 for index, angle in enumerate(angles))
    y = tuple(-math.sin(angle) / 2 * counts_m if index % 4 == 2 else 0.0 for index, angle in enumerate(angles))
    return x, y


SENSORS: tuple[Sensor, ...] = (
    Sensor(tuple(tuple(0.005 * (row == column) for column in range(3)) for row in range(3)), (0.1,) * 3, 500.0),
    Sensor(((1.024e-3, 0, 0), (0, 1.024e-3, 0), (0, 0, 1e-3)), (0.1, 0.1, 0.02), 100.0, delay_s=0.02),
    Sensor(_ring(1e-3), (0.03, 0.03), 20.0, delay_s=0.05),
    Sensor(((0.01, 0, 0, 0), (0, 0.01, 0, 0), (0, 0, 0.001, 0.009)), (0.8, 0.8, 0.4), 10.0, delay_s=0.12),
    Sensor(((0.01,),), (0.1,), 25.0, delay_s=0.04),
)
"""A set to start from: IMU of 5 mm/s^2 a count, flow of 1 mrad/s and 1 mm, ring of 1 mm, GPS and barometer of 1 cm,
radar of 1 cm."""


def configure(
    device: Device,
    sensors: tuple[Sensor, ...] = SENSORS,
    acceleration_noise_m_s2: float = 3.0,
    prediction_information: tuple[int, int] = (PREDICTION_INFORMATION, PREDICTION_INFORMATION),
) -> None:
    """Writes calibration, gains, weights, delays and limits of all paths.

    Args:
      device: any.
      sensors: one a path, in the paths' order.
      acceleration_noise_m_s2: standard deviation of the IMU's error over one tick, vibration and tilt included.
      prediction_information: weights of the fused prediction's position and velocity, 0 to 65535: the greater, the
        more slowly the fused state follows the paths.
    Raises:
      ConfigError: a value does not fit its register.
    """
    for weight in prediction_information:
        if not 0 <= weight <= 0xFFFF:
            raise ConfigError(f"prediction_information is {weight}; it must be 0 to 65535")
    for index, (path, sensor) in enumerate(zip(PATHS, sensors, strict=True)):
        for place, axis in enumerate(path.axes):
            for channel, scale in enumerate(sensor.calibration[place]):
                _put(device, "CALIBRATION", scale, CALIBRATION_BITS, 25, 8 * place + channel, index)
            shift = sensor.offset[place] if sensor.offset else 0.0
            _put(device, "OFFSET", shift, FRACTION_BITS, 32, place, index)
            if index == IMU:
                # Acceleration changes at will, so the newest sample is the best estimate.
                gains = Gains(0.0, 1.0, sensor.noise[place] * 10, math.inf, math.inf)
            else:
                gains = settled_gains(
                    sensor.gain_rate_hz or sensor.rate_hz,
                    sensor.noise[place],
                    acceleration_noise_m_s2,
                    path.velocity[place],
                )
            _put(device, "GAIN_POSITION", gains.position, GAIN_BITS, 25, place, index)
            _put(device, "GAIN_VELOCITY", gains.velocity, GAIN_BITS, 25, place, index)
            _put(device, "PRECISION", gains.innovation_std**-2, PRECISION_BITS, 25, place, index)
            if index != IMU:
                _weigh(device, index, axis, gains)
        for column in range(6 if index == IMU else 0):
            device.write(offset("FUSION", 8 * index + column), prediction_information[column // 3])
        device.write(offset("FUSION", 8 * index + 6), round(sensor.delay_s * TICK_RATE_HZ))
        age, nis = round(sensor.silence_s * TICK_RATE_HZ), round(sensor.nis_max * (1 << NIS_BITS))
        device.write(offset("FUSION", 8 * index + 7), min(nis, 0xFFFF) << 16 | age)


def _weigh(device: Device, path: int, axis: int, gains: Gains) -> None:
    for column, best, std in (
        (axis, _BEST_POSITION_M, gains.position_std),
        (axis + 3, _BEST_VELOCITY_M_S, gains.velocity_std),
    ):
        weight = round(_BEST_INFORMATION * (best / std) ** 2)
        device.write(offset("FUSION", 8 * path + column), min(weight, 0xFFFF))


def _put(device: Device, name: str, value: float, fraction: int, bits: int, index: int, path: int) -> None:
    word = round(value * (1 << fraction))
    if not -(1 << (bits - 1)) <= word < 1 << (bits - 1):
        limit = 2.0 ** (bits - 1 - fraction)
        raise ConfigError(f"{PATHS[path].name} {name}[{index}] is {value:g}; it must lie within +-{limit:g}")
    device.write(offset(name, index, path), word & 0xFFFFFFFF)
