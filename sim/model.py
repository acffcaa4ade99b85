"""What a quadrotor looks like: drawn by PyBullet's TinyRenderer, cut out and smoothed."""

from __future__ import annotations

import math
from itertools import pairwise
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image

from haltere.sim.camera import Camera
from haltere.sim.physics import Physics
from haltere.sim.vehicle import Vehicle

Array = npt.NDArray[np.float64]
Mesh = tuple[Array, Array]
"""Triangles (n, 3, 3) and one normal for each (n, 3)."""

_FRAME = (0.16, 0.18, 0.22, 1.0)
_FRONT = (0.95, 0.42, 0.13, 1.0)
_BACK = (0.35, 0.42, 0.52, 1.0)
_SMOOTHING = 3
_SMALLEST_REACH = 0.05
"""The vehicle's drawn reach over the camera's distance: smaller, and its attitude could not be seen."""
_LARGEST_SIDE = 420


class Model:
    """The picture of one vehicle: frame, arms, a nose, and four ringed propellers, the front ones orange."""

    def __init__(self, vehicle: Vehicle, scale: float = 1.0) -> None:
        """Args:
        vehicle: gives rotor positions and radius.
        scale: how many times its own size it is drawn.
        """
        self._client = Physics()
        self._hub = vehicle.rotor_position_m * scale
        radius = vehicle.rotor_radius_m * scale
        self.reach_m = float(np.linalg.norm(self._hub, axis=1).max()) + radius
        self._lift = 0.12 * radius
        self._frame = self._body(_frame_mesh(self._hub, self.reach_m), _FRAME)
        self._rotor = [self._body(_rotor_mesh(radius), _FRONT if hub[0] > 0 else _BACK) for hub in self._hub]

    def __enter__(self) -> Model:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the model."""
        self.close()

    def close(self) -> None:
        """Frees the renderer; a second call does nothing."""
        self._client.close()

    def cutout(
        self, camera: Camera, position_world_m: Array, quat_wxyz: Array, turn_rad: Array
    ) -> tuple[Image.Image, tuple[int, int]] | None:
        """Draws the vehicle alone.

        Args:
          camera: what looks at it.
          position_world_m: (3,), m.
          quat_wxyz: (4,) body to world.
          turn_rad: (4,) angle of each propeller, rad.
        Returns:
          A transparent picture and where its top left corner belongs; None when it is out of sight.
        """
        pixel, depth = camera.project(position_world_m[None])
        if depth[0] < 1.2 * self.reach_m:
            return None
        focal = 0.5 * camera.height / math.tan(0.5 * camera.field_of_view_rad)
        half = math.ceil(1.15 * focal * self.reach_m / (float(depth[0]) - self.reach_m)) + 2
        half = min(half, camera.height)
        x, y = (round(float(value)) for value in pixel[0])
        if not (-half < x < camera.width + half and -half < y < camera.height + half):
            return None
        self._place(position_world_m, quat_wxyz, turn_rad)
        # Enlarges the window (x, y) ± half to the whole picture, in clip space.
        crop = np.eye(4)
        crop[0, 0], crop[1, 1] = 0.5 * camera.width / half, 0.5 * camera.height / half
        crop[0, 3] = -crop[0, 0] * (2 * x / camera.width - 1)
        crop[1, 3] = crop[1, 1] * (2 * y / camera.height - 1)
        smoothing = max(1, min(_SMOOTHING, _LARGEST_SIDE // (2 * half)))
        side = 2 * half * smoothing
        client = self._client
        _, _, color, _, mask = client.getCameraImage(
            side,
            side,
            viewMatrix=camera.view().T.ravel().tolist(),
            projectionMatrix=(crop @ camera.projection()).T.ravel().tolist(),
            renderer=client.ER_TINY_RENDERER,
            shadow=0,
            lightDirection=(0.4, -0.8, 2.0),
            lightAmbientCoeff=0.55,
            lightDiffuseCoeff=0.6,
            lightSpecularCoeff=0.05,
        )
        rgba = np.array(color, np.uint8).reshape(side, side, 4)
        seen = np.array(mask).reshape(side, side) >= 0
        rgba[~seen] = 0
        rgba[..., 3] = np.where(seen, 255, 0)
        # Premultiplied while it shrinks, or the edges would darken.
        small = Image.fromarray(rgba, "RGBA").convert("RGBa").reduce(smoothing).convert("RGBA")
        return small, (x - half, y - half)

    def _place(self, position: Array, quat_wxyz: Array, turn_rad: Array) -> None:
        w, x, y, z = (float(q) for q in quat_wxyz)
        client = self._client
        client.resetBasePositionAndOrientation(self._frame, position.tolist(), (x, y, z, w))
        for body, hub, turn in zip(self._rotor, self._hub, turn_rad, strict=True):
            local = (float(hub[0]), float(hub[1]), float(hub[2]) + self._lift)
            spin = (0.0, 0.0, math.sin(0.5 * turn), math.cos(0.5 * turn))
            at, turned = client.multiplyTransforms(position.tolist(), (x, y, z, w), local, spin)
            client.resetBasePositionAndOrientation(body, at, turned)

    def _body(self, mesh: Mesh, color: tuple[float, float, float, float]) -> int:
        triangle, normal = mesh
        shape = self._client.createVisualShape(
            self._client.GEOM_MESH,
            vertices=triangle.reshape(-1, 3).tolist(),
            indices=list(range(3 * len(triangle))),
            normals=np.repeat(normal, 3, axis=0).tolist(),
            rgbaColor=color,
        )
        return int(self._client.createMultiBody(0, -1, shape))


def visible_scale(vehicle: Vehicle, distance_m: float) -> float:
    """Returns how many times its own size (at least 1) a vehicle must be drawn to be seen.

    Args:
      vehicle: what is drawn.
      distance_m: the camera's distance, m.
    """
    reach = float(np.linalg.norm(vehicle.rotor_position_m, axis=1).max()) + vehicle.rotor_radius_m
    return max(1.0, _SMALLEST_REACH * distance_m / reach)


def _frame_mesh(hub: Array, reach: float) -> Mesh:
    """Body, four arms, motors, and a nose that shows the front."""
    width = 0.05 * reach
    parts = [_box((0.0, 0.0, 0.0), (0.24 * reach, 0.15 * reach, 0.08 * reach), 0.0)]
    parts.append(_box((0.28 * reach, 0.0, 0.02 * reach), (0.08 * reach, 0.07 * reach, 0.05 * reach), 0.0))
    for x, y, z in hub:
        length, angle = math.hypot(x, y), math.atan2(y, x)
        parts.append(_box((0.5 * x, 0.5 * y, 0.5 * z), (0.5 * length, 0.7 * width, 0.5 * width), angle))
        parts.append(_box((x, y, z), (width, width, 1.2 * width), angle))
    return _joined(parts)


def _rotor_mesh(radius: float) -> Mesh:
    """A ring with a two-bladed propeller in it, about the origin."""
    parts = [_box((0.0, 0.0, 0.0), (0.86 * radius, 0.10 * radius, 0.02 * radius), 0.0)]
    angle = np.linspace(0.0, 2 * math.pi, 33)
    for a, b in pairwise(angle.tolist()):
        middle, length = 0.5 * (a + b), 0.95 * radius * (b - a)
        at = (0.95 * radius * math.cos(middle), 0.95 * radius * math.sin(middle), 0.0)
        parts.append(_box(at, (0.06 * radius, 0.55 * length, 0.05 * radius), middle))
    return _joined(parts)


def _box(middle: tuple[float, float, float], half: tuple[float, float, float], yaw_rad: float) -> Mesh:
    """Twelve triangles with flat normals."""
    triangle, normal = [], []
    for axis in range(3):
        for sign in (1.0, -1.0):
            u, v = np.roll(np.eye(3), axis, axis=1)[1:] * np.asarray(half)
            face = np.roll(np.eye(3), axis, axis=1)[0] * sign
            centre = face * np.asarray(half)
            corner = [centre - u - v, centre + u - v, centre + u + v, centre - u + v]
            order = (0, 1, 2, 0, 2, 3) if sign > 0 else (0, 2, 1, 0, 3, 2)
            triangle += [[corner[i] for i in order[:3]], [corner[i] for i in order[3:]]]
            normal += [face, face]
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.array(triangle) @ turn.T + np.asarray(middle), np.array(normal) @ turn.T


def _joined(parts: list[Mesh]) -> Mesh:
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
