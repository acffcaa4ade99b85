"""The regions of attraction of the quadrotor's modes: the level of V up to which flights come back.

A level is calibrated by flights that V was not fitted to: the largest below which at most a given share of flights
fails, with confidence, of flights that begin as the mode usually does.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation import student
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import Population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid.guarantee import upper_bounds
from haltere.policies.hybrid.network import Network
from haltere.policies.hybrid.quadrotor_flight import Flown

CHUNK = 2048
"""Vehicles that are flown at once."""
LEAST = 1e-6
"""Level of an empty region."""


class Starts(NamedTuple):
    """What became of S beginnings.

    Attributes:
      seen: (41, S) states at the beginning.
      value: (S,) V there.
      back: (S,) bool; the flight came back.
    """

    seen: np.ndarray
    value: np.ndarray
    back: np.ndarray

    @classmethod
    def of(cls, weights: Network, flown: Flown, mode: jax.Array) -> Starts:
        """Of vehicles that had settled before."""
        keep = np.asarray(flown.begun)
        value = jnp.exp(lyapunov.log_value(weights, flown.seen[0], lyapunov.one_hot(mode)))
        return cls(np.asarray(flown.seen[0])[:, keep], np.asarray(value)[keep], np.asarray(flown.back)[keep])


def along(weights: Network, flown: Flown, mode: jax.Array) -> np.ndarray:
    """Logarithm of V (T, V) along flights in modes (V,)."""
    which = lyapunov.one_hot(mode)

    def one(seen: jax.Array) -> jax.Array:
        return lyapunov.log_value(weights, seen, which)

    return np.asarray(jax.vmap(one)(flown.seen))


def starts(
    policy: student.Policy,
    weights: Network,
    population: Population,
    key: jax.Array,
    mode: int,
    reach: float,
    count: int,
    late: int = 0,
) -> Starts:
    """Begins a mode `count` times and flies on.

    Args:
      policy: that flies.
      weights: of V.
      population: of the vehicles.
      key: random.
      mode: which.
      reach: multiple of a usual beginning.
      count: flights, rounded up to whole chunks.
      late: control periods by which observations are late.
    """
    found = []
    line, which, far = clean_line(CHUNK, late), jnp.full(CHUNK, mode), jnp.full(CHUNK, reach)
    for index in range(-(-count // CHUNK)):
        first, second = jax.random.split(jax.random.fold_in(key, index))
        hover = flights.hovering(policy, first, CHUNK, population, line)
        flown, _ = flights.flown_from(policy, second, hover, which, far, line)
        found.append(Starts.of(weights, flown, which))
    return Starts(*(np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)))


def level(value: np.ndarray, back: np.ndarray, failing: float, confidence: float) -> float:
    """The largest V (S,) up to which the share of flights that are not back is at most `failing`, with confidence."""
    order = np.argsort(value)
    failures = np.cumsum(~back[order])
    fine = np.flatnonzero(upper_bounds(failures, np.arange(1, len(order) + 1), confidence) <= failing)
    return float(value[order][fine[-1]]) if len(fine) else LEAST
