"""Vehicles in flight: those that were lost fly again as they were built."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation.fleet import launch
from haltere.policies.foundation.line import deepest
from haltere.policies.foundation.population import load_population

RAPTOR = load_population("raptor")


def test_vehicles_fly_again_as_they_were_built() -> None:
    draw = partial(launch, vehicles=8, population=RAPTOR, acceleration_m_s2=3.0, remember=deepest([RAPTOR]))
    first, other = draw(jax.random.key(0)), draw(jax.random.key(1))
    again = jnp.arange(8) < 3
    second = draw(jax.random.key(1), again=(again, first))
    np.testing.assert_array_equal(second.built.mass, jnp.where(again, first.built.mass, other.built.mass))
    np.testing.assert_array_equal(second.line.noise, jnp.where(again, first.line.noise, other.line.noise))
    assert not np.array_equal(second.loop.state.position[:, :3], first.loop.state.position[:, :3])
