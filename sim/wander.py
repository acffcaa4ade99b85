"""A random reference that never ends: a second-order Langevin process about a centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from haltere.policies.errors import ConfigError
from haltere.sim.setpoint import Array, Setpoint

_GRID_S = 0.01
_BLOCK = 1000


class Wander:
    """Langevin wander: dv = (-γ v - ω² x + n) dt, from rest at the centre, the same for the same seed.

    White noise would give an unbounded acceleration, which nothing can follow; so the noise n is
    band-limited by a first-order lag of `smoothing_s`, and tends to white noise of strength σ as that goes
    to zero. Between grid points (10 ms) position is the cubic that meets position and velocity.

    Source: Eschmann et al. 2025 (the reference of half of RAPTOR's training episodes).
    """

    def __init__(
        self,
        seed: int = 0,
        damping_1_s: float = 1.0,
        frequency_rad_s: float = 2.0,
        sigma: float = 0.5,
        centre_m: Sequence[float] | Array = (0.0, 0.0, 1.0),
        smoothing_s: float = 0.1,
    ) -> None:
        """Args:
          seed: seed of the noise.
          damping_1_s: γ, 1/s.
          frequency_rad_s: ω, rad/s.
          sigma: σ, m/s per √s.
          centre_m: (3,) centre, world, m.
          smoothing_s: lag of the noise, s.

        Raises:
          ConfigError: a value is out of range.
        """
        if min(damping_1_s, frequency_rad_s, sigma) < 0 or smoothing_s < _GRID_S or len(centre_m) != 3:
            raise ConfigError(
                f"wander with damping_1_s = {damping_1_s!r}, frequency_rad_s = {frequency_rad_s!r}, sigma = "
                f"{sigma!r}, smoothing_s = {smoothing_s!r}, centre_m = {centre_m!r}: expected numbers not "
                f"below 0, smoothing_s of at least {_GRID_S}, and a centre of three numbers"
            )
        self._generator = np.random.default_rng(seed)
        self._gamma, self._omega2, self._sigma = damping_1_s, frequency_rad_s**2, sigma
        self._centre = np.asarray(centre_m, np.float64)
        self._tau = smoothing_s
        self._noise = np.zeros(3)
        self._position = np.zeros((1, 3))
        self._velocity = np.zeros((1, 3))

    def at(self, time_s: float) -> Setpoint:
        """Returns the setpoint at a time (s)."""
        index, u = divmod(max(time_s, 0.0) / _GRID_S, 1.0)
        i = int(index)
        while i + 1 >= len(self._position):
            self._extend()
        x0, x1 = self._position[i : i + 2]
        m0, m1 = self._velocity[i : i + 2] * _GRID_S
        # Cubic Hermite in Horner form: x0 + m0 u + b u² + a u³.
        a = 2 * (x0 - x1) + m0 + m1
        b = 3 * (x1 - x0) - 2 * m0 - m1
        position = x0 + u * (m0 + u * (b + u * a))
        velocity = (m0 + u * (2 * b + u * 3 * a)) / _GRID_S
        acceleration = (2 * b + 6 * a * u) / _GRID_S**2
        return Setpoint(self._centre + position, velocity, acceleration, 0.0)

    def _extend(self) -> None:
        """Adds one block of grid points; noise is drawn in order, so that queries in any order agree."""
        position, velocity = np.empty((_BLOCK, 3)), np.empty((_BLOCK, 3))
        x, v, n = self._position[-1].copy(), self._velocity[-1].copy(), self._noise
        decay = np.exp(-_GRID_S / self._tau)
        spread = self._sigma * np.sqrt((1.0 - decay**2) / (2.0 * self._tau))
        for i, white in enumerate(self._generator.standard_normal((_BLOCK, 3))):
            acceleration = -self._gamma * v - self._omega2 * x + n
            n = decay * n + spread * white
            x = x + _GRID_S * (v + 0.5 * _GRID_S * acceleration)
            v = v + _GRID_S * acceleration
            position[i], velocity[i] = x, v
        self._noise = n
        self._position = np.vstack([self._position, position])
        self._velocity = np.vstack([self._velocity, velocity])
