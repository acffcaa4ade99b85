"""A pinhole camera: where a point of the world falls in a picture. OpenGL conventions, NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_NEAR_M, _FAR_M = 0.02, 500.0
_SMALLEST_SCENE_M = 1.2


@dataclass(frozen=True)
class Camera:
    """A camera that looks at a target.

    Attributes:
      target_world_m: what it looks at, m.
      distance_m: from the target, m.
      azimuth_rad: direction from which it looks, about world z, from world x, rad.
      elevation_rad: how far above the horizon it stands, rad.
      width, height: of the picture, pixels.
      field_of_view_rad: vertical, rad.
    """

    target_world_m: tuple[float, float, float]
    distance_m: float
    azimuth_rad: float = math.radians(-62.0)
    elevation_rad: float = math.radians(26.0)
    width: int = 768
    height: int = 576
    field_of_view_rad: float = math.radians(40.0)

    @property
    def eye_world_m(self) -> Array:
        """(3,) where the camera stands, m."""
        level = math.cos(self.elevation_rad)
        away = [
            level * math.cos(self.azimuth_rad),
            level * math.sin(self.azimuth_rad),
            math.sin(self.elevation_rad),
        ]
        return np.asarray(self.target_world_m) + self.distance_m * np.array(away)

    def view(self) -> Array:
        """Returns the view matrix (4, 4), world to camera (x right, y up, z back)."""
        eye = self.eye_world_m
        back = (eye - np.asarray(self.target_world_m)) / self.distance_m
        right = np.cross((0.0, 0.0, 1.0), back)
        right /= np.linalg.norm(right)
        matrix = np.eye(4)
        matrix[:3, :3] = right, np.cross(back, right), back
        matrix[:3, 3] = -matrix[:3, :3] @ eye
        return matrix

    def projection(self) -> Array:
        """Returns the projection matrix (4, 4), camera to clip space."""
        f = 1.0 / math.tan(0.5 * self.field_of_view_rad)
        depth = _NEAR_M - _FAR_M
        matrix = np.zeros((4, 4))
        matrix[0, 0], matrix[1, 1] = f * self.height / self.width, f
        matrix[2, 2], matrix[2, 3] = (_FAR_M + _NEAR_M) / depth, 2 * _FAR_M * _NEAR_M / depth
        matrix[3, 2] = -1.0
        return matrix

    def project(self, point_world_m: Array) -> tuple[Array, Array]:
        """Projects points.

        Args:
          point_world_m: (n, 3), m.
        Returns:
          Pixels (n, 2), x right and y down from the top left corner; and depth (n,), m, where what is not
          above 0 lies behind the camera.
        """
        homogeneous = np.column_stack([point_world_m, np.ones(len(point_world_m))])
        clip = homogeneous @ (self.projection() @ self.view()).T
        depth = clip[:, 3]
        ndc = clip[:, :2] / np.maximum(depth, _NEAR_M)[:, None]
        return (ndc * (1, -1) + 1) * (0.5 * self.width, 0.5 * self.height), depth


def camera_on(point_world_m: Array, width: int, height: int, margin: float = 0.11) -> Camera:
    """Returns the nearest camera that has all points, and the floor below them, in its picture.

    Args:
      point_world_m: (n, 3), m.
      width: pixels.
      height: pixels.
      margin: free part of the picture on each side.
    """
    low, high = point_world_m.min(axis=0), point_world_m.max(axis=0)
    middle = 0.5 * (low + high)
    room = np.maximum(0.0, _SMALLEST_SCENE_M - (high - low)) * (0.5, 0.5, 0.0)
    floor = (middle[0], middle[1], min(0.0, float(low[2])))
    point_world_m = np.vstack([point_world_m, low - room, high + room, floor])
    middle[2] = 0.5 * (floor[2] + high[2])
    target = (float(middle[0]), float(middle[1]), float(middle[2]))
    edge = np.array([width, height])
    distance = 0.3
    while distance < 0.5 * _FAR_M:
        camera = Camera(target, distance, width=width, height=height)
        pixel, depth = camera.project(point_world_m)
        if np.all(depth > _NEAR_M) and np.all((pixel > margin * edge) & (pixel < (1 - margin) * edge)):
            return camera
        distance *= 1.05
    return Camera(target, distance, width=width, height=height)
