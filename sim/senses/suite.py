"""The five sensors of N vehicles in a street, as the int16 codes that the sensing paths take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from haltere.sim.senses import flow
from haltere.sim.senses.conditions import Conditions
from haltere.sim.senses.drift import Drift
from haltere.sim.senses.optics import laser_ranges
from haltere.sim.senses.street import DOWN, RING, ROOM_M

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

PERIOD_S = 0.01
INVALID = -(2**15)
RING_LONGEST_M, RING_NOISE_M = 40.0, 0.0125
"""Of eight LIDAR-Lite v3HP (operation manual): 40 m to a white target; +-2.5 cm, taken as two standard deviations."""
RING_WAKE_S = 0.022
"""From its power to the ring's first measurement (operation manual)."""
RING_MISFIT_M = 0.4
"""Misfit of opposite ranges with the room beyond which a sample of the ring is not sent."""
DOWN_LONGEST_M, DOWN_NOISE_M = 4.0, 0.01
"""Of a VL53L1X: 4 m."""
_GRAVITY_M_S2 = 9.81
_USED = (0, 2, 4, 6)
"""Beams of the ring from which the position is worked out; another one without a return is sent as 0."""
PERIODS = {"flow": 1, "lidar": 1, "gps": 10, "radar": 4}
DELAYS = {"flow": 2, "lidar": 1, "gps": 12, "radar": 4}
"""Control periods between a sensor's samples, and from measurement to arrival."""


class Readings(NamedTuple):
    """What the sensors say of themselves, of N flights, for the context to be known by; the newest of each.

    Attributes:
      brightness: mean of the camera's picture, over a day's (logarithm, base 10).
      contrast: standard deviation of the camera's picture over its mean.
      shimmer: change from picture to picture that no motion explains, over the mean: drops and flakes.
      vibration_m_s2: standard deviation of the IMU over the last 0.1 s.
      returns: share of the ring's beams with a return.
      nearness: share of the ring's returns nearer than 3 m.
      power: mean power of the ring's returns over what their range would have in clear air (logarithm, base 10).
      down_power: the same of the time-of-flight sensor.
      fix: whether GPS has a fix.
      satellites: share of the sky that GPS sees.
      clutter: radar's noise over its usual one.
    """

    brightness: Array
    contrast: Array
    shimmer: Array
    vibration_m_s2: Array
    returns: Array
    nearness: Array
    power: Array
    down_power: Array
    fix: Array
    satellites: Array
    clutter: Array


class Surroundings(Protocol):
    """Whatever rays can be sent into."""

    def ranges(self, origin: Array, direction: Array) -> Array:
        """See `Street.ranges`."""


@dataclass(frozen=True, eq=False)
class Truth:
    """True states of N vehicles at the end of a control period.

    Attributes:
      position_m, velocity_m_s: (N, 3), world.
      acceleration_m_s2: (N, 3), world, without gravity, mean of the period.
    """

    position_m: Array
    velocity_m_s: Array
    acceleration_m_s2: Array


class Suite:
    """Measures; keeps what is under way, drifts and the newest readings."""

    def __init__(self, street: Surroundings, count: int, generator: np.random.Generator) -> None:
        """Args:
        street: where the vehicles fly.
        count: N, of flights.
        generator: source of all noise.
        """
        self._street = street
        self._random = generator
        self._count = count
        self._step = 0
        self._under_way: dict[str, deque[tuple[int, Codes]]] = {name: deque() for name in PERIODS}
        # Tilt: 0.3 degrees of the flight controller's attitude. GPS: 2.5 m CEP (SAM-M8Q data sheet), as 2.1 m an axis.
        self._tilt = Drift(generator, count, 2, 0.005, 20.0, settled=True)
        self._gps = Drift(generator, count, 3, 2.1, 60.0)
        self._multipath = Drift(generator, count, 3, 8.0, 5.0)
        self._barometer = Drift(generator, count, 1, 0.3, 120.0)
        zero, one = np.zeros(count), np.ones(count)
        self.readings = Readings(zero, zero, zero, zero, one, zero, zero, zero, one, one, one)
        self._few = {"returns": one, "nearness": zero, "power": zero}

    def seen(self, whole: npt.NDArray[np.bool_]) -> Readings:
        """Returns the newest readings, the ring's by all beams where it is whole (N,), by those in use elsewhere."""
        return self.readings._replace(
            **{name: np.where(whole, getattr(self.readings, name), few) for name, few in self._few.items()}
        )

    def measure(self, truth: Truth, conditions: Conditions, rates: Array | None = None) -> dict[str, Codes]:
        """Takes one control period of 10 ms.

        Args:
          truth: at its end.
          conditions: of each flight.
          rates: (N, 2) angular rates of the flow, rad/s, if a camera has seen them; otherwise they are modelled.
        Returns:
          By path, the codes (N, channels) that arrive now, if any; of the IMU (N, 5, 3), one a tick.
        """
        self._step += 1
        found = {"imu": self._imu(truth, conditions)}
        takers: dict[str, Callable[[], Codes]] = {
            "flow": lambda: self._flow(truth, conditions, rates),
            "lidar": lambda: self._ring(truth, conditions),
            "gps": lambda: self._satellites(truth, conditions),
            "radar": lambda: self._radar(truth, conditions),
        }
        for name, take in takers.items():
            if self._step % PERIODS[name] == 0:
                self._under_way[name].append((self._step + DELAYS[name], take()))
            if self._under_way[name] and self._under_way[name][0][0] <= self._step:
                found[name] = self._under_way[name].popleft()[1]
        return found

    def _normal(self, *shape: int) -> Array:
        return self._random.standard_normal((self._count, *shape))

    def _imu(self, truth: Truth, conditions: Conditions) -> Codes:
        shake = np.hypot(0.1, conditions.vibration_m_s2)[:, None, None] * self._normal(5, 3)
        tilt = self._tilt.step(PERIOD_S)
        bias = _GRAVITY_M_S2 * np.column_stack([tilt, np.zeros(self._count)])
        seen = (truth.acceleration_m_s2 + bias)[:, None] + shake
        old = self.readings.vibration_m_s2
        spread = np.sqrt(0.9 * old**2 + 0.1 * (shake**2).mean(axis=(1, 2)))
        self.readings = self.readings._replace(vibration_m_s2=spread)
        return _codes(seen / 0.005)

    def _flow(self, truth: Truth, conditions: Conditions, rates: Array | None) -> Codes:
        below = self._street.ranges(truth.position_m, DOWN)
        picture = flow.picture(below[:, 0], conditions)
        if rates is None:
            true_rates = truth.velocity_m_s[:, :2] / np.maximum(below, 0.05)
            rates = flow.measured_rates(true_rates, picture, self._random)
        ranged, power = laser_ranges(below, conditions, DOWN_LONGEST_M, DOWN_NOISE_M, self._random)
        clear = power[:, 0] * np.maximum(below[:, 0], 0.05) ** 2
        self.readings = self.readings._replace(
            brightness=np.log10(picture.brightness) + 0.02 * self._normal(),
            contrast=picture.contrast * (1 + 0.03 * self._normal()) + picture.noise,
            shimmer=picture.shimmer * np.abs(1 + 0.1 * self._normal()) + picture.noise,
            down_power=np.log10(np.maximum(clear, 1e-6)),
        )
        return _codes(np.column_stack([rates / 1e-3, ranged / 1e-3]))

    def _ring(self, truth: Truth, conditions: Conditions) -> Codes:
        true_m = self._street.ranges(truth.position_m, RING)
        ranged, power = laser_ranges(true_m, conditions, RING_LONGEST_M, RING_NOISE_M, self._random)
        self.readings = self.readings._replace(**_returned(ranged, power))
        self._few = _returned(ranged[:, _USED], power[:, _USED])
        codes = _codes(ranged / 1e-3)
        # Two opposite beams must add up to the room; if they do not, one has met a drop, a flake or fog.
        across = np.stack([ranged[:, 0] + ranged[:, 4], ranged[:, 2] + ranged[:, 6]], axis=1)
        codes[~(np.abs(across - ROOM_M) < RING_MISFIT_M).all(axis=1), 0] = INVALID
        unused = [beam for beam in range(len(RING)) if beam not in _USED]
        codes[:, unused] = np.where(codes[:, unused] == INVALID, 0, codes[:, unused])
        return codes

    def _satellites(self, truth: Truth, conditions: Conditions) -> Codes:
        period_s = PERIODS["gps"] * PERIOD_S
        shaded = np.clip((0.8 - conditions.sky) / 0.8, 0.0, 1.0)[:, None]
        error = self._gps.step(period_s) + shaded * self._multipath.step(period_s) + 0.2 * self._normal(3)
        # Below half of the sky the fix comes and goes.
        fix = self._random.random(self._count) < np.where(conditions.sky < 0.5, conditions.sky, 1.0)
        height = truth.position_m[:, 2:] + self._barometer.step(period_s) + 0.1 * self._normal(1)
        self.readings = self.readings._replace(
            fix=0.7 * self.readings.fix + 0.3 * fix, satellites=conditions.sky + 0.04 * self._normal()
        )
        place = np.where(fix[:, None], truth.position_m + error, np.nan)
        return _codes(np.column_stack([place, height]) / 0.01)

    def _radar(self, truth: Truth, conditions: Conditions) -> Codes:
        below = self._street.ranges(truth.position_m, DOWN)[:, 0]
        # Attenuation over a few metres is nothing (ITU-R P.838: 10 dB/km at 25 mm/h and 77 GHz); what rain scatters
        # back is noise.
        clutter = 1 + conditions.rain_mm_h / 25
        seen = below + 0.1 * clutter * self._normal()
        self.readings = self.readings._replace(clutter=clutter * (1 + 0.15 * self._normal()))
        return _codes(seen[:, None] / 0.01)


def _returned(ranged: Array, power: Array) -> dict[str, Array]:
    """Returns what beams (N, B) tell of the weather, (N,) each, as in `Readings`."""
    back = np.isfinite(ranged)
    number = np.maximum(back.sum(axis=1), 1)
    strength = np.where(back, power * np.nan_to_num(ranged) ** 2, 0.0).sum(axis=1) / number
    return {
        "returns": back.mean(axis=1),
        "nearness": (np.nan_to_num(ranged, nan=99.0) < 2.4).sum(axis=1) / number,
        "power": np.log10(np.maximum(strength, 1e-4)),
    }


def _codes(values: Array) -> Codes:
    """Rounds to int16; what is not a number is the code for nothing."""
    whole = np.clip(np.round(np.nan_to_num(values)), -32767, 32767).astype(np.int64)
    return np.where(np.isfinite(values), whole, INVALID)
