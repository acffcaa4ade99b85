"""What stands between vehicle and policy: latency, noise, bias."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from haltere.policies.foundation.population import Population


class Line(NamedTuple):
    """What stands between vehicle and policy.

    Attributes:
      latency: (V,) int32, control periods by which the whole observation is late.
      velocity_latency: (V,) int32, control periods by which the velocity is later than the rest.
      noise: (18, V) standard deviation of each observed number.
      bias: (18, V) constant error of each observed number.
    """

    latency: jax.Array
    velocity_latency: jax.Array
    noise: jax.Array
    bias: jax.Array


class Depth(NamedTuple):
    """What a loop must remember: the largest latencies in it, in control periods."""

    whole: int = 3
    velocity: int = 0


def measured(position: float, rotation: float, velocity: float, angular_velocity: float) -> jax.Array:
    """One number for each of the first 18 of the observation: (18, 1), from one per quantity."""
    values = jnp.array([position, rotation, velocity, angular_velocity], jnp.float32)
    return jnp.repeat(values, jnp.array([3, 9, 3, 3]), total_repeat_length=18)[:, None]


def clean_line(vehicles: int, latency: int = 0, noise: tuple[float, float, float, float] = (0, 0, 0, 0)) -> Line:
    """A line that is the same for all V vehicles: latency in control periods, noise as for `measured`."""
    none = jnp.zeros((18, vehicles))
    late = jnp.full(vehicles, latency, jnp.int32)
    return Line(late, jnp.zeros_like(late), none + measured(*noise), none)


def deepest(populations: Iterable[Population]) -> Depth:
    """The largest latencies in any of some populations."""
    known = list(populations)
    return Depth(
        max(len(population.latency_share) for population in known) - 1,
        max(len(population.velocity_latency_share) for population in known) - 1,
    )


def sample_line(key: jax.Array, vehicles: int, population: Population) -> Line:
    """Draws the line of each vehicle: latencies, noise, bias."""
    k = jax.random.split(key, 5)

    def late(sub: jax.Array, shares: tuple[float, ...]) -> jax.Array:
        share = jnp.array(shares)
        bounds = jnp.cumsum(share / share.sum())[:-1]
        return jnp.searchsorted(bounds, jax.random.uniform(sub, (vehicles,)), side="right").astype(jnp.int32)

    noisy = jax.random.uniform(k[2], (vehicles,)) < population.noisy_fraction
    factor = jnp.where(noisy, jax.random.uniform(k[3], (vehicles,), minval=1, maxval=population.noisy_factor), 1.0)
    noise = measured(
        population.position_noise_m,
        population.rotation_noise,
        population.velocity_noise_m_s,
        population.angular_velocity_noise_rad_s,
    )
    bias = measured(0.0, population.rotation_bias, population.velocity_bias_m_s, population.angular_velocity_bias_rad_s)
    return Line(
        latency=late(k[0], population.latency_share),
        velocity_latency=late(k[1], population.velocity_latency_share),
        noise=noise * factor,
        bias=bias * jax.random.normal(k[4], (18, vehicles)),
    )
