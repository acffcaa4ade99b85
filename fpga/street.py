"""The sensors of the street (`haltere.sim.senses`), as the paths are configured for them."""

from __future__ import annotations

from dataclasses import replace

from haltere.fpga.configuration import SENSORS, Sensor
from haltere.fpga.paths import FLOW, GPS, LIDAR

STREET_ACCELERATION_NOISE_M_S2 = 1.0
"""Standard deviation of the IMU's error over a tick, tilt and vibration included."""
STREET_PREDICTION = (16384, 256)
"""Weights of the fused prediction: its position follows the paths over seconds, so that GPS does not shake it."""
_CHANGES: dict[int, dict[str, object]] = {
    FLOW: {"noise": (0.06, 0.06, 0.02)},
    LIDAR: {"noise": (0.02, 0.02), "silence_s": 0.3},
    GPS: {"noise": (12.0, 12.0, 0.3)},
}
STREET_SENSORS: tuple[Sensor, ...] = tuple(
    replace(sensor, **_CHANGES.get(number, {}))  # type: ignore[arg-type]
    for number, sensor in enumerate(SENSORS)
)
