"""The student: its size, its equations, and RAPTOR's weights in it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from haltere.policies.foundation import student
from haltere.policies.foundation.raptor import raptor_weights
from haltere.policies.policy_file import NumpyPolicy


def test_has_2084_parameters() -> None:
    weights = student.Student(nnx.Rngs(0)).weights()
    assert student.parameter_count(weights) == student.PARAMETERS == 2084


def test_vehicles_do_not_see_each_other() -> None:
    module = student.Student(nnx.Rngs(1))
    observation = jax.random.normal(jax.random.key(0), (22, 5))
    hidden = jax.random.normal(jax.random.key(1), (16, 5))
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
    hidden = jnp.zeros((16, 3))
    rng = np.random.default_rng(0)
    for _ in range(100):
        observation = rng.normal(size=(3, 22)).astype(np.float32)
        theirs = published.evaluate_step(observation)
        ours, hidden = student.step(weights, jnp.asarray(observation.T), hidden)
        np.testing.assert_allclose(ours.T, theirs, atol=2e-5)


def test_numpy_reference_is_the_student() -> None:
    weights = student.Student(nnx.Rngs(2)).weights()
    arrays = {name: np.asarray(value) for name, value in weights._asdict().items()}
    policy = NumpyPolicy(arrays, arrays.pop("initial_hidden_state"))
    hidden = jnp.zeros((16, 1))
    rng = np.random.default_rng(0)
    for _ in range(50):
        observation = rng.normal(size=22).astype(np.float32)
        ours, hidden = student.step(weights, jnp.asarray(observation)[:, None], hidden)
        np.testing.assert_allclose(policy.step(observation), ours[:, 0], atol=1e-5)
