"""Four rotors: motor lag, thrust curve, wear, ground effect."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from haltere.policies.errors import ConfigError
from haltere.sim.vehicle import ROTOR_DIRECTION, Vehicle

Array = npt.NDArray[np.float64]

GROUND_EFFECT_CAP = 0.25
"""Largest gain of thrust near the ground; the formula has no meaning much closer than a radius."""


class Rotors:
    """The rotors' speeds over time, and what they push with.

    Attributes:
      speed: (4,) rotor speeds in [0, 1], motor order.
      command: (4,) the speeds they strive for.
    """

    def __init__(self, vehicle: Vehicle, speed: Array) -> None:
        """Args:
        vehicle: thrust curve, torque constant and time constants.
        speed: (4,) speeds to start at, in [0, 1]; also the first command.
        """
        self._vehicle = vehicle
        self.speed: Array = np.clip(speed, 0.0, 1.0)
        self.command: Array = self.speed.copy()
        self._efficiency = np.ones(4)

    def set_efficiency(self, rotor: int, factor: float) -> None:
        """Sets what a rotor's thrust and torque are, over those of a new one.

        Args:
          rotor: 0 to 3, motor order.
          factor: 0 to 1.
        Raises:
          ConfigError: either is out of range.
        """
        if rotor not in range(4) or not 0.0 <= factor <= 1.0:
            raise ConfigError(
                f"rotor {rotor!r} with efficiency {factor!r}: expected a rotor 0 to 3 (front-right, "
                "back-right, back-left, front-left) and a factor 0 to 1"
            )
        self._efficiency[rotor] = factor

    def step(self, period_s: float, height_m: Array | None, upright: float) -> tuple[Array, float]:
        """Advances the motors and returns what the rotors push with, taken at the middle of the period.

        Args:
          period_s: physics period, s.
          height_m: (4,) height of each rotor above the ground, m; None: no ground effect.
          upright: cosine of the tilt; a rotor that faces away from the ground gains nothing.
        Returns:
          Thrust (4,) in N along body z, and the sum of the reaction torques about body z in N m.
        """
        vehicle = self._vehicle
        missing = self.command - self.speed
        lag = np.where(missing > 0, vehicle.motor_rise_s, vehicle.motor_fall_s)
        middle = self.speed + missing * -np.expm1(-0.5 * period_s / lag)
        self.speed = self.speed + missing * -np.expm1(-period_s / lag)
        thrust = vehicle.thrust_n(middle) * self._efficiency
        if height_m is not None:
            thrust = thrust * ground_effect(height_m, vehicle.rotor_radius_m, upright)
        return thrust, vehicle.torque_constant_m * float(ROTOR_DIRECTION @ thrust)


def ground_effect(height_m: Array, radius_m: float, upright: float) -> Array:
    """Returns thrust near the ground over thrust far from it: 1 + (r / 4h)², capped.

    Args:
      height_m: rotor heights above the ground, m.
      radius_m: rotor radius r, m.
      upright: cosine of the tilt.
    Source: Cheeseman and Bennett 1955, first term.
    """
    height = np.maximum(height_m, 1e-3)
    return 1.0 + max(0.0, upright) * np.minimum((radius_m / (4.0 * height)) ** 2, GROUND_EFFECT_CAP)
