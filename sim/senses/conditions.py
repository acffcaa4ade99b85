"""What surrounds a vehicle that its sensors suffer from: weather, light, ground, sky, and how it flies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of N flights; every attribute is (N,).

    Attributes:
      visibility_m: meteorological optical range in fog, haze or dust.
      airlight: brightness of what fog or dust scatters, over that of the ground.
      rain_mm_h: rain.
      snow_mm_h: snowfall, as water.
      light: illuminance over that of a day.
      texture: standard deviation of the ground's reflectance over its mean.
      sky: share of the sky that GPS sees; below a half there is no fix.
      vibration_m_s2: standard deviation of each IMU sample's vibration.
      haste: rate at which the reference is flown, over the usual.
    """

    visibility_m: Array
    airlight: Array
    rain_mm_h: Array
    snow_mm_h: Array
    light: Array
    texture: Array
    sky: Array
    vibration_m_s2: Array
    haste: Array

    def where(self, chosen: npt.NDArray[np.bool_], other: Conditions) -> Conditions:
        """Returns the other's values in the chosen flights (N,)."""
        return Conditions(
            **{f.name: np.where(chosen, getattr(other, f.name), getattr(self, f.name)) for f in fields(self)}
        )

    def take(self, index: npt.NDArray[np.intp]) -> Conditions:
        """Returns the conditions of some flights, by index."""
        return Conditions(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


CLEAR: dict[str, Range] = {
    "visibility_m": (10_000.0, 30_000.0),
    "airlight": (1.0, 1.0),
    "rain_mm_h": (0.0, 0.0),
    "snow_mm_h": (0.0, 0.0),
    "light": (0.3, 1.0),
    "texture": (0.15, 0.35),
    "sky": (0.8, 1.0),
    "vibration_m_s2": (0.2, 0.6),
    "haste": (1.0, 1.0),
}
"""Smallest and largest value of each condition on a fair day; drawn evenly in logarithm."""

CONTEXTS: dict[str, dict[str, Range]] = {
    "clear": {},
    "fog": {"visibility_m": (5.0, 12.0), "airlight": (1.2, 1.6)},
    "rain": {"rain_mm_h": (10.0, 40.0), "visibility_m": (500.0, 2000.0), "light": (0.15, 0.4)},
    "snow": {"snow_mm_h": (1.5, 6.0), "visibility_m": (80.0, 400.0), "texture": (0.006, 0.015), "light": (0.8, 2.0)},
    "night": {"light": (1e-6, 1e-5)},
    "bare ground": {"texture": (0.003, 0.010)},
    "no GPS": {"sky": (0.1, 0.4)},
    "vibration": {"vibration_m_s2": (3.0, 6.0)},
    "fast": {"haste": (2.2, 2.8)},
}
"""The contexts that are known: what differs from a fair day. Visibility below 50 m is dense fog and rain of more than
4 mm/h heavy (UK Met Office); a millionth of a day's 1e5 lx is moonlight. The other ranges are assumptions."""

UNKNOWN = {"dust": {"visibility_m": (1.2, 2.0), "airlight": (0.5, 0.7), "light": (0.05, 0.12)}}
"""A context that nothing is trained on."""


def draw(contexts: Sequence[str], generator: np.random.Generator) -> Conditions:
    """Draws the conditions of flights.

    Args:
      contexts: (N) of `CONTEXTS` or `UNKNOWN`.
      generator: source of chance.
    Raises:
      ConfigError: there is no such context.
    """
    known = {**CONTEXTS, **UNKNOWN}
    for name in contexts:
        if name not in known:
            raise ConfigError(f"no context is called {name!r}; the contexts are {', '.join(known)}")
    values = {}
    for name, fair in CLEAR.items():
        low, high = np.array([known[context].get(name, fair) for context in contexts], np.float64).reshape(-1, 2).T
        part = generator.random(len(contexts))
        with np.errstate(divide="ignore"):
            values[name] = np.where(low > 0, np.exp((1 - part) * np.log(low) + part * np.log(high)), low)
    return Conditions(**values)
