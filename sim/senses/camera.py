"""A downward camera, rendered in PyBullet: pictures of textured ground through weather, and the flow between them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from haltere.sim.physics import Physics
from haltere.sim.senses import flow
from haltere.sim.senses.conditions import Conditions
from haltere.sim.senses.street import Street

Array = npt.NDArray[np.float64]

GROUND_M, TEXELS, FEATURE_M = 12.0, 1536, 0.05
"""Side of the textured ground, its picture's pixels, and the size of what is to be seen on it."""
_NEAR_M, _FAR_M = 0.02, 60.0
_STEPS = 6


class StreetScene:
    """A street in a PyBullet client of its own, for rays and for the camera. Close it when done."""

    def __init__(self, street: Street, seed: int = 0) -> None:
        """Args:
        street: its boxes.
        seed: of the ground's texture.
        """
        self._client = client = Physics()
        for low, high in zip(street.low, street.high, strict=True):
            half, middle = (0.5 * (high - low)).tolist(), (0.5 * (low + high)).tolist()
            solid = client.createCollisionShape(client.GEOM_BOX, halfExtents=half)
            client.createMultiBody(0, solid, -1, middle)
        reflectance = _texture(np.random.default_rng(seed))
        self._spread = float(reflectance.std() / reflectance.mean())
        with tempfile.TemporaryDirectory() as folder:
            picture, mesh = Path(folder) / "ground.png", Path(folder) / "ground.obj"
            Image.fromarray(np.repeat(np.round(255 * reflectance)[..., None], 3, axis=2).astype(np.uint8)).save(picture)
            h = GROUND_M / 2
            mesh.write_text(
                f"v {-h} {-h} 0\nv {h} {-h} 0\nv {h} {h} 0\nv {-h} {h} 0\n"
                "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/3/1\nf 1/1/1 3/3/1 4/4/1\n"
            )
            shape = client.createVisualShape(client.GEOM_MESH, fileName=str(mesh))
            plane = client.createCollisionShape(client.GEOM_PLANE)
            ground = client.createMultiBody(0, plane, shape)
            client.changeVisualShape(ground, -1, textureUniqueId=client.loadTexture(str(picture)))
        self._projection = client.computeProjectionMatrixFOV(42.0, flow.WIDTH / flow.HEIGHT, _NEAR_M, _FAR_M)

    def close(self) -> None:
        """Frees the client; a second call does nothing."""
        self._client.close()

    def ranges(self, origin: Array, direction: Array) -> Array:
        """As `Street.ranges`, by PyBullet's rays; origin (N, 3), directions (R, 3), result (N, R), m."""
        start = np.repeat(origin, len(direction), axis=0)
        end = start + _FAR_M * np.tile(direction, (len(origin), 1))
        hits = self._client.rayTestBatch(start.tolist(), end.tolist())
        found = [_FAR_M * hit[2] if hit[0] >= 0 else math.inf for hit in hits]
        return np.array(found).reshape(len(origin), len(direction))

    def render(self, position_m: Array) -> tuple[Array, Array]:
        """Renders the ground from a camera that is held level; top is world x, left is world y.

        Args:
          position_m: (3,), world.
        Returns:
          Reflectance over its mean on all ground, without the texture's own strength: mean 1, standard deviation 1
          where a texture is to be had; and distance along the view, m. Each (48, 64).
        """
        client = self._client
        eye = position_m.tolist()
        view = client.computeViewMatrix(eye, [eye[0], eye[1], eye[2] - 1.0], [1.0, 0.0, 0.0])
        _, _, colour, depth, _ = client.getCameraImage(
            flow.WIDTH,
            flow.HEIGHT,
            view,
            self._projection,
            shadow=0,
            lightAmbientCoeff=1.0,
            lightDiffuseCoeff=0.0,
            lightSpecularCoeff=0.0,
            renderer=client.ER_TINY_RENDERER,
        )
        grey = np.reshape(colour, (flow.HEIGHT, flow.WIDTH, 4))[..., 0] / 255.0
        along = _FAR_M * _NEAR_M / (_FAR_M - (_FAR_M - _NEAR_M) * np.reshape(depth, grey.shape))
        return 1 + (grey / 0.5 - 1) / self._spread, along


def exposed(seen: Array, distance_m: Array, conditions: Conditions, generator: np.random.Generator) -> Array:
    """Returns the picture through air and sensor, over its mean, (48, 64).

    Args:
      seen: from `StreetScene.render`.
      distance_m: from there.
      conditions: of one flight.
      generator: source of the noise.
    """
    through = np.exp(-math.log(20.0) / conditions.visibility_m[0] * distance_m)
    ground = 1 + conditions.texture[0] * (seen - 1)
    light = ground * through + conditions.airlight[0] * (1 - through)
    about = flow.picture(np.array([distance_m.mean()]), conditions)
    noise = math.hypot(about.noise[0], about.shimmer[0])
    return np.asarray(light / light.mean() + noise * generator.standard_normal(seen.shape))


def registered(before: Array, after: Array, noise: float) -> Array:
    """Returns the motion (2,) of a picture, in pixels down and right, by damped least squares.

    Args:
      before, after: (48, 64).
      noise: standard deviation of a pixel.
    Source: Lucas & Kanade 1981, repeated about the last estimate.
    """
    m = flow.MARGIN
    inner = before[m:-m, m:-m]
    moved, rows, columns = np.zeros(2), *inner.shape
    damping = float(flow.damping(np.array(noise))) * inner.size
    for _ in range(_STEPS):
        whole = np.clip(np.floor(moved), 1 - m, m - 3).astype(int)
        part = moved - whole
        r, c = m + whole
        corner = after[r - 1 : r + rows + 2, c - 1 : c + columns + 2]
        patch = (1 - part[0]) * corner[:-1] + part[0] * corner[1:]
        patch = (1 - part[1]) * patch[:, :-1] + part[1] * patch[:, 1:]
        mean = patch.copy()
        mean[1:-1, 1:-1] = 0.5 * (patch[1:-1, 1:-1] + inner)
        down = 0.5 * (mean[2:, 1:-1] - mean[:-2, 1:-1])
        right = 0.5 * (mean[1:-1, 2:] - mean[1:-1, :-2])
        error = inner - patch[1:-1, 1:-1]
        matrix = np.array([[(down * down).sum(), (down * right).sum()], [(down * right).sum(), (right * right).sum()]])
        sums = np.array([(down * error).sum(), (right * error).sum()]) - damping * moved
        moved = np.clip(moved + np.linalg.solve(matrix + damping * np.eye(2), sums), 1.0 - m, m - 3.0)
    return moved


class FlowCamera:
    """Angular rates of the ground from rendered pictures, one every 10 ms."""

    def __init__(self, scene: StreetScene, generator: np.random.Generator) -> None:
        """Args:
        scene: what is to be seen.
        generator: source of the noise.
        """
        self._scene = scene
        self._random = generator
        self._last: Array | None = None

    def rates(self, position_m: Array, conditions: Conditions) -> Array:
        """Takes a picture; returns the rates since the last one (1, 2), rad/s; zero for the first.

        Args:
          position_m: (3,), world.
          conditions: of one flight.
        """
        seen, along = self._scene.render(position_m)
        now = exposed(seen, along, conditions, self._random)
        last, self._last = self._last, now
        if last is None:
            return np.zeros((1, 2))
        about = flow.picture(np.array([along.mean()]), conditions)
        noise = math.hypot(about.noise[0], about.shimmer[0])
        return (registered(last, now, noise) * flow.PIXEL_RAD * flow.RATE_HZ)[None]


def _texture(generator: np.random.Generator) -> Array:
    """Reflectance of the ground, (TEXELS, TEXELS), mean 0.5: smoothed noise of the feature's size."""
    noise = generator.standard_normal((TEXELS, TEXELS))
    frequency = np.fft.fftfreq(TEXELS, GROUND_M / TEXELS)
    square = frequency[:, None] ** 2 + frequency[None] ** 2
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-square * (math.pi * FEATURE_M) ** 2)).real
    return np.asarray(np.clip(0.5 + 0.15 * smooth / smooth.std(), 0.02, 0.98))
