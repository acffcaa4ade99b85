"""The five sensing paths, as they are wired in `rtl/carma_top.v`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Path:
    """One path's shape.

    Attributes:
      name: of the stream port `s_axis_NAME`.
      channels: raw 16-bit words in a sample.
      axes: of the vehicle that it estimates, as indices into x, y, z; contiguous.
      velocity: for each axis, whether the measurement is a velocity (IMU: acceleration) or a position.
      rates: channels 0 and 1 are angular rates, which the filter multiplies by the range in the last channel.
      predicts: the state moves with the vehicle between samples.
    """

    name: str
    channels: int
    axes: tuple[int, ...]
    velocity: tuple[bool, ...]
    rates: bool = False
    predicts: bool = True


PATHS = (
    Path("imu", 3, (0, 1, 2), (True, True, True), predicts=False),
    Path("flow", 3, (0, 1, 2), (True, True, False), rates=True),
    Path("lidar", 8, (0, 1), (False, False)),
    Path("gps", 4, (0, 1, 2), (False, False, False)),
    Path("radar", 1, (2,), (False,)),
)
IMU, FLOW, LIDAR, GPS, RADAR = range(5)
ALL_PATHS = 0b11111

QUEUE_DEPTH = 8
TICK_RATE_HZ = 500
