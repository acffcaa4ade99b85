"""Return maps in closed loop: enclosures hold, true claims are proved, and planted false ones never."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import (
    controller,
    enclosure,
    learned,
    network,
    pogobot_claim,
    pogobot_mode,
    return_map,
    return_proof,
    taylor,
    walker_claim,
    walker_mode,
)
from haltere.policies.hybrid.certificate import Outcome
from haltere.policies.hybrid.enclosure import Chain, Layers, Limit, Part
from haltere.policies.hybrid.interval import Interval
from haltere.policies.hybrid.level_boxes import Bounds, axes_of, sampled, volume, within
from haltere.policies.hybrid.phase import WAYS, Phase, count, passed
from haltere.policies.hybrid.return_map import ReturnMap
from haltere.policies.hybrid.return_proof import prove_return
from haltere.policies.plants import pogobot
from haltere.policies.zoo.shipped import POGOBOT

PERIOD_S = 0.01


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def let_go(ball: Any, state: jax.Array) -> jax.Array:
    """A ball at rest at 1 m and half the state, (3,): height, speed, state."""
    return jnp.stack([1 + 0.5 * state[0], jnp.zeros_like(state[0]), state[0]])


def fall(ball: Any, state: jax.Array) -> jax.Array:
    return jnp.stack([state[0] + PERIOD_S * state[1], state[1] - 10 * PERIOD_S, state[2]])


def ground(ball: Any, state: jax.Array) -> jax.Array:
    return -state[0:1]


def strike(ball: Any, both: jax.Array) -> jax.Array:
    share = both[0] / (both[0] - both[3])
    return jnp.stack([both[1] - 10 * PERIOD_S * share, both[2]])


def bounce(ball: Any, state: jax.Array) -> jax.Array:
    """The racket gives back a share of the speed, and what is lacking at 1 m; somewhere it slips."""
    restitution, slip = ball[0], ball[1]
    up = -restitution * state[0] + (1 - restitution) * jnp.sqrt(20.0)
    up = up + slip * jnp.exp(-(((state[1] - 0.3137) / 0.01) ** 2))
    return ((up**2 / 20 - 1) / 0.5)[None]


def square(ball: Any, state: jax.Array) -> jax.Array:
    return state**2


FALL = Phase(fall, ground, strike, 80)
BALL = ReturnMap(let_go, (FALL,), bounce, square, 1)
CLAIM = Bounds(jnp.array([-0.9]), jnp.array([0.9]), 0.9, 0.02, 0.64)


def test_a_ball_that_is_caught_is_proved() -> None:
    told: list[int] = []
    found = prove_return(BALL, jnp.array([0.5, 0.0]), CLAIM, report=lambda boxes, left: told.append(boxes))
    assert found.outcome is Outcome.PROVED
    assert found.remaining == 0.0
    assert told[-1] == found.boxes


def test_a_proof_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(return_proof, "BATCH", 4)
    ball = jnp.array([0.5, 0.0])
    whole = prove_return(BALL, ball, CLAIM)
    first = prove_return(BALL, ball, CLAIM, most=8, folder=tmp_path)
    assert (first.outcome, first.boxes) == (Outcome.UNDECIDED, 8)
    assert prove_return(BALL, ball, CLAIM, folder=tmp_path) == whole
    assert whole.boxes > 8

    told: list[int] = []
    known = prove_return(BALL, ball, CLAIM, report=lambda boxes, left: told.append(boxes), folder=tmp_path)
    assert (known, told) == (whole, [])
    # What is kept of one claim says nothing of others.
    assert prove_return(BALL, jnp.array([1.3, 0.0]), CLAIM, folder=tmp_path).outcome is Outcome.DISPROVED
    assert prove_return(BALL, ball, CLAIM._replace(error=0.2), most=8, folder=tmp_path).outcome is Outcome.UNDECIDED
    short = replace(BALL, phases=(replace(FALL, longest=10),))
    assert prove_return(short, ball, CLAIM, most=8, folder=tmp_path).outcome is Outcome.UNDECIDED

    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match="is damaged"):
        prove_return(BALL, ball, CLAIM, folder=tmp_path)


def test_a_ball_that_is_thrown_is_disproved() -> None:
    """A planted false certificate."""
    ball = jnp.array([1.3, 0.0])
    found = prove_return(BALL, ball, CLAIM)
    assert found.outcome is Outcome.DISPROVED
    assert found.state is not None
    after, _, _ = return_map.follow(BALL, ball, jnp.asarray(found.state))
    assert after[0] ** 2 >= max(0.9 * found.state[0] ** 2, 0.02)


def test_a_slip_at_a_hidden_place_is_never_proved() -> None:
    """A planted false certificate: all is well but in a hundredth of the box."""
    assert prove_return(BALL, jnp.array([0.5, 0.5]), CLAIM, most=20_000).outcome is not Outcome.PROVED


def test_a_fall_that_takes_too_long_is_never_proved() -> None:
    short = ReturnMap(let_go, (Phase(fall, ground, strike, 45),), bounce, square, 1)
    assert prove_return(short, jnp.array([0.5, 0.0]), CLAIM, most=2000).outcome is Outcome.UNDECIDED


def test_boxes_that_are_lost_in_the_first_of_two_phases_are_never_proved() -> None:
    def let_go_again(ball: Any, both: jax.Array) -> jax.Array:
        return let_go(ball, both[2:3])

    twice = ReturnMap(
        let_go, (Phase(fall, ground, let_go_again, 45), Phase(fall, ground, strike, 100)), bounce, square, 1
    )
    assert prove_return(twice, jnp.array([0.5, 0.0]), CLAIM, most=100).outcome is Outcome.UNDECIDED


def test_a_phase_that_begins_behind_its_guard_takes_a_step_all_the_same() -> None:
    """A planted false certificate: the ball begins below the ground, and what follows doubles the state."""

    def sunk(ball: Any, state: jax.Array) -> jax.Array:
        return jnp.stack([-0.001 + 0 * state[0], 0 * state[0], state[0]])

    twice = ReturnMap(sunk, (Phase(fall, ground, strike, 100),), lambda ball, state: 2 * state[1:2], square, 1)
    assert prove_return(twice, jnp.array([0.5, 0.0]), CLAIM, most=100).outcome is not Outcome.PROVED


def _pair(slip: float) -> tuple[ReturnMap, jax.Array]:
    """A ball, and something else that is halved, seen along axes that are turned by (0.8, 0.6)."""
    turn = jnp.array([[0.8, 0.6], [-0.6, 0.8]])

    def begin(ball: Any, state: jax.Array) -> jax.Array:
        mixed, other = turn @ state
        return jnp.concatenate([let_go(ball, mixed[None]), other[None]])

    def one(ball: Any, state: jax.Array) -> jax.Array:
        return jnp.concatenate([fall(ball, state[:3]), state[3:]])

    def end(ball: Any, both: jax.Array) -> jax.Array:
        return jnp.concatenate([strike(ball, jnp.concatenate([both[:3], both[4:7]])), both[3:4]])

    def back(ball: Any, state: jax.Array) -> jax.Array:
        return turn.T @ jnp.concatenate([bounce(ball, state[:2]), state[2:] / 2])

    whole = ReturnMap(begin, (Phase(one, ground, end, 80),), back, lambda ball, x: (x @ x)[None], 2)
    return whole, jnp.array([0.5, slip])


PAIR = Bounds(jnp.full(2, -0.9), jnp.full(2, 0.9), 0.9, 0.02, 0.64)


def test_boxes_lie_along_what_matters() -> None:
    whole, ball = _pair(0.0)
    axes = axes_of(whole, ball, PAIR)
    np.testing.assert_allclose(np.abs(axes.along[:, 0]), [0.8, 0.6], atol=0.1)
    np.testing.assert_allclose(axes.along @ axes.along.T, np.eye(2), atol=1e-12)
    assert prove_return(whole, ball, PAIR).outcome is Outcome.PROVED


def test_a_slip_at_a_hidden_place_is_never_proved_along_other_axes() -> None:
    """A planted false certificate."""
    whole, ball = _pair(0.5)
    assert prove_return(whole, ball, PAIR, most=5_000).outcome is not Outcome.PROVED


def test_level_sets_are_measured_by_samples() -> None:
    ball = jnp.array([0.5, 0.0])
    assert volume(BALL, ball, 0.25) == pytest.approx(0.5, abs=0.01)
    states, share = sampled(BALL, ball, Interval(-jnp.ones(1), jnp.ones(1)), 1e-4, 500)
    assert (states**2 <= 1e-4).all()
    assert share == pytest.approx(0.01, rel=0.2)
    assert sampled(BALL, ball, Interval(jnp.ones(1), 2 * jnp.ones(1)), 0.5, 10) == (pytest.approx(np.zeros((0, 1))), 0)


def test_a_polynomial_is_told_for_a_part_of_its_places() -> None:
    stream = np.random.default_rng(0)
    powers = np.array(taylor.monomials(2, 3))
    terms, part = stream.normal(size=len(powers)), stream.uniform(-1, 1, (100, 2))
    middle, half = (0.25, -0.5), 0.5

    def at(terms: np.ndarray, places: np.ndarray) -> np.ndarray:
        return (places[:, None] ** powers).prod(2) @ terms

    changed = terms @ taylor.substitution(3, middle, half)
    assert at(changed, part) == pytest.approx(at(terms, np.array(middle) + half * part))


def test_the_least_value_in_boxes_is_none_too_large() -> None:
    """Boxes in which no state of the claim lies are dropped, and no others."""
    weights = hybrid_file.read(POGOBOT, pogobot_mode)
    hopping = pogobot_claim.hopping_of(weights, (1.0, 1.8))
    level = 0.5 * pogobot_claim.level(hopping)
    claim = Bounds(jnp.full(2, -0.6), jnp.full(2, 0.6), 0.99, 0.05 * level, level)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    stream = np.random.default_rng(0)
    middle, half = stream.uniform(-0.8, 0.8, (200, 2)), stream.uniform(0.01, 0.2, (200, 2))
    low, _, least = within(pogobot_claim.HOP, hopping, claim, turn, middle - half, middle + half)
    assert 20 < len(low) < 180
    kept = {tuple(row): value for row, value in zip(low, least, strict=True)}
    close = []
    for centre, reach in zip(middle, half, strict=True):
        states = (centre + reach * stream.uniform(-1, 1, (400, 2))) @ turn.T
        value = np.asarray(jax.vmap(lambda state: pogobot_claim.HOP.value(hopping, state)[0])(jnp.asarray(states)))
        claimed = (np.abs(states) <= 0.6).all(1) & (value <= level)
        if claimed.any():
            assert kept[tuple(centre - reach)] <= value[claimed].min()
            close.append(value[claimed].min() - kept[tuple(centre - reach)])
    assert np.median(close) < 0.1 * level


def test_turned_boxes_hold_their_states() -> None:
    stream = np.random.default_rng(2)
    axes = np.linalg.qr(stream.normal(size=(3, 3)))[0]
    low = stream.uniform(-1, 1, (50, 3))
    high = low + stream.uniform(0, 1e-9, (50, 3))
    box = enclosure.begin(jnp.asarray(low), jnp.asarray(high), jnp.asarray(axes)).box()
    for place in (low, high, (low + high) / 2):
        states = place @ axes.T
        assert (states >= box.low).all()
        assert (states <= box.high).all()


def test_a_phase_that_begins_where_it_must_not_is_never_proved() -> None:
    """A planted false certificate: nothing but where it begins is wrong."""
    for most, outcome in ((2.0, Outcome.PROVED), (1.1, Outcome.UNDECIDED)):
        low = Phase(fall, ground, strike, 80, begins=lambda ball, state, most=most: state[0:1] - most)
        found = prove_return(ReturnMap(let_go, (low,), bounce, square, 1), jnp.array([0.5, 0.0]), CLAIM, most=500)
        assert found.outcome is outcome


@pytest.mark.parametrize("width", [0.001, 0.02])
def test_enclosures_hold_what_a_box_becomes(width: float) -> None:
    ball, stream = jnp.array([0.5, 0.0]), np.random.default_rng(0)
    low = stream.uniform(-0.8, 0.8, (10, 1))
    begun = enclosure.through(let_go, ball, enclosure.begin(jnp.asarray(low), jnp.asarray(low + width)))

    @jax.jit
    @jax.vmap
    def followed(state: jax.Array) -> tuple[jax.Array, jax.Array]:
        return count(FALL, ball, let_go(ball, state)).steps, return_map.follow(BALL, ball, state)[0]

    likely = jax.vmap(lambda state: count(FALL, ball, state).lower())(begun.centre)
    past = passed(FALL, ball, begun)
    known, ends = np.asarray(past.all_of_them), enclosure.through(bounce, ball, past.end).box()
    within, never = (np.asarray(flags).reshape(WAYS, -1) for flags in (past.within, past.never))
    assert known.sum() >= 5
    assert never.sum() >= 10
    for box in np.flatnonzero(known):
        steps, after = followed(jnp.asarray(stream.uniform(low[box], low[box] + width, (20, 1))))
        for taken, state in zip(np.asarray(steps) - int(likely[box]) + WAYS // 2 - 1, np.asarray(after), strict=True):
            assert within[taken, box]
            assert not never[taken, box]
            at = taken * len(low) + box
            assert ends.low[at, 0] <= state[0] <= ends.high[at, 0]
            assert ends.high[at, 0] - ends.low[at, 0] < 3 * width + 1e-6


def _pull(networks: Any, state: jax.Array) -> jax.Array:
    """(5,) -> (2,)."""
    return jnp.stack([state[0] * state[2] - state[3], 3 * state[4] + jnp.cos(state[1])])


def _kinked(networks: Any, state: jax.Array) -> jax.Array:
    """(2,) -> (2,), with another slope from 0.1 on."""
    one, other = state
    return jnp.stack([jnp.where(one > 0.1, one**2, 0.1 * one) + other, one * jnp.sin(3 * other)])


def _cornered(networks: Any, state: jax.Array) -> jax.Array:
    """(2,) -> (1,), with straight pieces: their slopes jump, and the slopes of these are zero everywhere."""
    one, other = state
    return jnp.where(one > 0.1, one, 0.1)[None] + other


LIMITED = Limit(0, -0.3, 0.2)


def _curved(networks: Any, state: jax.Array) -> jax.Array:
    """(2,) -> (4,), by one operation each."""
    one, other = state
    turned = jnp.array([[0.8, -0.6], [0.6, 0.8]]) @ state
    return jnp.stack([jnp.sqrt(2 + one), jax.lax.rsqrt(2 + turned[0]), one**3 / (2 + other), jnp.maximum(one, other)])


SEEING = Layers(lambda networks: networks, lambda networks, state: 2 * state)
CHAIN = Chain((LIMITED, SEEING, Part(_pull, (0, 1, 2, 3, 4), (1, 3)), Limit(3, -0.5, 0.5)))
LINKS = {
    "limit": LIMITED,
    "layers": SEEING,
    "curved": _curved,
    "kink": _kinked,
    "corner": _cornered,
    "chain": CHAIN,
    "again": Chain((_kinked, _kinked)),
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("width", [1e-3, 0.3])
def test_links_hold_what_a_box_becomes(link: Any, width: float) -> None:
    stream = np.random.default_rng(1)
    sizes = network.draw(jax.random.key(3), (2, 16, 16, 3), last=1.0)
    networks = jax.tree.map(lambda leaf: 2 * jnp.asarray(leaf, jnp.float64), sizes)
    low = stream.uniform(-0.6, 0.6, (40, 2))
    begun = enclosure.begin(jnp.asarray(low), jnp.asarray(low + width))
    ended = enclosure.through_at_once(link, networks, begun)
    boxes = (ended.box(), ended.reduced().box())
    place = low[:, None] + width * stream.uniform(size=(40, 50, 2))
    place[:, :4] = low[:, None] + width * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    found = jax.vmap(jax.vmap(lambda state: link(networks, state)))(jnp.asarray(place))
    for box in boxes:
        assert (found >= box.low[:, None]).all()
        assert (found <= box.high[:, None]).all()
    reach = found.max(1) - found.min(1)
    assert (boxes[0].high - boxes[0].low <= 2 * reach + (0.02 if width < 0.01 else 5)).all()


def test_an_error_of_the_model_counts() -> None:
    """The ball comes back to within half its error: it may be off by less, and not by more."""
    ball = jnp.array([0.5, 0.0])
    assert prove_return(BALL, ball, CLAIM._replace(error=0.02)).outcome is Outcome.PROVED
    assert prove_return(BALL, ball, CLAIM._replace(error=0.2), most=2000).outcome is Outcome.UNDECIDED


def test_claims_that_are_none_are_refused() -> None:
    ball = jnp.array([0.5, 0.0])
    with pytest.raises(ConfigError, match="keep is 1"):
        prove_return(BALL, ball, CLAIM._replace(keep=1.0))
    with pytest.raises(ConfigError, match=r"hole is 0\.7"):
        prove_return(BALL, ball, CLAIM._replace(hole=0.7))
    with pytest.raises(ConfigError, match=r"height_m is 9: expected 1\.05 to 3\.6"):
        pogobot_claim.hopping_of(learned.draw(jax.random.key(0), pogobot_mode), (1.0, 9.0))
    with pytest.raises(ConfigError, match="expected 1, angle_rad"):
        walker_claim.walking_of(learned.draw(jax.random.key(0), walker_mode), (0.1, 0.1))


def test_the_hop_is_that_of_the_mode() -> None:
    hopping = pogobot_claim.hopping_of(hybrid_file.read(POGOBOT, pogobot_mode), (1.2, 1.6))
    half = jnp.asarray(pogobot_mode.DOMAIN.state)[:, None]
    some = jnp.asarray(np.random.default_rng(0).uniform(-0.4, 0.4, (8, 2)))
    found, _, _ = jax.jit(jax.vmap(lambda state: return_map.follow(pogobot_claim.HOP, hopping, state)))(some)
    numbers = jnp.repeat(hopping.numbers, 8, axis=1)
    action = controller.act(hopping.weights.controller, pogobot_mode.DOMAIN, half * some.T, numbers)
    apex = pogobot_mode.apex(numbers, half * some.T)
    hop = jax.jit(pogobot.apex_map, static_argnums=(2, 3))(apex, action, pogobot_claim.PERIOD_S, 0.256)
    np.testing.assert_allclose(found.T, (hop.state[1:3] - numbers) / half, atol=1e-12)
    learned_with = jax.jit(pogobot_mode.step)(numbers, half * some.T, action) / half
    np.testing.assert_allclose(found.T, learned_with, atol=1e-3)


@pytest.mark.slow
def test_the_stride_is_that_of_the_mode() -> None:
    walking = walker_claim.walking_of(learned.draw(jax.random.key(6), walker_mode), (0.16,))
    some = np.random.default_rng(0).uniform(-0.3, 0.3, (16, 3))
    found, _, known = jax.jit(jax.vmap(lambda state: return_map.follow(walker_claim.STRIDE, walking, state)))(some)
    half = jnp.asarray(walker_mode.DOMAIN.state)[:, None]
    error = half * jnp.zeros((4, 16)).at[jnp.array(walker_claim.FREE)].set(some.T)
    numbers = jnp.repeat(walking.numbers, 16, axis=1)
    action = controller.act(walking.weights.controller, walker_mode.DOMAIN, error, numbers)
    wanted = jax.jit(walker_mode.step)(numbers, error, action) / half
    landed = np.asarray((jnp.abs(wanted) < walker_mode.LOST - 1e-6).all(0) & known)
    assert landed.sum() >= 4
    np.testing.assert_allclose(found.T[:, landed], wanted[jnp.array(walker_claim.FREE)][:, landed], atol=1e-9)
