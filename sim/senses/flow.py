"""A downward camera's flow: what the picture is like, and how wrong the flow from it is.

The flow is the least-squares one of Lucas & Kanade 1981, damped by the pictures' known noise, so that a picture in
which nothing can be told says that nothing moves. Its error is that of the linear estimator; without damping it is the
Cramer-Rao bound (Robinson & Milanfar, Fundamental Performance Limits in Image Registration, 2004).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from haltere.sim.senses.conditions import Conditions

Array = npt.NDArray[np.float64]

WIDTH, HEIGHT, RATE_HZ = 64, 48, 100.0
PIXEL_RAD = math.radians(42.0) / HEIGHT
"""Field of view of the PMW3901: 42 degrees."""
ELECTRONS, DARK_ELECTRONS = 6000.0, 8.0
"""Of a pixel in daylight at the shortest exposure, and of the read noise; assumptions of a small sensor."""
LONGEST_GAIN = 20.0
"""Longest exposure over the shortest: 8 ms over 0.4 ms, at 100 pictures a second."""
SLOPE_1_PIXEL = 0.42
"""Gradient of the ground's texture over its standard deviation; measured on rendered pictures."""
GRID_PIXELS = 0.022
"""Error of registering pictures that the grid of pixels has sampled; fitted to rendered pictures."""
REACH_PIXELS = 6.0
"""Motion between two pictures at which half of them are matched wrongly: the margin within which is searched."""


MARGIN = 7
"""Pixels at the edge from which no flow is taken."""
PIXELS = (WIDTH - 2 * MARGIN) * (HEIGHT - 2 * MARGIN)


def damping(noise: Array) -> Array:
    """Returns what is added to the mean square of the gradient, from the noise of a pixel over the mean."""
    return np.asarray(0.5 * noise**2)


class Picture(NamedTuple):
    """A picture of the ground, of N flights, each (N,).

    Attributes:
      brightness: mean over that of a day.
      contrast: standard deviation over mean.
      noise: of a pixel, over the mean.
      shimmer: of drops and flakes, standard deviation over mean.
      exposure_s: time of exposure.
    """

    brightness: Array
    contrast: Array
    noise: Array
    shimmer: Array
    exposure_s: Array


def picture(distance_m: Array, conditions: Conditions) -> Picture:
    """Returns what a camera sees of ground at a distance (N,), m.

    Source: Koschmieder 1924, for the air; EMVA 1288, for the noise.
    """
    through = np.exp(-math.log(20.0) / conditions.visibility_m * distance_m)
    mean = through + conditions.airlight * (1 - through)
    brightness = conditions.light * mean
    gain = np.clip(0.3 / np.maximum(brightness, 1e-12), 1.0, LONGEST_GAIN)
    electrons = ELECTRONS * brightness * gain
    noise = np.sqrt(electrons + DARK_ELECTRONS**2) / np.maximum(electrons, 1e-9)
    # Drops and flakes in the picture's cone: the share of it that they cover.
    shimmer = 0.004 * np.sqrt(conditions.rain_mm_h) + 0.02 * np.sqrt(conditions.snow_mm_h)
    return Picture(brightness, conditions.texture * through / mean, np.minimum(noise, 10.0), shimmer, 4e-4 * gain)


def measured_rates(rates: Array, seen: Picture, generator: np.random.Generator) -> Array:
    """Returns the measured angular rates of the ground (N, 2), rad/s.

    Args:
      rates: the true ones.
      seen: the picture.
      generator: source of chance.
    """
    pixels = rates / (PIXEL_RAD * RATE_HZ)
    blur = np.abs(rates).max(axis=1) * seen.exposure_s / PIXEL_RAD
    slope = SLOPE_1_PIXEL * seen.contrast * np.abs(np.sinc(np.minimum(0.15 * blur, 0.95)))
    noise = np.hypot(seen.noise, seen.shimmer)
    share = slope**2 / (slope**2 + damping(noise))
    spread = math.sqrt(2.0) * noise * share / np.maximum(slope, 1e-9) / math.sqrt(PIXELS)
    matched = 1 / (1 + (np.linalg.norm(pixels, axis=1) / REACH_PIXELS) ** 8)
    spread = np.hypot(spread, GRID_PIXELS)[:, None]
    found = (share * matched)[:, None] * pixels + spread * generator.standard_normal(rates.shape)
    return np.asarray(found * PIXEL_RAD * RATE_HZ)
