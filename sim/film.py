"""Bodies that are moved along given paths, filmed by PyBullet's renderer: nothing is simulated here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError
from haltere.sim.camera import Camera
from haltere.sim.physics import Physics

Array = npt.NDArray[np.floating[Any]]
Color = tuple[float, float, float]

_STILL = np.array([0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Body:
    """A shape and where it is.

    Attributes:
      half: half lengths, m, of a box; of a ball its radius alone.
      color: red, green, blue, 0 to 1.
      position: (T, 3) or (3,) if it stands still, m, world.
      quat_xyzw: (T, 4) or (4,), body to world.
    """

    half: tuple[float, ...]
    color: Color
    position: Array
    quat_xyzw: Array = field(default_factory=_STILL.copy)


@dataclass(frozen=True, eq=False)
class Film:
    """What is shown.

    Attributes:
      time_s: (T,).
      bodies: all of them.
      look: (T, 3) what the camera looks at, m, world.
      distance_m: of the camera.
      azimuth_rad, elevation_rad: from where it looks, as of `Camera`.
    """

    time_s: Array
    bodies: list[Body]
    look: Array
    distance_m: float
    azimuth_rad: float
    elevation_rad: float


def box(half: tuple[float, float, float], color: Color, position: Array, quat_xyzw: Array = _STILL) -> Body:
    """Returns a box of half lengths, m."""
    return Body(half, color, position, quat_xyzw)


def ball(radius: float, color: Color, position: Array) -> Body:
    """Returns a ball."""
    return Body((radius,), color, position)


def turned(axis: int, angle_rad: Array) -> Array:
    """Returns rotations (..., 4), xyzw, about a world axis by angles (...)."""
    quat = np.zeros((*np.shape(angle_rad), 4))
    quat[..., axis], quat[..., 3] = np.sin(angle_rad / 2), np.cos(angle_rad / 2)
    return quat


def write_film(
    film: Film,
    path: str | Path,
    width: int = 768,
    height: int = 432,
    rate_hz: float = 25.0,
    status: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes an MP4 in real time.

    Args:
      film: what is shown.
      path: the file to write, `.mp4`.
      width, height: pixels, multiples of 16.
      rate_hz: frames per second.
      status: told the frames done, and of how many.
    Raises:
      ConfigError: the file cannot be written.
    """
    if not Path(path).parent.is_dir():
        raise ConfigError(f"video {path}: cannot be written, there is no folder {Path(path).parent}")
    times = np.arange(film.time_s[0], film.time_s[-1], 1 / rate_hz)
    places = np.minimum(np.searchsorted(film.time_s, times), len(film.time_s) - 1)
    client = Physics()
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=rate_hz, codec="libx264", quality=7, macro_block_size=16
    )
    with warnings.catch_warnings():
        # JAX warns of every fork; this one runs another program at once.
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        writer.send(None)
    try:
        made = [(_make(client, body), body) for body in film.bodies]
        for done, place in enumerate(places):
            for number, body in made:
                if done == 0 or body.position.ndim > 1:
                    here = body.position if body.position.ndim == 1 else body.position[place]
                    way = body.quat_xyzw if body.quat_xyzw.ndim == 1 else body.quat_xyzw[place]
                    client.resetBasePositionAndOrientation(number, here, way)
            writer.send(_look(client, film, int(place), width, height))
            status(done + 1, len(places))
    finally:
        writer.close()
        client.close()


def _make(client: Physics, body: Body) -> int:
    color = (*body.color, 1.0)
    if len(body.half) == 1:
        shape = client.createVisualShape(client.GEOM_SPHERE, radius=body.half[0], rgbaColor=color)
    else:
        shape = client.createVisualShape(client.GEOM_BOX, halfExtents=body.half, rgbaColor=color)
    return int(client.createMultiBody(baseMass=0.0, baseVisualShapeIndex=shape))


def _look(client: Physics, film: Film, place: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    x, y, z = (float(part) for part in film.look[place])
    camera = Camera((x, y, z), film.distance_m, film.azimuth_rad, film.elevation_rad, width, height)
    *_, pixels, _, _ = client.getCameraImage(
        width,
        height,
        viewMatrix=camera.view().T.ravel().tolist(),
        projectionMatrix=camera.projection().T.ravel().tolist(),
        lightDirection=(3, -4, 8),
        shadow=1,
        renderer=client.ER_TINY_RENDERER,
    )
    return np.ascontiguousarray(np.reshape(pixels, (height, width, 4))[..., :3].astype(np.uint8))
