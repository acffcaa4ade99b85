"""RAPTOR's published weights (PyPI `foundation-policy`) in the layout of our student.

The architecture is the same, so one compiled roll-out flies either policy.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.contract import UNLIMITED
from haltere.policies.errors import ConfigError
from haltere.policies.foundation.student import Weights


def raptor_weights() -> Weights:
    """Reads the published weights.

    Raises:
      ConfigError: the package is not installed.
    """
    try:
        from foundation_policy import Raptor
    except ImportError as error:
        raise ConfigError("RAPTOR's weights are missing: pip install 'haltere[bench]'") from error
    first, gru, last = Raptor().layers[:3]

    def array(value: object) -> jax.Array:
        return jnp.asarray(value, jnp.float32)

    return Weights(
        input_weight=array(first.weights),
        input_bias=array(first.biases).reshape(-1),
        gru_input_weight=array(gru.weights_input),
        gru_input_bias=array(gru.biases_input),
        gru_hidden_weight=array(gru.weights_hidden),
        gru_hidden_bias=array(gru.biases_hidden),
        initial_hidden_state=array(gru.initial_hidden_state),
        output_weight=array(last.weights),
        output_bias=array(last.biases).reshape(-1),
        observation_limit=jnp.asarray(UNLIMITED),
        integral_reach=jnp.float32(0.0),
        body_axes=jnp.float32(0.0),
    )
