"""Light on its way: laser ranging in fog, rain and snow, and a camera's picture of the ground.

Sources: fog, Hahner et al., Fog Simulation on Real LiDAR Point Clouds, 2021; rain, Goodin et al.,
Predicting the Influence of Rain on LIDAR in ADAS, 2019; drops, Marshall & Palmer 1948 and Gunn & Marshall
1958; camera fog, Koschmieder 1924; camera noise, EMVA 1288.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from haltere.sim.senses.conditions import Conditions
from haltere.sim.senses.street import REFLECTIVITY

Array = npt.NDArray[np.float64]

PULSE_M = 6.0
"""Length in range of a pulse of twice 20 ns half-power width (Hahner)."""
BEAM_M, BEAM_RAD = 0.003, 0.003
"""Width of a laser beam at the lens, and its divergence."""
_VISIBILITY_M = np.geomspace(0.5, 50_000.0, 160)


def _soft_table() -> tuple[Array, Array]:
    """Greatest power that fog sends back, and the range at which it does, for each of `_VISIBILITY_M`."""
    shift = np.linspace(0.0, PULSE_M, 121)
    pulse = np.sin(math.pi * shift / PULSE_M) ** 2
    at = np.linspace(0.1, 25.0, 500)
    r = at[:, None] - shift
    overlap = np.clip((r - 0.9) / 0.1, 0.0, 1.0)
    power, where = [], []
    for visibility in _VISIBILITY_M:
        alpha = math.log(20.0) / visibility
        echo = pulse * np.exp(-2 * alpha * np.maximum(r, 0)) * overlap / np.maximum(r, 0.5) ** 2
        total = 0.046 / visibility * echo.sum(axis=1) * (shift[1] - shift[0])
        power.append(total.max())
        where.append(max(at[total.argmax()] - PULSE_M / 2, 0.5))
    return np.array(power), np.array(where)


_SOFT_POWER, _SOFT_RANGE_M = _soft_table()


def extinction_1_m(conditions: Conditions) -> Array:
    """Returns the extinction (N,), 1/m: fog by its visibility, rain by its rate; snow by the visibility."""
    return np.asarray(math.log(20.0) / conditions.visibility_m + 0.01 * conditions.rain_mm_h**0.6)


def laser_ranges(
    truth_m: Array, conditions: Conditions, longest_m: float, noise_m: float, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Returns what a laser range finder says.

    The return is the target's or, if that is stronger, the fog's, or a single drop's or flake's; one that is weaker
    than that of a white target at the longest range is none.

    Args:
      truth_m: (N, R), m; infinite where there is nothing.
      conditions: of N flights.
      longest_m: longest range to a white target.
      noise_m: standard deviation in clear air.
      generator: source of chance.
    Returns:
      Ranges (N, R), m, NaN where there is no return; and power (N, R), over that of a white target at 1 m.
    """
    alpha = extinction_1_m(conditions)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.maximum(truth_m, 0.05)
        hard = np.where(np.isfinite(reach), REFLECTIVITY / math.pi * np.exp(-2 * alpha * reach) / reach**2, 0.0)
        spread = 0.02 * reach * (1 - np.exp(-np.minimum(conditions.rain_mm_h[:, None], 50.0))) ** 2
    spread = np.where(np.isfinite(spread), np.hypot(noise_m, spread), noise_m)
    measured = truth_m + spread * generator.standard_normal(truth_m.shape)
    log_visibility = np.log(conditions.visibility_m)
    soft = np.interp(log_visibility, np.log(_VISIBILITY_M), _SOFT_POWER)[:, None]
    fog_m = np.interp(log_visibility, np.log(_VISIBILITY_M), _SOFT_RANGE_M)[:, None]
    # Fog sends back from wherever the target has not yet cut the beam.
    foggy = (soft > hard) & (fog_m < reach)
    measured = np.where(foggy, fog_m * (1 + 0.1 * generator.standard_normal(truth_m.shape)), measured)
    power = np.where(foggy, soft, hard)
    particle, near_m = _particles(reach, conditions, longest_m, generator)
    measured, power = np.where(particle, near_m, measured), np.where(particle, np.maximum(power, 1e-2), power)
    least = 0.9 / (math.pi * longest_m**2)
    return np.where((power < least) | ~np.isfinite(measured), np.nan, measured), power * math.pi


def _particles(
    reach: Array, conditions: Conditions, longest_m: float, generator: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Array]:
    """Returns where a single drop or flake outshines the target, and how far away it is (m).

    It does if its diameter over the beam's exceeds its range over the target's: equal reflectivities.
    """
    shape = reach.shape
    if not conditions.rain_mm_h.any() and not conditions.snow_mm_h.any():
        return np.zeros(shape, np.bool_), np.zeros(shape)
    r = np.linspace(0.2, 3.0, 15)
    width = BEAM_M + BEAM_RAD * r
    far = np.minimum(reach, longest_m)[..., None]
    least_mm = 1e3 * width * np.minimum(r / far, 1.0)
    volume = math.pi / 4 * width**2 * (r[1] - r[0])
    expected = np.zeros((*shape, len(r)))
    for rate, density, power, slope, factor in (
        (conditions.rain_mm_h, 8e3, 0.0, 4.1, -0.21),
        (conditions.snow_mm_h, 3.8e3, -0.87, 2.55, -0.48),
    ):
        here = np.maximum(rate, 1e-6)[:, None, None]
        decay = slope * here**factor
        number = density * here**power / decay * np.exp(-decay * least_mm)
        expected += np.where(here > 1e-5, number * volume, 0.0) * (r < far)
    total = expected.sum(axis=-1)
    hit = generator.random(shape) < -np.expm1(-total)
    place = (generator.random(shape)[..., None] * total[..., None] > np.cumsum(expected, axis=-1)).sum(axis=-1)
    return hit, r[np.minimum(place, len(r) - 1)]
