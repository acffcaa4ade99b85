"""The pogobot against a loop in NumPy, against SciPy's events, against its energy, and its corridors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from haltere.policies.hybrid import corridors
from haltere.policies.plants import pogobot
from haltere.policies.plants.hybrid import HybridSystem
from haltere.policies.plants.pogobot import APEX, LOST, Apex

ROBOTS = 8
SYSTEM: HybridSystem[Apex] = pogobot
TARGET = Apex(jnp.ones(ROBOTS), jnp.full(ROBOTS, 1.5), jnp.linspace(-1.0, 1.0, ROBOTS))
FLOW, HOP, MAP = jax.jit(pogobot.flow, static_argnums=0), jax.jit(pogobot.hop), jax.jit(pogobot.apex_map)


def draw(seed: int) -> tuple[jax.Array, jax.Array]:
    """Apexes and actions after which the robot leaves the ground again."""
    k = jax.random.split(jax.random.key(seed), 4)
    speed = jax.random.uniform(k[0], (ROBOTS,), minval=-1.0, maxval=1.5)
    height = jax.random.uniform(k[1], (ROBOTS,), minval=1.2, maxval=2.5)
    none = jnp.zeros(ROBOTS)
    angle = 0.08 * speed + jax.random.uniform(k[2], (ROBOTS,), minval=-0.08, maxval=0.08)
    force = jax.random.uniform(k[3], (ROBOTS,), minval=-800.0, maxval=2000.0)
    return jnp.stack([none, speed, height, none, none]), jnp.stack([angle, force])


def by_hand(apex: np.ndarray, angle: float, force: float) -> tuple[np.ndarray, int]:
    """One hop, one robot, step by step in double precision: (x, x_dot, y, y_dot), and how it ended."""
    x, vx, y, vy, foot, mode = *(float(value) for value in apex[:4]), 0.0, "fall"
    for _ in range(3000):
        if mode in ("fall", "rise"):
            x, y, vy = x + vx * 1e-3, y + vy * 1e-3, vy - 10 * 1e-3
            if mode == "fall" and y <= np.cos(angle):
                mode, foot = "squeeze", x + np.sin(angle)
            elif mode == "rise" and vy <= 0:
                return np.array([x, vx, y, vy]), APEX
            continue
        leg = np.hypot(x - foot, y)
        thrust = 32000 * (1 - leg) + (force if mode == "squeeze" else 0.0)
        ax, ay = (x - foot) / leg * thrust / 80, y / leg * thrust / 80 - 10
        x, vx, y, vy = x + vx * 1e-4, vx + ax * 1e-4, y + vy * 1e-4, vy + ay * 1e-4
        if y < 0:
            return np.array([x, vx, y, vy]), LOST
        if mode == "squeeze":
            mode = "stretch" if vy >= 0 else mode
        elif (x - foot) ** 2 + y * y >= 1:
            mode = "rise"
    return np.array([x, vx, y, vy]), -1


def exact(apex: np.ndarray, angle: float, force: float) -> np.ndarray:
    """The same hop with SciPy's events: (x, x_dot, y) at the next apex."""

    def stance(push: float):
        def rate(_t: float, s: np.ndarray) -> np.ndarray:
            leg = np.hypot(s[0], s[2])
            thrust = (32000 * (1 - leg) + push) / 80 / leg
            return np.array([s[1], s[0] * thrust, s[3], s[2] * thrust - 10])

        return rate

    def until(rate, state: np.ndarray, event) -> np.ndarray:
        event.terminal, event.direction = True, 1
        return solve_ivp(rate, (0, 1), state, events=event, rtol=1e-10, atol=1e-12).y_events[0][0]

    x, vx, y, _ = (float(value) for value in apex[:4])
    fall = np.sqrt(2 * (y - np.cos(angle)) / 10)
    foot = x + vx * fall + np.sin(angle)
    low = until(stance(force), np.array([-np.sin(angle), vx, np.cos(angle), -10 * fall]), lambda _t, s: s[3])
    off = until(stance(0.0), low, lambda _t, s: np.hypot(s[0], s[2]) - 1)
    rise = off[3] / 10
    return np.array([foot + off[0] + off[1] * rise, off[1], off[2] + off[3] * rise / 2])


@pytest.mark.parametrize("seed", [1, 2])
def test_hop_agrees_with_a_loop_by_hand(seed: int) -> None:
    state, action = draw(seed)
    found = HOP(state, action)
    for v in range(ROBOTS):
        end, mode = by_hand(np.asarray(state[:, v], np.float64), *(float(value) for value in action[:, v]))
        if mode >= 0:
            assert found.mode[v] == mode
        np.testing.assert_allclose(found.state[:4, v], end, atol=2e-2 if mode < 0 else 4e-3)
    assert (found.mode == APEX).sum() >= ROBOTS - 1


def test_falling_over_is_lost() -> None:
    state = jnp.array([[0.0], [4.0], [1.3], [0.0], [0.0]])
    action = jnp.array([[-0.5], [0.0]])
    assert by_hand(np.asarray(state[:, 0]), -0.5, 0.0)[1] in (LOST, -1)
    assert HOP(state, action).mode[0] != APEX
    assert MAP(state, action).mode[0] == LOST


def test_apex_map_agrees_with_scipy_events() -> None:
    for seed in (3, 4):
        state, action = draw(seed)
        found = MAP(state, action)
        assert (found.mode == APEX).all()
        for v in range(ROBOTS):
            end = exact(np.asarray(state[:, v], np.float64), *(float(value) for value in action[:, v]))
            np.testing.assert_allclose(found.state[:3, v], end, atol=1.5e-3)


def test_apex_map_is_close_to_the_published_hop() -> None:
    state, action = draw(5)
    found, published = MAP(state, action), HOP(state, action)
    np.testing.assert_allclose(found.state[:3], published.state[:3], atol=0.03)
    for hop in (found, published):
        np.testing.assert_allclose(hop.state[4], hop.state[0] + jnp.sin(action[0]), atol=1e-5)
    np.testing.assert_allclose(found.lowest, published.lowest, atol=0.01)


def test_gradient_of_the_hop_is_that_of_differences() -> None:
    """Of SciPy's hop: the times of the events move with the start, and the gradient knows."""
    state, action = draw(6)
    slope = jax.jit(jax.jacobian(lambda x, u: pogobot.apex_map(x, u).state[:3].sum(-1), argnums=(0, 1)))(state, action)
    assert all(np.isfinite(leaf).all() for leaf in slope)
    for v in range(3):
        start, push = np.asarray(state[:, v], np.float64), np.asarray(action[:, v], np.float64)
        for row, h in ((1, 1e-4), (2, 1e-4)):
            shift = np.zeros(5)
            shift[row] = h
            by_difference = (exact(start + shift, *push) - exact(start - shift, *push)) / (2 * h)
            np.testing.assert_allclose(slope[0][:, row, v], by_difference, rtol=0.05, atol=0.05)
        for row, h in ((0, 1e-4), (1, 1.0)):
            shift = np.zeros(2)
            shift[row] = h
            by_difference = (exact(start, *(push + shift)) - exact(start, *(push - shift))) / (2 * h)
            np.testing.assert_allclose(slope[1][:, row, v], by_difference, rtol=0.05, atol=1e-1 * [1, 1e-3][row])


def test_a_tick_has_finite_gradients() -> None:
    state, action = draw(7)
    state = state.at[2].set(0.9)
    slopes = jax.jit(jax.grad(lambda m, x, u: (pogobot.tick(m, x, u)[1] ** 2).sum(), argnums=(1, 2)))
    for mode in range(6):
        assert all(np.isfinite(leaf).all() for leaf in slopes(jnp.full(ROBOTS, mode), state, action))


def test_vertical_hop_keeps_its_apex() -> None:
    state = jnp.array([[0.0, 1.0], [0.0, 0.0], [1.5, 2.0], [0.0, 0.0], [0.0, 0.0]])
    rest = jnp.zeros((2, 2))
    np.testing.assert_allclose(MAP(state, rest).state[:3], state[:3], atol=2e-4)
    np.testing.assert_allclose(HOP(state, rest).state[:3], state[:3], atol=0.015)


def energy(state: jax.Array, mode: int) -> jax.Array:
    """J per kg of one robot (5,)."""
    x, x_dot, y, y_dot, foot = state
    spring = 0.5 * 32000 / 80 * (1 - jnp.hypot(x - foot, y)) ** 2 if mode in (1, 2) else 0.0
    return 0.5 * (x_dot**2 + y_dot**2) + 10 * y + spring


@pytest.mark.parametrize("mode", range(4))
def test_energy_comes_from_the_force_alone(mode: int) -> None:
    state, action = draw(8)
    state = state.at[2].set(0.85).at[3].set(-2.0).at[4].set(0.1)
    slope = jax.jit(jax.vmap(jax.grad(lambda s: energy(s, mode)), in_axes=1, out_axes=1))(state)
    x, x_dot, y, y_dot, foot = state
    shortening = ((x - foot) * x_dot + y * y_dot) / jnp.hypot(x - foot, y)
    power = action[1] / 80 * shortening if mode == 1 else jnp.zeros(ROBOTS)
    found = (slope * SYSTEM.flow(mode, state, action, TARGET)).sum(0)
    np.testing.assert_allclose(found, power, rtol=1e-3, atol=2e-3)


def test_guards_and_resets() -> None:
    state, action = draw(9)
    time = jnp.zeros(ROBOTS)
    assert SYSTEM.guard(0, state, action, TARGET, time).max() < 0
    assert SYSTEM.guard(0, state.at[2].set(0.9), action, TARGET, time).min() > 0
    assert SYSTEM.guard(1, state.at[3].set(-0.1), action, TARGET, time).max() < 0
    assert SYSTEM.guard(2, state.at[2].set(0.8).at[4].set(0.0), action, TARGET, time).max() < 0
    assert SYSTEM.guard(3, state.at[3].set(0.1), action, TARGET, time).max() < 0
    down = SYSTEM.reset(0, state, action, TARGET, TARGET)
    np.testing.assert_allclose(down[4], state[0] + jnp.sin(action[0]), atol=1e-6)
    up = SYSTEM.reset(2, state, action, TARGET, TARGET)
    np.testing.assert_allclose(up[4], state[0] + jnp.sin(action[0]), atol=1e-6)
    lower = TARGET._replace(floor=TARGET.floor - 0.5)
    np.testing.assert_allclose(SYSTEM.reset(3, state, action, TARGET, lower)[2], state[2] + 0.5, atol=1e-6)
    np.testing.assert_array_equal(SYSTEM.reset(1, state, action, TARGET, lower), state)


def test_vectorised_equals_one_by_one() -> None:
    state, action = draw(10)
    together = HOP(state, action)
    for v in range(3):
        alone = HOP(state[:, v, None], action[:, v, None])
        np.testing.assert_allclose(together.state[:, v], alone.state[:, 0], atol=1e-4)
        assert together.mode[v] == alone.mode[0]


def test_published_corridors() -> None:
    """Against the published recipe, written down draw by draw."""
    stream = np.random.RandomState(1007)
    found = corridors.published()
    assert len(found) == 25
    wanted = []
    while len(wanted) < 25:
        d, v, h = stream.rand() * 0.5 + 0.5, stream.rand() + 0.5, stream.rand() * 0.5 + 1.5
        rows = np.array(
            [
                [[5, 0, h, v]] * 4 + [[0, 0, 0, 0]],
                [[5, 0, h, v], [5, 0, h + 1.5 * d, v], [5, d, h + 1.5 * d, v], [5, d, h + 1.5 * d, v], [0, 0, 0, 0]],
                [[5, 0, h, v], [5, -d, h, v], [5, -d, h - 0.5 * d, v], [5, -d, h - 0.5 * d, v], [0, 0, 0, 0]],
                [
                    [5, 0, h, v],
                    [5, 0, h + 1.5 * d, v],
                    [3, 2 * d, h + 1.5 * d, 1.5 * v],
                    [5, 0, h + 1.5 * d, v],
                    [5, 0, h, v],
                ],
            ][stream.randint(0, 4)]
        )
        rows = rows[rows[:, 0] > 0]
        rows[:, 0] *= [stream.uniform(0.8, 1.2) for _ in rows]
        near = np.concatenate([rows[1:], rows[-1:]])
        if (np.maximum(rows[:, 1], near[:, 1]) + 1.1 < np.minimum(rows[:, 2], near[:, 2]) - 0.1).all():
            wanted.append(rows)
    for corridor, rows in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.stack(corridor, axis=1), rows)
        heights = [min(max(row[1] + 1.4, 0.6 * row[2] + 0.4 * row[1]), row[2]) for row in rows]
        np.testing.assert_allclose(corridor.height(), heights)
        assert corridor.start()[1] == pytest.approx(rows[0, 3] + 0.5)
    assert {len(corridor.length) for corridor in found} == {4, 5}
