"""The closed loop: latency, noise and bias are what they are said to be."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.line import Depth, Line, clean_line, deepest, sample_line
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.foundation.rollout import Loop, advance, fade, measure, start
from haltere.policies.plants.quadrotor import Quadrotor, step

COUNT, STEPS = 4, 40
REFERENCE = evaluate.figure_eight(COUNT, 2.0)
WEIGHTS = student.Student(nnx.Rngs(1)).weights()
DECIDE = partial(student.step, WEIGHTS._replace(output_weight=30 * WEIGHTS.output_weight))
QUIET = jnp.zeros((18, COUNT))


@pytest.fixture(scope="module")
def vehicle() -> Quadrotor:
    return sample(jax.random.key(3), COUNT, load_population("raptor"))


def begin(vehicle: Quadrotor, depth: Depth) -> Loop:
    initial = evaluate.at_rest(vehicle)
    return start(initial.state, initial.action, student.fresh(WEIGHTS, COUNT), REFERENCE, depth)


def fly(vehicle: Quadrotor, line: Line, depth: Depth, noise: jax.Array = QUIET) -> tuple[np.ndarray, np.ndarray]:
    """Positions (T, 3, V) and actions (T, 4, V)."""

    def tick(loop: Loop, _: None) -> tuple[Loop, tuple[jax.Array, jax.Array]]:
        after = advance(DECIDE, vehicle, line, REFERENCE, loop, noise, 1e3)
        return after, (after.state.position, after.action)

    _, rows = jax.lax.scan(tick, begin(vehicle, depth), None, length=STEPS)
    return np.asarray(rows[0]), np.asarray(rows[1])


@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_delayed_action_is_a_stale_observation(vehicle: Quadrotor, late: int) -> None:
    """Against a loop that is written the other way round: it keeps measurements, and answers an old one."""
    initial = evaluate.at_rest(vehicle)
    state, action, hidden = initial.state, initial.action, student.fresh(WEIGHTS, COUNT)
    seen: list[jax.Array] = []
    positions = []
    for index in range(STEPS):
        seen.append(measure(state, REFERENCE.at(jnp.full(COUNT, 0.01 * index))))
        if index >= late:
            action, hidden = DECIDE(jnp.concatenate([seen[index - late], action]), hidden)
        state = step(vehicle, state, action)
        positions.append(state.position)
    flown, _ = fly(vehicle, clean_line(COUNT, late), Depth(3, 0))
    np.testing.assert_allclose(flown, np.stack(positions), atol=2e-5)


def test_each_vehicle_has_its_own_latency(vehicle: Quadrotor) -> None:
    latency = jnp.array([0, 3, 1, 2])
    mixed, _ = fly(vehicle, clean_line(COUNT)._replace(latency=latency), Depth(3, 0))
    for index, late in enumerate(latency):
        alone, _ = fly(vehicle, clean_line(COUNT, int(late)), Depth(3, 0))
        np.testing.assert_allclose(mixed[:, :, index], alone[:, :, index], atol=1e-6)


def test_a_later_velocity_is_that_of_before(vehicle: Quadrotor) -> None:
    late = 2
    initial = evaluate.at_rest(vehicle)
    state, action, hidden = initial.state, initial.action, student.fresh(WEIGHTS, COUNT)
    seen = [measure(state, REFERENCE.at(jnp.zeros(COUNT)))[12:15]] * late
    actions = []
    for index in range(STEPS):
        now = measure(state, REFERENCE.at(jnp.full(COUNT, 0.01 * index)))
        seen.append(now[12:15])
        action, hidden = DECIDE(jnp.concatenate([now[:12], seen[index], now[15:], action]), hidden)
        state = step(vehicle, state, action)
        actions.append(action)
    line = clean_line(COUNT)._replace(velocity_latency=jnp.full(COUNT, late))
    np.testing.assert_allclose(fly(vehicle, line, Depth(0, 3))[1], np.stack(actions), atol=2e-5)


def test_noise_and_bias_reach_the_policy_alone(vehicle: Quadrotor) -> None:
    told = clean_line(COUNT)._replace(bias=0.1 * jnp.ones((18, COUNT)))
    noisy = clean_line(COUNT, noise=(0.05, 0.05, 0.05, 0.05))
    constant, _ = fly(vehicle, told, Depth(0, 0))
    drawn, _ = fly(vehicle, noisy, Depth(0, 0), noise=2 * jnp.ones((18, COUNT)))
    np.testing.assert_allclose(constant, drawn, atol=1e-5)
    assert np.abs(constant - fly(vehicle, clean_line(COUNT), Depth(0, 0))[0]).max() > 1e-4


def test_lines_are_drawn_as_the_population_says() -> None:
    world = load_population("world")
    line = sample_line(jax.random.key(0), 20_000, world)
    assert deepest([world, load_population("wide")]) == Depth(4, 3)
    for latency, shares in (
        (line.latency, world.latency_share),
        (line.velocity_latency, world.velocity_latency_share),
    ):
        found = np.bincount(np.asarray(latency), minlength=len(shares)) / 20_000
        np.testing.assert_allclose(found, np.array(shares) / sum(shares), atol=0.02)
    quiet = np.asarray(line.noise[0]) < 1.0001 * world.position_noise_m
    assert 1 - quiet.mean() == pytest.approx(world.noisy_fraction, abs=0.02)
    assert line.noise[0].max() <= world.noisy_factor * world.position_noise_m * 1.0001
    assert line.bias[:3].max() == 0
    assert float(line.bias[15:].std()) == pytest.approx(world.angular_velocity_bias_rad_s, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "angle_deg", "speed_m_s"), [("code", 57.3, 1.0), ("paper", 90.0, 1.0), ("thrown", 120.0, 4.0)]
)
def test_flights_begin_within_their_bounds(kind: str, angle_deg: float, speed_m_s: float) -> None:
    vehicle = sample(jax.random.key(4), 2000, load_population("raptor"))
    state = evaluate.scatter(jax.random.key(5), vehicle, kind).state
    angle = 2 * np.degrees(np.arccos(np.clip(state.quat_wxyz[0], -1, 1)))
    assert 0.95 * angle_deg < angle.max() < 1.001 * angle_deg
    assert 0.95 * speed_m_s < np.abs(state.velocity).max() <= speed_m_s
    assert 0.95 * speed_m_s < np.abs(state.angular_velocity).max() <= speed_m_s
    assert (np.abs(state.velocity).max(0) == 0).mean() == pytest.approx(0.1, abs=0.03)


def test_no_vehicle_outweighs_the_others_in_the_gradient(vehicle: Quadrotor) -> None:
    """Gradients of norm 2, 1e6 and infinity, limit 3, factor 0.5: 1, 1.5 and nothing."""
    state = jax.tree.map(lambda leaf: leaf[..., :3], evaluate.at_rest(vehicle).state)
    pull = jnp.array([2.0, 1e6, jnp.inf])

    def loss(position: jax.Array) -> jax.Array:
        return (fade(state._replace(position=position), 0.5, 3.0).position[0] * pull).sum()

    slope = jax.grad(loss)(state.position)
    np.testing.assert_allclose(slope, [[1.0, 1.5, 0.0], [0, 0, 0], [0, 0, 0]], rtol=1e-6)
