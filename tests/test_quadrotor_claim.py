"""Contraction by curvature: true balls are proved and contract, planted ones are not; the loop is the plant's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.contract import UNITS
from haltere.policies.errors import ConfigError
from haltere.policies.foundation import student
from haltere.policies.hybrid import ball_shape, curvature
from haltere.policies.hybrid import quadrotor_claim as claim
from haltere.policies.hybrid.common_norm import common_frame
from haltere.policies.hybrid.contraction import Ball
from haltere.policies.hybrid.curvature import Piece
from haltere.policies.plants import quadrotor
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.vehicle import load_vehicle
from haltere.tools.bench.contestants import load_student
from haltere.tools.bench.foundation import as_plant
from haltere.tools.certificates import Asked
from haltere.tools.quadrotor_certificate import subject

FACTOR = 0.99


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def bent(gain: jax.Array, state: jax.Array) -> jax.Array:
    """A spiral that its cubes make worse farther away."""
    x, y, z = state
    return jnp.stack([0.9 * x + 0.2 * y + x * x * gain, -0.2 * x + 0.9 * y + x * y, 0.5 * z + y * z + 0.1 * x])


def inside(limit: jax.Array, state: jax.Array) -> jax.Array:
    return jnp.stack([1 - state[0], 1 + state[0]])


SPIRAL = Piece(bent, inside)
GAINS = (jnp.asarray(0.5), jnp.asarray(2.0))


def ball(piece: Piece, radius: float | None = None) -> Ball:
    centre, widths = np.zeros(3), np.full(3, 1e-3)
    near = [curvature.local(piece, gain, centre, widths) for gain in GAINS]
    found = ball_shape.shaped(near, curvature.guarded(piece, GAINS[0], centre, widths), widths, centre, FACTOR)
    return found if radius is None else found._replace(radius=radius)


def test_a_true_ball_is_proved_and_contracts() -> None:
    found = ball(SPIRAL)
    assert curvature.contracts(SPIRAL, GAINS, found, FACTOR) == pytest.approx(found.radius, rel=1e-6)
    assert found.half_widths().max() > 1e-3
    stream = np.random.default_rng(0)
    ways = stream.normal(size=(2, 500, 3))
    ways *= found.radius * stream.uniform(size=(2, 500, 1)) / np.linalg.norm(ways, axis=2, keepdims=True)
    states = ways @ np.linalg.inv(found.frame).T
    for gain in GAINS:
        moved = np.asarray(jax.vmap(jax.vmap(lambda state, gain=gain: bent(gain, state)))(jnp.asarray(states)))
        before, after = (np.linalg.norm((pair[0] - pair[1]) @ found.frame.T, axis=1) for pair in (states, moved))
        assert (after <= FACTOR * before).all()


def test_planted_false_balls_are_not_proved() -> None:
    found = ball(SPIRAL)
    assert curvature.contracts(SPIRAL, GAINS, found._replace(radius=30 * found.radius), FACTOR) == 0
    # A guard that fails in the ball; an equilibrium that lies outside; an unstable piece among stable ones.
    near = Piece(bent, lambda limit, state: jnp.stack([found.half_widths()[0] / 2 - state[0]]))
    assert curvature.contracts(near, GAINS, found, FACTOR) == 0
    away = Piece(lambda gain, state: bent(gain, state) + 0.3 * found.half_widths().max(), inside)
    assert curvature.contracts(away, GAINS, found, FACTOR) == 0
    mixed = Piece(lambda gain, state: jnp.where(gain > 1, 1.3, 1.0) * bent(gain, state), inside)
    assert curvature.contracts(mixed, GAINS, found, FACTOR) == 0
    assert curvature.contracts(mixed, GAINS[:1], found, FACTOR) > 0


def test_a_kink_within_the_ball_is_not_proved() -> None:
    kinked = Piece(lambda gain, state: bent(gain, state) + 3 * jnp.where(state[0] > 1e-4, state[0] - 1e-4, 0.0), inside)
    assert curvature.contracts(kinked, GAINS, ball(SPIRAL), FACTOR) == 0


def test_what_cannot_be_proved_is_refused() -> None:
    with pytest.raises(ConfigError, match="factor is 1"):
        curvature.contracts(SPIRAL, GAINS, ball(SPIRAL), 1.0)
    with jax.enable_x64(False), pytest.raises(ConfigError, match="float32"):
        curvature.contracts(SPIRAL, GAINS, Ball(np.zeros(3), np.eye(3), 0.1), FACTOR)


def test_the_loop_is_that_of_plant_and_policy() -> None:
    policy = load_student(FOUNDATION)
    vehicle = as_plant([load_vehicle("x500")])
    cases, rest = claim.cases_of(policy, vehicle)
    assert len(cases) == 1

    @jax.jit
    def apart(case: claim.Case, state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The loop's step and guards, and the step that plant and policy make."""
        body, hidden = claim._unpacked(state)
        previous = case.policy.output_weight @ hidden[:UNITS] + case.policy.output_bias[:, None]
        turned = quadrotor.rotation(body.quat_wxyz)
        seen = jnp.concatenate([body.position, turned, body.velocity, body.angular_velocity, previous])
        action, after = student.step(case.policy, seen, hidden)
        moved = quadrotor.step(case.vehicle, body, action)
        wanted = [moved.position, moved.quat_wxyz[1:], moved.velocity, moved.angular_velocity, moved.rotor, after]
        return claim.after(case, state), claim.guards(case, state), jnp.concatenate(wanted)[:, 0]

    for size in (0.0, 1e-5):
        state = jnp.asarray(rest + size * np.random.default_rng(0).normal(size=claim.STATES))
        ours, guards, wanted = apart(cases[0], state)
        np.testing.assert_allclose(ours, wanted, atol=1e-14)
        assert (np.asarray(guards) > 0).all()
        assert size or np.abs(ours - rest).max() < 1e-14
    unequal = vehicle._replace(motor_fall=2 * vehicle.motor_fall)
    assert len({tuple(np.asarray(case.rate)[:, 0]) for case in claim.cases_of(policy, unequal)[0]}) == 16


def test_a_common_norm_is_found_where_the_mean_has_none() -> None:
    slopes = np.array([[[0.5, 1.5], [0.0, 0.6]], [[0.6, 0.0], [0.15, 0.5]]])

    def largest(frame: np.ndarray) -> float:
        return float(np.linalg.norm(frame @ slopes @ np.linalg.inv(frame), 2, axis=(1, 2)).max())

    assert largest(np.eye(2)) > 1
    assert largest(common_frame(slopes, 500)) < 0.95


def test_an_unstable_loop_is_disproved() -> None:
    asked = Asked(box=0.0, rate=0.01, hole=0.05, seconds=60.0, lyapunov=False)
    proved, said = subject(Path(FOUNDATION), asked).look("x500", lambda text: None)
    assert not proved
    assert said.startswith("disproved (at the equilibrium, the largest eigenvalue is 1.0")


def test_a_loop_without_an_equilibrium_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "cases_of", lambda *_: ([None], np.full(claim.STATES, np.nan)))
    asked = Asked(box=0.0, rate=0.01, hole=0.05, seconds=60.0, lyapunov=False)
    assert subject(Path(FOUNDATION), asked).look("arpl", print) == (
        False,
        "undecided (no equilibrium was found; one case)",
    )


@pytest.mark.slow
def test_the_shipped_policy_is_proved_to_hold_an_arpl() -> None:
    asked = Asked(box=0.0, rate=0.01, hole=0.05, seconds=900.0, lyapunov=False)
    proved, said = subject(Path(FOUNDATION), asked).look("arpl", lambda text: None)
    assert proved, said
