"""Interval bounds are sound, and branch and bound proves what is true and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from haltere.policies.errors import ConfigError
from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import car_claim, car_mode, learned, lyapunov, switched_toy
from haltere.policies.hybrid.certificate import Claim, Outcome, prove, refuted
from haltere.policies.hybrid.contraction import prove_contraction
from haltere.policies.hybrid.domain import Domain
from haltere.policies.hybrid.interval import Interval, bound, natural
from haltere.policies.zoo.shipped import CAR

LOW, HIGH = -switched_toy.BOX, switched_toy.BOX


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


PLANE = Domain((1.0, 1.0), (0.0,), (1.0,), (1.0,), 1.0)
WEIGHTS = jax.tree.map(np.asarray, lyapunov.draw(jax.random.key(1), PLANE, 8))


def network(state: jax.Array) -> jax.Array:
    """A neural Lyapunov function of the plane."""
    return lyapunov.value(WEIGHTS, PLANE, state[:, None], jnp.full((1, 1), 0.3, state.dtype))[0]


def mixture(state: jax.Array) -> jax.Array:
    return jnp.exp(-state[0] * state[1]) + state[0] ** 3 / (2 + state[1] ** 2) - jnp.tanh(3 * state[1]) * state[0]


def waves(state: jax.Array) -> jax.Array:
    swing = jnp.sin(5 * state[0]) * jnp.cos(7 * state[1] - 3)
    return jnp.where(state[0] > state[1], swing, jnp.sin(state[0]) + swing)


@pytest.mark.parametrize("function", [network, mixture, waves])
@pytest.mark.parametrize("width", [0.01, 0.3, 2.0])
def test_bounds_hold_and_are_not_idle(function, width: float) -> None:  # type: ignore[no-untyped-def]
    stream = np.random.default_rng(0)
    look = jax.jit(lambda low, high: bound(function, Interval(low, high))[0])
    for _ in range(10):
        low = stream.uniform(-1, 1, 2)
        found = look(low, low + width)
        inside = jax.vmap(function)(jnp.asarray(stream.uniform(low, low + width, (500, 2))))
        assert found.low <= inside.min()
        assert inside.max() <= found.high
        if width == 0.01 and function is not waves:
            assert found.high - found.low < 1.5 * (inside.max() - inside.min()) + 0.02


def test_an_unknown_primitive_is_refused() -> None:
    with pytest.raises(ConfigError, match="sort"):
        natural(jnp.sort, Interval(jnp.zeros(2), jnp.ones(2)))


@pytest.mark.parametrize("mode", [0, 1])
def test_each_mode_decreases(mode: int) -> None:
    proved = prove(switched_toy.decrease(mode, 0.01), LOW, HIGH)
    assert proved.outcome is Outcome.PROVED
    assert proved.remaining == 0.0
    refused = prove(switched_toy.decrease(mode, 1.0), LOW, HIGH)
    assert refused.outcome is Outcome.DISPROVED
    assert refused.state is not None
    quantity = switched_toy.decrease(mode, 1.0).quantity
    assert quantity(jnp.asarray(refused.state)) >= 0


@pytest.mark.parametrize("mode", [0, 1])
def test_slow_switching_lands_and_fast_switching_does_not(mode: int) -> None:
    assert prove(switched_toy.landing(mode, 25.0), LOW, HIGH).outcome is Outcome.PROVED
    fast = prove(switched_toy.landing(mode, 0.1), LOW, HIGH)
    assert fast.outcome is Outcome.DISPROVED
    assert fast.state is not None
    assert switched_toy.value(mode, jnp.asarray(fast.state)) <= 1
    assert switched_toy.value(1 - mode, jnp.asarray(expm(0.1 * switched_toy.MODES[mode]) @ fast.state)) >= 1


def test_some_switching_is_unstable() -> None:
    """What makes the claims worth proving: both modes are stable, and their alternation is not."""
    worst = max(
        np.abs(np.linalg.eigvals(expm(t * switched_toy.MODES[0]) @ expm(t * switched_toy.MODES[1]))).max()
        for t in np.linspace(0.05, 1.0, 60)
    )
    assert max(np.linalg.eigvals(mode).real.max() for mode in switched_toy.MODES) < 0
    assert worst > 1.2


def test_a_claim_false_at_a_single_hidden_place_is_never_proved() -> None:
    """A planted false certificate: V rises in a disk of radius 0.01."""

    def quantity(state: jax.Array) -> jax.Array:
        distance = (state[0] - 0.3137) ** 2 + (state[1] + 0.7211) ** 2
        return 1e-4 - distance

    assert prove(Claim(quantity), LOW, HIGH).outcome is Outcome.DISPROVED
    touching = prove(Claim(lambda state: -((state[0] - 0.3137) ** 2)), LOW, HIGH, most=4000)
    assert touching.outcome is not Outcome.PROVED


def test_a_jump_that_no_slope_shows_is_never_overlooked() -> None:
    """A planted false certificate: the gradient is zero everywhere, and the middle is on the good side."""
    step = Claim(lambda state: jnp.where(state[0] > 0.3137, 0.5, -1.0))
    assert prove(step, LOW, HIGH).outcome is Outcome.DISPROVED
    assert prove(Claim(lambda state: jnp.where(state[0] > 3.0, 0.5, -1.0)), LOW, HIGH).outcome is Outcome.PROVED


def test_what_is_not_a_number_decides_nothing() -> None:
    """Zero times infinity in a comparison."""

    def quantity(state: jax.Array) -> jax.Array:
        unknown = (state[0] - state[0]) * (1 / state[1])
        return jnp.where(unknown > 1.0, 1.0, -1.0)

    found = jax.jit(lambda low, high: natural(quantity, Interval(low, high)))(LOW, HIGH)
    assert not found.high < 0


def logistic_map(state: jax.Array) -> jax.Array:
    """Five turns of a contracting map, as a loop."""

    def turn(x: jax.Array, push: jax.Array) -> tuple[jax.Array, jax.Array]:
        after = 0.4 * x * (1 - x) + 0.1 * push * state[1]
        return after, after

    last, rows = jax.lax.scan(turn, state[0], jnp.linspace(0.0, 1.0, 5))
    return last + rows[2]


def test_loops_are_bounded_as_their_bodies() -> None:
    stream = np.random.default_rng(2)
    look = jax.jit(lambda low, high: bound(logistic_map, Interval(low, high))[0])
    for width in (0.01, 0.5):
        low = stream.uniform(-1, 1, 2)
        found = look(low, low + width)
        inside = jax.vmap(logistic_map)(jnp.asarray(stream.uniform(low, low + width, (500, 2))))
        assert found.low <= inside.min()
        assert inside.max() <= found.high
    assert found.high - found.low < 20


def test_conversions_that_lose_are_refused() -> None:
    with pytest.raises(ConfigError, match="conversion"):
        natural(lambda state: state.astype(jnp.int32).astype(float), Interval(jnp.zeros(2), jnp.ones(2)))
    with pytest.raises(ConfigError, match="conversion"):
        natural(lambda state: (state > 0.5).astype(float), Interval(jnp.zeros(2), jnp.ones(2)))


def test_what_is_not_a_box_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a box"):
        prove(switched_toy.decrease(0, 0.01), HIGH, LOW)


def test_time_is_limited_and_told() -> None:
    """A claim that holds with no margin is never decided: the limit ends it, and most of the box is done by then."""
    told: list[float] = []
    found = prove(
        Claim(lambda state: -(state[0] ** 2)), LOW, HIGH, seconds=0.5, report=lambda boxes, left: told.append(left)
    )
    assert found.outcome is Outcome.UNDECIDED
    assert told[-1] == found.remaining
    assert found.remaining < 0.1


def test_only_states_that_contradict_refute() -> None:
    claim = Claim(lambda state: state[0] - 0.5, (lambda state: state[1] - 0.5,))
    assert refuted(claim, jnp.array([0.6, 0.4]))
    assert not refuted(claim, jnp.array([0.6, 0.6]))
    assert not refuted(claim, jnp.array([0.4, 0.4]))


def test_claims_of_the_car_say_what_is_wrong() -> None:
    weights = learned.draw(jax.random.key(0), car_mode)
    with pytest.raises(ConfigError, match=r"friction is 2: expected 0\.1 to 1"):
        car_claim.loop_of(weights, (2.0, 10.0, 0.0))
    with pytest.raises(ConfigError, match="expected 3, friction,speed_m_s,yaw_rate_rad_s"):
        car_claim.loop_of(weights, (1.0, 5.0))


def test_a_car_that_nobody_steers_does_not_contract() -> None:
    """A planted false certificate: the untrained controller leaves the equilibrium neutral at best."""
    weights = learned.draw(jax.random.key(0), car_mode)
    loop = car_claim.loop_of(weights, (1.0, 10.0, 0.0))
    assert not np.asarray(jax.jit(car_claim.after)(loop, jnp.zeros(7))).any()
    with pytest.raises(ConfigError, match="largest eigenvalue"):
        car_claim.ball_of(loop)


@pytest.mark.slow
def test_the_shipped_car_contracts_in_a_ball_and_not_in_any() -> None:
    loop = car_claim.loop_of(hybrid_file.read(CAR, car_mode), (1.0, 10.0, 0.0))
    unit = car_claim.ball_of(loop)
    small = unit._replace(radius=1e-2 * unit.radius)
    assert prove_contraction(car_claim.after, loop, small, 1 - 1e-4).outcome is Outcome.PROVED
    wide = prove_contraction(car_claim.after, loop, unit._replace(radius=0.3 * unit.radius), 1 - 1e-4, most=200)
    assert wide.outcome is not Outcome.PROVED
    stream = np.random.default_rng(0)
    some = np.linalg.solve(small.frame, 0.3 * small.radius * stream.uniform(-1, 1, (7, 100))).T
    moved = np.asarray(jax.jit(jax.vmap(car_claim.after, in_axes=(None, 0)))(loop, jnp.asarray(some)))
    sizes = [np.linalg.norm(states @ small.frame.T, axis=1) for states in (some, moved)]
    assert (sizes[1] < (1 - 1e-4) * sizes[0]).all()
