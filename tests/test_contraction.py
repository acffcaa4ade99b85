"""Certified contraction: true ones are proved, planted false ones are not, and proved balls contract."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import switched_toy
from haltere.policies.hybrid.certificate import Outcome
from haltere.policies.hybrid.contraction import ORDER, Ball, frame_of, prove_contraction, used
from haltere.policies.hybrid.taylor import Model, monomials

PERIOD_S = 0.1
FLOWN = [expm(PERIOD_S * mode) for mode in switched_toy.MODES]


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def bent(parameters: None, state: jax.Array) -> jax.Array:
    """A spiral that a cubic term makes unstable further out."""
    turned = jnp.asarray(FLOWN[0]) @ state
    return turned + 0.02 * jnp.stack([state[0] ** 3, state[1] ** 3])


def planted(parameters: None, state: jax.Array) -> jax.Array:
    """The same, with a bump so narrow that no sample finds it."""
    bump = jnp.exp(-1e6 * ((state[0] - 0.0313) ** 2 + (state[1] - 0.0171) ** 2))
    return bent(None, state) + 2e-3 * bump * jnp.ones(2)


def jumping(parameters: None, state: jax.Array) -> jax.Array:
    """The same, with a jump that the Jacobian does not show."""
    return bent(None, state) + jnp.where(state[0] > 0.0313, 0.1, 0.0)


def ball(radius: float) -> Ball:
    frame = frame_of(FLOWN[0])
    return Ball(np.zeros(2), frame / np.linalg.norm(frame, 2), radius)


@pytest.mark.parametrize("mode", [0, 1])
def test_modes_of_the_toy_contract_as_fast_as_their_eigenvalues_and_no_faster(mode: int) -> None:
    exact = np.exp(-0.1 * PERIOD_S)
    step = lambda parameters, state: parameters @ state  # noqa: E731
    made = Ball(np.zeros(2), frame_of(FLOWN[mode]), 1.0)
    assert prove_contraction(step, jnp.asarray(FLOWN[mode]), made, exact + 1e-6).outcome is Outcome.PROVED
    assert prove_contraction(step, jnp.asarray(FLOWN[mode]), made, exact - 1e-6).outcome is Outcome.DISPROVED


def test_a_proved_ball_contracts_and_stays() -> None:
    made = ball(0.05)
    assert prove_contraction(bent, None, made, 0.9999).outcome is Outcome.PROVED
    stream = np.random.default_rng(0)
    towards = stream.normal(size=(500, 2))
    inside = made.radius * towards / np.linalg.norm(towards, axis=1)[:, None] * stream.uniform(0, 1, (500, 1))
    state = np.linalg.solve(made.frame, inside.T).T
    after = np.asarray(jax.vmap(bent, in_axes=(None, 0))(None, jnp.asarray(state)))
    size = [np.linalg.norm(x @ made.frame.T, axis=1) for x in (state, after)]
    assert (size[1] <= 0.9999 * size[0]).all()
    assert (np.abs(state) <= made.half_widths() * (1 + 1e-9)).all()


def test_a_ball_too_large_is_disproved_with_a_state() -> None:
    found = prove_contraction(bent, None, ball(1.0), 0.9999)
    assert found.outcome is Outcome.DISPROVED
    assert found.state is not None
    slope = np.asarray(jax.jacobian(bent, argnums=1)(None, jnp.asarray(found.state)))
    frame = ball(1.0).frame
    assert np.linalg.norm(frame @ slope @ np.linalg.inv(frame), 2) > 0.9999


@pytest.mark.parametrize("step", [planted, jumping])
def test_planted_false_certificates_are_never_proved(step) -> None:  # type: ignore[no-untyped-def]
    assert prove_contraction(step, None, ball(0.05), 0.9999, most=5000).outcome is not Outcome.PROVED


def test_a_ball_that_moves_away_is_not_proved() -> None:
    """It contracts, but towards a fixed point outside."""
    away = lambda parameters, state: bent(None, state) + 0.01  # noqa: E731
    assert prove_contraction(away, None, ball(0.05), 0.9999).outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("straight", [0.0, 1.0, 4.0])
def test_random_matrices_of_a_model_contract(straight: float) -> None:
    stream = np.random.default_rng(1)
    frame, middle, powers = frame_of(FLOWN[0]), FLOWN[0], np.array(monomials(2, ORDER))
    few = 0
    for width in np.geomspace(1e-5, 0.1, 12):
        terms = straight * width * stream.uniform(-1, 1, (2, 2, len(powers)))
        terms[..., 0] = middle
        found = used(frame, Model(terms[None], np.full((1, 2, 2), width)), 0.999)
        places = stream.uniform(-1, 1, (300, 2))
        some = (places[:, None] ** powers).prod(2) @ np.moveaxis(terms, 2, 1)
        some = some.transpose(1, 0, 2) + width * stream.uniform(-1, 1, (300, 2, 2))
        sizes = np.linalg.norm(frame @ some @ np.linalg.inv(frame), 2, axis=(1, 2))
        assert not found.whole[0] < 1 or sizes.max() <= 0.999
        assert not found.never[0] or sizes.min() > 0.999
        few += found.whole[0] < 1
    assert 0 < few < 12
    nothing = used(frame, Model(np.full((1, 2, 2, len(powers)), np.nan), np.zeros((1, 2, 2))), 0.999)
    assert not nothing.whole[0] < 1
    assert not nothing.never[0]


def test_what_cannot_contract_is_refused() -> None:
    with pytest.raises(ConfigError, match="largest eigenvalue is 1"):
        frame_of(np.diag([0.5, 1.1]))
    with pytest.raises(ConfigError, match=r"factor is 1: expected more than 0 and less than 1"):
        prove_contraction(bent, None, ball(0.05), 1.0)
    with jax.enable_x64(False), pytest.raises(ConfigError, match="float32"):
        prove_contraction(bent, None, ball(0.05), 0.99)
