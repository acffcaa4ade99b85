"""What the hidden state is asked to know: the share that no probe reads, and vehicles that fly again."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from haltere.policies.foundation.fleet import launch
from haltere.policies.foundation.line import deepest
from haltere.policies.foundation.memory import unexplained
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.probe import full_thrust_to_weight
from haltere.policies.foundation.spread import AXIS, along, mesh_for
from haltere.policies.plants.quadrotor import Quadrotor

VEHICLES = 512
RAPTOR = load_population("raptor")


@pytest.fixture(scope="module")
def vehicle() -> Quadrotor:
    return sample(jax.random.key(0), VEHICLES, RAPTOR)


def share(vehicle: Quadrotor, hidden: jax.Array, alive: jax.Array) -> float:
    """Of two equal devices' vehicles, if the machine has two."""
    mesh = mesh_for(VEHICLES)
    spec = jax.tree.map(along, (vehicle, hidden, alive))
    each = jax.shard_map(
        lambda *some: jax.lax.pmean(unexplained(*some), AXIS), mesh=mesh, in_specs=spec, out_specs=PartitionSpec()
    )
    return float(each(vehicle, hidden, alive))


@pytest.mark.parametrize(("known", "low", "high"), [(0.0, 0.85, 1.0), (1.0, 0.0, 0.01), (0.5, 0.2, 0.7)])
def test_share_that_no_probe_reads(vehicle: Quadrotor, known: float, low: float, high: float) -> None:
    """Hidden states are noise, and one of them beside it what is asked for."""
    hidden = 0.2 * jax.random.normal(jax.random.key(1), (3, 16, VEHICLES))
    hidden = hidden.at[:, 4].multiply(1 - known).at[:, 4].add(known * full_thrust_to_weight(vehicle) / 5)
    everyone = jnp.ones(VEHICLES, bool)
    assert low <= share(vehicle, hidden, everyone) <= high


def test_the_lost_do_not_count(vehicle: Quadrotor) -> None:
    hidden = jnp.zeros((2, 16, VEHICLES)).at[:, 0].set(full_thrust_to_weight(vehicle) / 5)
    broken = hidden.at[:, 0, ::4].set(-1.0)
    alive = jnp.arange(VEHICLES) % 4 > 0
    assert share(vehicle, broken, alive) < 0.01 < share(vehicle, broken, jnp.ones(VEHICLES, bool))


def test_gradient_is_that_of_the_best_probe(vehicle: Quadrotor) -> None:
    """Held against finite differences, in which the probe is fitted anew."""
    hidden = 0.2 * jax.random.normal(jax.random.key(1), (3, 16, VEHICLES))
    hidden = hidden.at[:, 4].add(0.1 * full_thrust_to_weight(vehicle))
    direction = jax.random.normal(jax.random.key(2), hidden.shape)
    one = jax.vmap(
        lambda amount: unexplained(vehicle, hidden + amount * direction, jnp.ones(VEHICLES, bool)), axis_name=AXIS
    )
    slope = jax.grad(lambda amount: one(amount[None])[0])(0.0)
    step = 1e-2
    difference = (one(jnp.array([step]))[0] - one(jnp.array([-step]))[0]) / (2 * step)
    np.testing.assert_allclose(slope, difference, rtol=0.05)


def test_vehicles_fly_again_as_they_were_built() -> None:
    draw = partial(launch, vehicles=8, population=RAPTOR, acceleration_m_s2=3.0, remember=deepest([RAPTOR]))
    first, other = draw(jax.random.key(0)), draw(jax.random.key(1))
    again = jnp.arange(8) < 3
    second = draw(jax.random.key(1), again=(again, first))
    np.testing.assert_array_equal(second.built.mass, jnp.where(again, first.built.mass, other.built.mass))
    np.testing.assert_array_equal(second.line.noise, jnp.where(again, first.line.noise, other.line.noise))
    assert not np.array_equal(second.loop.state.position[:, :3], first.loop.state.position[:, :3])
