"""The stage on which a flight is shown: sky, floor with a grid, lines in space, the vehicle, captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from haltere.sim.camera import Camera
from haltere.sim.model import Model

Array = npt.NDArray[np.float64]
Color = tuple[int, int, int]

SKY, HORIZON, FLOOR, GRID = (214, 226, 240), (246, 248, 250), (232, 234, 238), (196, 200, 208)
INK, REFERENCE, FLOWN, SHADOW = (38, 44, 56), (70, 110, 190), (230, 95, 25), (192, 196, 204)
MODE_COLOR: dict[str, Color] = {"FAST": (34, 139, 84), "SLOW": (222, 150, 20), "SAFE": (200, 45, 45)}
_OTHER_MODE: Color = (110, 116, 128)
_SMOOTHING = 2


class Stage:
    """Draws frames of one scene; the part that never changes is drawn once."""

    def __init__(self, camera: Camera, model: Model, reference_world_m: Array | None = None) -> None:
        """Args:
        camera: what looks on.
        model: the vehicle.
        reference_world_m: (n, 3) a line to draw, m.
        """
        self._camera = camera
        self._model = model
        self._backdrop = _backdrop(camera)
        if reference_world_m is not None and len(reference_world_m) > 1:
            self._line(ImageDraw.Draw(self._backdrop), reference_world_m, REFERENCE, 1.8)

    def frame(
        self,
        position_world_m: Array,
        quat_wxyz: Array,
        turn_rad: Array,
        trail_world_m: Array | None = None,
        target_world_m: Array | None = None,
        captions: Sequence[str] = (),
        mode: str = "",
        footnote: str = "",
    ) -> npt.NDArray[np.uint8]:
        """Draws one frame.

        Args:
          position_world_m: (3,), m.
          quat_wxyz: (4,) body to world.
          turn_rad: (4,) angle of each propeller, rad.
          trail_world_m: (n, 3) flown path, oldest first; it fades with age.
          target_world_m: (3,) where the vehicle should be, m.
          captions: lines of text at the top left.
          mode: shown at the top right, in its colour.
          footnote: line of text at the bottom.
        Returns:
          (height, width, 3) RGB.
        """
        canvas = self._backdrop.copy()
        draw = ImageDraw.Draw(canvas)
        self._shadow(draw, position_world_m)
        if trail_world_m is not None and len(trail_world_m) > 1:
            self._line(draw, trail_world_m, FLOWN, 2.6, fade=True)
        if target_world_m is not None:
            self._dot(draw, target_world_m, REFERENCE)
        image = canvas.reduce(_SMOOTHING)
        cutout = self._model.cutout(self._camera, position_world_m, quat_wxyz, turn_rad)
        if cutout is not None:
            image.paste(cutout[0], cutout[1], cutout[0])
        self._write(ImageDraw.Draw(image), captions, mode, footnote)
        return np.asarray(image)

    def _line(self, draw: ImageDraw.ImageDraw, point: Array, color: Color, width: float, fade: bool = False) -> None:
        pixel, depth = self._camera.project(point)
        strong = np.linspace(0.15, 1.0, len(point)) if fade else np.ones(len(point))
        for i in range(len(point) - 1):
            if depth[i] > 0.05 and depth[i + 1] > 0.05:
                ends = [tuple(_SMOOTHING * pixel[i]), tuple(_SMOOTHING * pixel[i + 1])]
                draw.line(ends, _blend(FLOOR, color, float(strong[i])), round(width * _SMOOTHING))

    def _dot(self, draw: ImageDraw.ImageDraw, point: Array, color: Color) -> None:
        pixel, depth = self._camera.project(point[None])
        if depth[0] > 0.05:
            x, y = _SMOOTHING * pixel[0]
            r = 5.0 * _SMOOTHING
            draw.ellipse((x - r, y - r, x + r, y + r), outline=color, width=2 * _SMOOTHING)

    def _shadow(self, draw: ImageDraw.ImageDraw, position: Array) -> None:
        """A disc on the floor and a plumb line up to the vehicle: without them height cannot be seen."""
        angle = np.linspace(0.0, 2 * math.pi, 40)
        radius = 0.5 * self._model.reach_m
        disc = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(40)]) * radius
        disc += (position[0], position[1], 0.0)
        pixel, depth = self._camera.project(disc)
        if np.all(depth > 0.05):
            draw.polygon([tuple(p) for p in _SMOOTHING * pixel], fill=SHADOW)
            self._line(draw, np.array([[position[0], position[1], 0.0], position]), SHADOW, 1.0)

    def _write(self, draw: ImageDraw.ImageDraw, captions: Sequence[str], mode: str, footnote: str) -> None:
        size = max(12, self._camera.height // 32)
        for i, text in enumerate(captions):
            draw.text((size, size * (0.8 + 1.35 * i)), text, INK, _font(size))
        if mode:
            color = MODE_COLOR.get(mode, _OTHER_MODE)
            length = draw.textlength(mode, _font(size))
            right = self._camera.width - size
            box = (right - length - size, 0.7 * size, right, 2.3 * size)
            draw.rounded_rectangle(box, 0.8 * size, fill=color)
            draw.text((right - length - 0.5 * size, 0.86 * size), mode, (255, 255, 255), _font(size))
        if footnote:
            at = (size, self._camera.height - 1.8 * size)
            draw.text(at, footnote, _blend(FLOOR, INK, 0.7), _font(round(0.75 * size)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def _blend(a: Color, b: Color, part: float) -> Color:
    red, green, blue = (round(x + part * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _backdrop(camera: Camera) -> Image.Image:
    """Sky, and a floor at height 0 whose grid (1 m, in small scenes less) fades into the distance."""
    width, height = _SMOOTHING * camera.width, _SMOOTHING * camera.height
    horizon = 0.5 * height * (1 - math.tan(camera.elevation_rad) / math.tan(0.5 * camera.field_of_view_rad))
    rows = np.arange(height)
    sky = np.clip(rows / max(horizon, 1.0), 0.0, 1.0)[:, None]
    ground = np.clip((rows - horizon) / (0.25 * height), 0.0, 1.0)[:, None]
    above = np.array(SKY) + sky * (np.array(HORIZON) - np.array(SKY))
    below = np.array(HORIZON) + ground * (np.array(FLOOR) - np.array(HORIZON))
    column = np.where((rows < horizon)[:, None], above, below)
    image = Image.fromarray(np.repeat(column[:, None], width, axis=1).astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    spacing = 1.0 if camera.distance_m < 12 else 5.0
    spacing = 0.25 if camera.distance_m < 2 else spacing
    span = 24
    middle = np.round(np.asarray(camera.target_world_m[:2]) / spacing) * spacing
    steps = np.arange(-span, span + 1) * spacing
    for offset in steps:
        for axis in (0, 1):
            line = np.zeros((len(steps), 3))
            line[:, axis], line[:, 1 - axis] = middle[axis] + steps, middle[1 - axis] + offset
            pixel, depth = camera.project(line)
            far = np.linalg.norm(line[:, :2] - middle, axis=1) / (span * spacing)
            for i in range(len(line) - 1):
                if depth[i] > 0.05 and depth[i + 1] > 0.05 and far[i] < 1:
                    ends = [tuple(_SMOOTHING * pixel[i]), tuple(_SMOOTHING * pixel[i + 1])]
                    draw.line(ends, _blend(GRID, FLOOR, min(1.0, 1.2 * float(far[i]))), _SMOOTHING)
    return image
