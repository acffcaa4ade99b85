"""A Lyapunov function that decreases in a box is proved to, without a hole; one that does not, never."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from haltere.policies.errors import ConfigError
from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import car_claim, car_mode, learned, switched_toy
from haltere.policies.hybrid.certificate import Outcome
from haltere.policies.hybrid.decrease import Function, box_shape, prove_decrease, value
from haltere.policies.zoo.shipped import CAR

KEEP = 0.9


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def swirl(growth: jax.Array, state: jax.Array) -> jax.Array:
    """A turn that shrinks, by less the further out."""
    turned = jnp.stack([0.6 * state[0] - 0.5 * state[1], 0.5 * state[0] + 0.6 * state[1]])
    return turned * (1 + growth * (state**2).sum())


def round_bowl(growth: jax.Array, state: jax.Array) -> jax.Array:
    """V is nearly |x|^2."""
    return jnp.eye(2) * (1 + 0.1 * jnp.tanh(state[0]))


def valley(growth: jax.Array, state: jax.Array) -> jax.Array:
    """A V so narrow that the turn climbs its side."""
    return jnp.diag(jnp.array([10.0, 0.1]))


SWIRL = Function(swirl, round_bowl, 0.01)


@pytest.mark.parametrize("mode", [0, 1])
def test_the_toy_decreases_in_its_whole_level_set_and_not_faster_than_it_does(mode: int) -> None:
    loop = switched_toy.sampled(mode, 0.01)
    found = prove_decrease(switched_toy.SAMPLED, loop, switched_toy.BOX, 1 - 0.01 * 0.01)
    assert found.outcome is Outcome.PROVED
    assert found.level == pytest.approx(1.0, abs=1e-6)
    keep = 1 - 0.01
    refused = prove_decrease(switched_toy.SAMPLED, loop, switched_toy.BOX, keep)
    assert refused.outcome is Outcome.DISPROVED
    assert refused.state is not None
    before = switched_toy.value(mode, jnp.asarray(refused.state))
    after = switched_toy.value(mode, switched_toy.step(loop, jnp.asarray(refused.state)))
    assert after >= keep * before


def test_a_certified_level_set_is_never_left_and_v_falls_in_it() -> None:
    growth = jnp.asarray(0.3)
    widths = 0.1 * box_shape(SWIRL, growth, 2)
    found = prove_decrease(SWIRL, growth, widths, KEEP)
    assert found.outcome is Outcome.PROVED
    some = jnp.asarray(np.random.default_rng(0).uniform(-widths, widths, (2000, 2)))
    moved = jax.vmap(lambda state: swirl(growth, state))(some)
    values = [jax.vmap(lambda state: value(SWIRL, growth, state))(states) for states in (some, moved)]
    assert (values[1] < KEEP * values[0]).all()
    inside = np.asarray(values[0] <= found.level)
    assert inside.mean() > 0.3
    assert (np.abs(moved[inside]) <= widths).all()


def test_what_is_false_further_out_is_not_proved_there() -> None:
    """A planted false certificate: near the equilibrium all is well."""
    growth = jnp.asarray(3.0)
    assert prove_decrease(SWIRL, growth, np.full(2, 0.01), KEEP).outcome is Outcome.PROVED
    assert float(value(SWIRL, growth, swirl(growth, jnp.full(2, 0.5)))) > float(value(SWIRL, growth, jnp.full(2, 0.5)))
    assert prove_decrease(SWIRL, growth, np.full(2, 0.5), KEEP).outcome is not Outcome.PROVED


def test_a_function_that_rises_at_rest_is_disproved() -> None:
    """A planted false certificate: the equilibrium is stable, and V is not its Lyapunov function."""
    found = prove_decrease(Function(swirl, valley, 0.01), jnp.asarray(0.0), np.full(2, 0.1), 1.0)
    assert found.outcome is Outcome.DISPROVED
    assert found.state is not None


def test_what_is_no_equilibrium_is_refused() -> None:
    moved = Function(lambda growth, state: swirl(growth, state) + 1e-9, round_bowl, 0.01)
    with pytest.raises(ConfigError, match="expected an equilibrium"):
        prove_decrease(moved, jnp.asarray(0.3), np.full(2, 0.1), KEEP)
    with pytest.raises(ConfigError, match=r"keep is 1\.1"):
        prove_decrease(SWIRL, jnp.asarray(0.3), np.full(2, 0.1), 1.1)


@pytest.mark.slow
def test_an_untrained_car_is_disproved() -> None:
    loop = car_claim.loop_of(learned.draw(jax.random.key(0), car_mode), (1.0, 10.0, 0.0))
    state = car_claim.search(loop, 0.4, 1.0)
    assert state is not None
    assert (np.abs(state) <= 0.4).all()
    after = jax.jit(car_claim.after)(loop, jnp.asarray(state))
    assert value(car_claim.FUNCTION, loop, after) >= value(car_claim.FUNCTION, loop, jnp.asarray(state))


@pytest.mark.slow
def test_a_quadratic_that_solves_the_equation_of_the_car_is_proved_in_a_small_box() -> None:
    """Controller of the file, and V of its linearisation: what a learned V is to be near the equilibrium."""
    loop = car_claim.loop_of(hybrid_file.read(CAR, car_mode), (0.1, 10.0, 0.0))
    slope = np.asarray(jax.jit(jax.jacfwd(car_claim.after, argnums=1))(loop, jnp.zeros(7)))
    # Large beside the floor of V, which the equation does not know.
    root = np.linalg.cholesky(solve_discrete_lyapunov(slope.T, np.eye(7))).T

    def made(root: np.ndarray) -> car_claim.Loop:
        last = loop.lyapunov[-1]
        last = last._replace(weight=jnp.zeros_like(last.weight), bias=jnp.asarray(root.ravel()))
        return loop._replace(lyapunov=(*loop.lyapunov[:-1], last))

    found = car_claim.largest_found(made(root), 1e-3, 1 - 1e-4, 120.0)
    assert found.outcome is Outcome.PROVED
    assert found.level > 0
    some = np.random.default_rng(0).uniform(-found.widths, found.widths, (2000, 7))
    moved = jax.jit(jax.vmap(car_claim.after, in_axes=(None, 0)))(loop, jnp.asarray(some))
    each = jax.jit(jax.vmap(lambda state: value(car_claim.FUNCTION, made(root), state)))
    assert (each(moved) < (1 - 1e-4) * each(jnp.asarray(some))).all()
    assert car_claim.largest_found(made(np.eye(7)), 1e-3, 1 - 1e-4, 120.0).outcome is Outcome.DISPROVED


@pytest.mark.slow
def test_where_the_shipped_car_is_proved_its_v_falls() -> None:
    loop = car_claim.loop_of(hybrid_file.read(CAR, car_mode), (1.0, 10.0, 0.0))
    found = car_claim.largest_found(loop, 0.004, 1 - 1e-4, 60.0)
    some = np.random.default_rng(0).uniform(-found.widths, found.widths, (2000, 7))
    moved = jax.jit(jax.vmap(car_claim.after, in_axes=(None, 0)))(loop, jnp.asarray(some))
    each = jax.jit(jax.vmap(lambda state: value(car_claim.FUNCTION, loop, state)))
    if found.outcome is Outcome.PROVED:
        assert (each(moved) < (1 - 1e-4) * each(jnp.asarray(some))).all()
    else:
        assert found.outcome is Outcome.DISPROVED
        assert found.state is not None
