"""A flight as an MP4 video."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError
from haltere.sim.camera import camera_on
from haltere.sim.flight import Flight
from haltere.sim.model import Model, visible_scale
from haltere.sim.stage import Stage
from haltere.sim.vehicle import Vehicle

Array = npt.NDArray[np.float64]

_TRAIL_S = 4.0
_TURN_RAD_S = 40.0


def write_video(
    flight: Flight,
    vehicle: Vehicle,
    path: str | Path,
    width: int = 768,
    height: int = 576,
    rate_hz: float = 25.0,
) -> None:
    """Writes a video in real time: the vehicle, its trail, its reference, tracking error and mode.

    A vehicle too small for the scene is drawn larger, and the video says so.

    Args:
      flight: what was flown.
      vehicle: what flew.
      path: the file to write, `.mp4`.
      width: pixels, a multiple of 16.
      height: pixels, a multiple of 16.
      rate_hz: frames per second.
    Raises:
      ConfigError: the flight is empty, the size is wrong, or the file cannot be written.
    """
    path = Path(path)
    if len(flight) < 2:
        raise ConfigError(f"video {path}: the flight has {len(flight)} rows, expected at least two")
    if width % 16 or height % 16 or min(width, height) < 160:
        raise ConfigError(f"video size {width} x {height}: expected multiples of 16, at least 160")
    if not path.parent.is_dir():
        raise ConfigError(f"video {path}: cannot be written, there is no folder {path.parent}")
    camera = camera_on(scene_points(flight), width, height)
    scale = visible_scale(vehicle, camera.distance_m)
    times = np.arange(flight.time_s[0], flight.time_s[-1], 1.0 / rate_hz)
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=rate_hz, codec="libx264", quality=7, macro_block_size=16
    )
    writer.send(None)
    try:
        with Model(vehicle, scale) as model:
            stage = Stage(camera, model, flight.reference_position_world_m)
            for index in np.searchsorted(flight.time_s, times):
                writer.send(np.ascontiguousarray(_frame(flight, stage, int(index), scale)))
    finally:
        writer.close()


def scene_points(flight: Flight) -> Array:
    """Returns the points (n, 3) that a video of the flight should have in it, m.

    The 2 % of the path that lead farthest out are left out, so that one fall does not shrink all the rest.
    """
    low, high = np.quantile(flight.position_world_m, [0.02, 0.98], axis=0)
    return np.vstack([np.clip(flight.position_world_m, low, high), flight.reference_position_world_m])


def _frame(flight: Flight, stage: Stage, i: int, scale: float) -> npt.NDArray[np.uint8]:
    start = int(np.searchsorted(flight.time_s, flight.time_s[i] - _TRAIL_S))
    captions = [
        flight.vehicle,
        f"{flight.time_s[i]:.1f} s",
        f"{100 * flight.tracking_error_m[i]:.0f} cm from reference",
    ]
    larger = f"   |   vehicle drawn {scale:.1f} times its size" if scale > 1.05 else ""
    turn = _TURN_RAD_S * flight.time_s[i] * np.array([-1.0, 1.0, -1.0, 1.0])
    return stage.frame(
        flight.position_world_m[i],
        flight.quat_wxyz[i],
        turn,
        flight.position_world_m[start : i + 1],
        flight.reference_position_world_m[i],
        captions,
        flight.mode[i],
        f"blue: reference   orange: flown{larger}",
    )
