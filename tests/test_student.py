"""The student: its size, its equations, and RAPTOR's weights in it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from haltere.policies import contract
from haltere.policies.foundation import student
from haltere.policies.foundation.raptor import raptor_weights
from haltere.policies.policy_file import NumpyPolicy


def test_has_2084_parameters() -> None:
    weights = student.Student(nnx.Rngs(0)).weights()
    assert student.parameter_count(weights) == student.PARAMETERS == 2084


def test_vehicles_do_not_see_each_other() -> None:
    module = student.Student(nnx.Rngs(1))
    observation = jax.random.normal(jax.random.key(0), (22, 5))
    hidden = jax.random.normal(jax.random.key(1), (19, 5))
    action, after = module(observation, hidden)
    alone, alone_after = module(observation[:, 2:3], hidden[:, 2:3])
    np.testing.assert_allclose(action[:, 2:3], alone, atol=1e-6)
    np.testing.assert_allclose(after[:, 2:3], alone_after, atol=1e-6)


def test_raptor_in_our_student_is_raptor() -> None:
    """The published package and our cell answer the same over a sequence."""
    from foundation_policy import Raptor

    published = Raptor()
    published.reset()
    weights = raptor_weights()
    hidden = student.fresh(weights, 3)
    rng = np.random.default_rng(0)
    for _ in range(100):
        observation = rng.normal(size=(3, 22)).astype(np.float32)
        theirs = published.evaluate_step(observation)
        ours, hidden = student.step(weights, jnp.asarray(observation.T), hidden)
        np.testing.assert_allclose(ours.T, theirs, atol=2e-5)


def test_numpy_reference_is_the_student() -> None:
    weights = student.Student(nnx.Rngs(2)).weights()
    arrays = {name: np.asarray(value) for name, value in weights._asdict().items()}
    hidden = student.fresh(weights, 1)
    policy = NumpyPolicy(arrays, np.asarray(hidden)[:, 0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        observation = rng.normal(size=22).astype(np.float32)
        observation[:3] *= 0.05
        ours, hidden = student.step(weights, jnp.asarray(observation)[:, None], hidden)
        np.testing.assert_allclose(policy.step(observation), ours[:, 0], atol=1e-5)
        np.testing.assert_allclose(policy.hidden_state, hidden[:, 0], atol=1e-5)


def test_a_small_error_is_integrated_and_a_large_one_is_not() -> None:
    """Of what one axis does: near, it is followed; at `INTEGRAL_HOLD_M`, all axes stand still."""
    error = jnp.array([[0.01, 0.01, 0.0], [0.0, 0.0, 0.0], [-0.04, 0.11, 0.3]])
    begin = jnp.full((3, 3), 0.5)
    after = begin
    for _ in range(int(contract.INTEGRAL_PERIODS)):
        after = student.integrate(error, after)
    wanted = np.tanh(np.asarray(error[:, 0]) / contract.INTEGRAL_NEAR_M)
    np.testing.assert_allclose(after[:, 0], wanted + (0.5 - wanted) / np.e, atol=1e-3)
    np.testing.assert_allclose(after[:, 1], begin[:, 1], atol=1e-3)
    np.testing.assert_array_equal(after[:, 2], begin[:, 2])


def test_errors_are_seen_in_the_axes_of_the_body() -> None:
    """Ahead in the world is on the right of a vehicle turned to the left; RAPTOR sees the world's axes."""
    attitude = np.array(contract.rotation_from_quaternion((np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))), np.float32)
    observation = np.zeros((22, 1), np.float32)
    observation[:3, 0], observation[3:12, 0], observation[12:15, 0] = (0.5, 0.2, 0.1), attitude, (0.0, 3.0, -1.0)
    integral = jnp.array([[0.0], [1.0], [0.0]])
    ours = student.Student(nnx.Rngs(4)).weights()
    seen = student.see(ours, jnp.asarray(observation), integral)[:, 0]
    np.testing.assert_allclose(seen[:3], (0.2 + student.INTEGRAL_REACH_M, -0.5, 0.1), atol=1e-6)
    np.testing.assert_allclose(seen[12:15], (3.0, 0.0, -1.0), atol=1e-6)
    np.testing.assert_array_equal(seen[3:12], attitude)
    theirs = student.see(raptor_weights(), jnp.asarray(observation), integral)
    np.testing.assert_array_equal(theirs, observation)


def test_the_integral_moves_what_is_seen_and_is_not_learned() -> None:
    weights = student.Student(nnx.Rngs(3)).weights()
    level = jnp.zeros((22, 1)).at[jnp.array([3, 7, 11])].set(1.0)
    observation, hidden = level, student.fresh(weights, 1).at[-3:, 0].set(jnp.array([1.0, -0.5, 0.0]))
    shifted = observation.at[:3, 0].set(student.INTEGRAL_REACH_M * hidden[-3:, 0])
    action, after = student.step(weights, observation, hidden)
    alike, _ = student.step(weights, shifted, student.fresh(weights, 1))
    np.testing.assert_allclose(action, alike, atol=1e-6)
    slope = jax.grad(lambda one: student.step(one, observation, hidden)[0].sum())(weights)
    assert slope.integral_reach == 0
    assert np.abs(slope.output_bias).min() > 0
    without = weights._replace(integral_reach=jnp.float32(0.0))
    action_without, after_without = student.step(without, observation.at[0].set(0.01), hidden)
    assert np.abs(action_without - action).max() > 1e-6
    np.testing.assert_array_equal(after_without[-3:], hidden[-3:])
    assert after.shape == hidden.shape
