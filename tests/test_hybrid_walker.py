"""The walker's mode in strides: how one is made, what a lost one costs, and the plan of gaits."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import clf_qp, learned, stride_planner, swing, walk, walker_mode
from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.stride_planner import Outlook
from haltere.policies.hybrid.swing import Swing
from haltere.policies.hybrid_policy import HybridPolicy, golden_error
from haltere.policies.plants import walker
from haltere.policies.plants.walker import Gait

MODE: Mode = walker_mode
DOMAIN = walker_mode.DOMAIN
MAKE = jax.jit(walker_mode.make)
STEP = jax.jit(walker_mode.step)
AHEAD = jax.jit(lambda stride, state: walk.stride(swing.law, stride, state))
ROWS = (4, 8, 11)
REPEATS = Swing(
    jnp.array([0.393, 0.183, 0.070]),
    jnp.array([0.159, 0.121, 0.091]),
    jnp.array([-0.338, -0.178, -0.072]),
    jnp.array([0.120, 0.079, 0.069]),
)
"""Strides that repeat three of the tabulated gaits; found by descent, rounded."""


def test_a_wanted_angle_and_its_slopes_agree() -> None:
    q1 = jnp.linspace(0.2, -0.16, 3)
    along = lambda place: swing.wanted(place, REPEATS)[0].sum()  # noqa: E731
    angle, slope, bend = swing.wanted(q1, REPEATS)
    np.testing.assert_allclose(jax.grad(along)(q1), slope, atol=1e-5)
    np.testing.assert_allclose(jax.grad(lambda place: jax.grad(along)(place).sum())(q1), bend, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(angle[0], REPEATS.lead[0], atol=1e-6)
    np.testing.assert_allclose(swing.wanted(-REPEATS.landing, REPEATS)[0], 2 * REPEATS.landing, atol=1e-6)


def test_torque_is_limited_and_moves_the_error_as_wanted() -> None:
    state = jnp.asarray(POST_IMPACT[list(ROWS)].T)
    assert (jnp.abs(swing.law(state, REPEATS)) <= walker.LARGEST_TORQUE_N_M).all()
    near = jnp.stack([jnp.full(3, 0.15), REPEATS.lead - 0.002, jnp.full(3, -0.6), jnp.full(3, 0.02)])
    flown = walker.flow(0, near, swing.law(near, REPEATS), Gait(REPEATS.landing))
    w = swing.FREQUENCY_RAD_S
    np.testing.assert_allclose(flown[3], w**2 * 0.002 - 2 * w * 0.02, rtol=1e-3, atol=2e-3)


def test_the_family_of_strides_repeats_published_gaits() -> None:
    state = jnp.asarray(POST_IMPACT[list(ROWS)].T)
    made = MAKE(state, REPEATS)
    assert made.valid.all()
    np.testing.assert_allclose(made.state, state, atol=0.02)


def test_a_leg_held_ahead_carries_over_what_the_published_law_cannot() -> None:
    task = walk.same_gait()
    start, target = jnp.asarray(task.start[:, 20:40]), Gait(jnp.asarray(task.target[0, 20:40]))
    published, _ = jax.jit(lambda x: walk.stride(clf_qp.law, target, x))(start)
    reached = []
    for lead in (0.4, 0.6, 0.75, 0.85):
        stride = Swing(*(jnp.full(start.shape[1], number) for number in (lead, 0.0, 0.2, 0.05)))
        after, valid = AHEAD(stride._replace(landing=target.angle), start)
        reached.append(valid & (jnp.abs(after[0] - target.angle) < walk.REACHED_RAD))
    assert float((jnp.abs(published[0] - target.angle) < walk.REACHED_RAD).mean()) < 0.5
    assert float(jnp.stack(reached).any(0).mean()) > 0.8


def test_a_stride_of_the_mode_is_that_of_the_walk() -> None:
    numbers = DOMAIN.configurations(jax.random.key(0), 16)
    state = 0.5 * MODE.scatter(jax.random.key(1), 16)
    action = jnp.zeros((4, 16))
    place, stride = walker_mode.placed(state, numbers), walker_mode.swing_of(action, numbers)
    np.testing.assert_allclose(walker_mode.error(place, numbers), state, atol=1e-6)
    made, (after, _) = MAKE(place, stride), AHEAD(stride, place)
    assert made.valid.any()
    np.testing.assert_allclose(made.state[:, made.valid], after[:, made.valid], rtol=1e-5, atol=1e-6)
    found = STEP(numbers, state, action)
    ended = np.asarray(made.valid)
    inside = ended & (np.abs(DOMAIN.scaled(found)) < walker_mode.LOST - 1e-3).all(0)
    np.testing.assert_allclose(walker_mode.placed(found, numbers)[:, inside], after[:, inside], atol=1e-5)
    assert (DOMAIN.scaled(found)[:, ~ended] >= walker_mode.LOST - 1e-4).all()


def test_a_lost_stride_costs_more_the_less_far_it_came() -> None:
    numbers = jnp.full((1, 3), 0.12)
    state = jnp.zeros((4, 3)).at[2].set(jnp.array([0.5, 0.4, 0.35]))
    cost, slope = jax.jit(jax.value_and_grad(lambda x: walker_mode.cost(walker_mode.step(numbers, x, 0 * x)).sum()))(
        state
    )
    each = walker_mode.cost(STEP(numbers, state, 0 * state))
    assert cost > 2 * walker_mode.LOST
    assert (jnp.diff(each) < 0).all()
    assert (slope[2] > 0).all()


def test_the_tabulated_gaits_are_the_equilibria() -> None:
    rows = POST_IMPACT[1:15]
    np.testing.assert_allclose(walker_mode.gait(jnp.asarray(rows[:, 0])), rows.T, atol=2e-6)


def test_another_gait_leaves_the_walker_where_a_task_may_put_it() -> None:
    numbers, state = DOMAIN.configurations(jax.random.key(2), 64), 0.2 * DOMAIN.uniform(jax.random.key(3), 64)
    following, after = MODE.switch(jax.random.key(4), numbers, state)
    assert (jnp.abs(following - numbers) <= walker_mode.LARGEST_CHANGE_RAD + 1e-6).all()
    moved = walker_mode.placed(after, following) - walker_mode.placed(state, numbers)
    moved = moved.at[1].add(2 * moved[0])
    assert (jnp.abs(moved) <= jnp.array(walker_mode.START)[:, None] + 1e-5).all()


def test_its_file_repeats_the_networks(tmp_path: Path) -> None:
    drawn = learned.draw(jax.random.key(5), MODE)
    path = hybrid_file.write(tmp_path / "walker.onnx", drawn, MODE, {"name": "walker"})
    for one, other in zip(jax.tree.leaves(drawn), jax.tree.leaves(hybrid_file.read(path, MODE)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert golden_error(HybridPolicy(path.read_bytes()), hybrid_file.golden(drawn, MODE)) < 1e-5


@pytest.mark.slow
def test_the_planner_does_not_lose_walkers_that_go_at_once_and_walking_ends_early() -> None:
    drawn = learned.draw(jax.random.key(6), MODE)
    task = walk.same_gait(samples=2)
    target = Gait(jnp.asarray(task.target[0]))
    valid = []
    for plan in (stride_planner.unplanned(drawn), stride_planner.plan(drawn, Outlook(iterations=1))):
        walked = jax.jit(lambda start, plan=plan: walk.walk(stride_planner.law, start, target, plan, 2))(task.start)
        valid.append(float(walked.valid.mean()))
        assert walked.plans.angle.shape == (2, 14)
        assert (walked.plans.angle[0] <= DOMAIN.high[0]).all()
    assert valid[1] >= valid[0]
