"""The sensors of the street (`haltere.sim.senses`), as the paths are configured for them."""

from __future__ import annotations

from dataclasses import replace

from haltere.fpga.configuration import SENSORS, Sensor, configure
from haltere.fpga.device import Device
from haltere.fpga.paths import FLOW, GPS, LIDAR
from haltere.fpga.registers import offset

STREET_ACCELERATION_NOISE_M_S2 = 1.0
"""Standard deviation of the IMU's error over a tick, tilt and vibration included."""
STREET_PREDICTION = (16384, 256)
"""Weights of the fused prediction: its position follows the paths over seconds, so that GPS does not shake it."""
STREET_DWELL_TICKS = 50
STREET_BURST_TICKS = (22, 90)
"""Ticks of a burst of the ring, its wake-up and two samples in it, and from one to the next."""
STREET_RING_PART = 0.5
"""Of the ring's power: that of the four beams of which the position is worked out. The others tell of the weather only,
and their pins are on while every path is."""
STREET_BURST_DUTY = STREET_BURST_TICKS[0] / STREET_BURST_TICKS[1]
_CHANGES: dict[int, dict[str, object]] = {
    # What registers the pictures shrinks their motion by some 3 % on a fair day (`haltere.sim.senses.flow`).
    FLOW: {
        "noise": (0.06, 0.06, 0.02),
        "calibration": ((1.024e-3 * 1.03, 0, 0), (0, 1.024e-3 * 1.03, 0), (0, 0, 1e-3)),
    },
    # Gains for bursts, in which there are some ten samples a second: they have to make good the drift between.
    LIDAR: {"noise": (0.009, 0.009), "rate_hz": 100.0, "gain_rate_hz": 10.0, "delay_s": 0.01, "silence_s": 0.3},
    GPS: {"noise": (12.0, 12.0, 0.3)},
}
STREET_SENSORS: tuple[Sensor, ...] = tuple(
    replace(sensor, **_CHANGES.get(number, {}))  # type: ignore[arg-type]
    for number, sensor in enumerate(SENSORS)
)


def configure_street(device: Device) -> None:
    """Writes all of the street's configuration; dwell and bursts are of 2 ms ticks."""
    configure(device, STREET_SENSORS, STREET_ACCELERATION_NOISE_M_S2, STREET_PREDICTION)
    on, period = STREET_BURST_TICKS
    device.write(offset("DWELL"), STREET_DWELL_TICKS)
    device.write(offset("BURST_TICKS"), period << 16 | on)
