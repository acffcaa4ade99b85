"""Wind: a mean and gusts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weather:
    """What the air does.

    Attributes:
      wind_world_m_s: (3,) mean wind, the way the air moves, m/s.
      gust_world_m_s: (3,) standard deviation of the gusts along each axis, m/s.
      gust_time_s: correlation time of the gusts, s.
    Raises:
      ConfigError: a value is out of range.
    """

    wind_world_m_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gust_world_m_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gust_time_s: float = 1.0

    def __post_init__(self) -> None:
        for key in ("wind_world_m_s", "gust_world_m_s"):
            value = getattr(self, key)
            if np.shape(value) != (3,) or not all(abs(v) <= 50 for v in value):
                raise ConfigError(f"{key} = {value!r}: expected three numbers within ±50 m/s")
        if min(self.gust_world_m_s) < 0:
            raise ConfigError(f"gust_world_m_s = {self.gust_world_m_s!r}: a standard deviation is not below 0")
        if not 0.01 <= self.gust_time_s <= 1000:
            raise ConfigError(f"gust_time_s = {self.gust_time_s!r}: outside the allowed range 0.01 to 1000")

    @property
    def still(self) -> bool:
        """Whether there is no wind at all."""
        return not any(self.wind_world_m_s) and not any(self.gust_world_m_s)


class Wind:
    """Wind over time: the mean plus a first-order Gauss-Markov gust along each axis.

    It is the Dryden model's longitudinal filter, used on all three axes, at a fixed correlation time.
    Source: MIL-F-8785C, sec. 3.7.
    """

    def __init__(self, weather: Weather, generator: np.random.Generator) -> None:
        """Args:
        weather: mean and gusts.
        generator: source of the gusts.
        """
        self._weather = weather
        self._generator = generator
        self._mean = np.asarray(weather.wind_world_m_s, np.float64)
        self._deviation = np.asarray(weather.gust_world_m_s, np.float64)
        self._gust = self._deviation * generator.standard_normal(3)

    def step(self, period_s: float) -> Array:
        """Advances the gusts by a period (s); returns the wind (3,), world, m/s."""
        if self._weather.still or not self._deviation.any():
            return self._mean
        keep = math.exp(-period_s / self._weather.gust_time_s)
        noise = self._deviation * self._generator.standard_normal(3)
        self._gust = keep * self._gust + math.sqrt(1.0 - keep * keep) * noise
        return np.asarray(self._mean + self._gust)
