"""The recurrent student: Dense(22→16, ReLU), GRU(16), Dense(16→4); 2,084 parameters.

Two things about it are fixed, and RAPTOR's weights fly without them. Three more units of the GRU integrate the position
error, and what they hold is added to the position error that the first layer sees, so that no learned unit has to. And
the first layer sees the errors of position and velocity as the vehicle does, in the body's axes: there, to tilt towards
the setpoint is the same linear map at every attitude, of which sixteen units would have to learn the products.

The cell is written out because `flax.nnx.GRUCell` has no hidden bias and so is another network. Layout is
`(feature, vehicle)`, weights multiply from the left.

Source: Eschmann et al. 2025 (RAPTOR), whose published weights fit it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from haltere.policies.contract import (
    ACTION_SIZE,
    INTEGRAL_FREE_M,
    INTEGRAL_KEEP,
    INTEGRAL_NEAR_M,
    INTEGRAL_SIZE,
    INTEGRAL_SLOPE_1_M,
    OBSERVATION_SIZE,
    UNITS,
    UNLIMITED,
)

PARAMETERS = 2084
REACH_M = 0.9
"""A setpoint that is farther away on an axis is seen as if at this distance: what is seen of it must leave the network
room to see how the vehicle turns. On 2,048 random vehicles that start up to 2.4 m away it saves two of three losses."""

INTEGRAL_REACH_M = 0.3
"""The largest position error that the integral adds to what is seen."""


class Weights(NamedTuple):
    """The student's weights; gates are stacked in the order reset, keep, candidate.

    Attributes:
      input_weight: (16, 22).
      input_bias: (16,).
      gru_input_weight: (48, 16).
      gru_input_bias: (48,).
      gru_hidden_weight: (48, 16).
      gru_hidden_bias: (48,).
      initial_hidden_state: (16,).
      output_weight: (4, 16).
      output_bias: (4,).
      observation_limit: (22,) what is beyond it is seen as if at it; not learned.
      integral_reach: () m, what a full integral adds to the position error that is seen; not learned. At 0, there is
        no integral: it stands still.
      body_axes: () 1: the errors of position and velocity are seen in the body's axes; 0: in the world's; not learned.
    """

    input_weight: jax.Array
    input_bias: jax.Array
    gru_input_weight: jax.Array
    gru_input_bias: jax.Array
    gru_hidden_weight: jax.Array
    gru_hidden_bias: jax.Array
    initial_hidden_state: jax.Array
    output_weight: jax.Array
    output_bias: jax.Array
    observation_limit: jax.Array
    integral_reach: jax.Array
    body_axes: jax.Array

    def decide(self, observation: jax.Array, units: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `Policy`."""
        return self.recur(jax.nn.relu(self.input_weight @ observation + self.input_bias[:, None]), units)

    def recur(self, x: jax.Array, units: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What `decide` does behind the first layer, of whose outputs x (16, V) are."""
        from_input = self.gru_input_weight @ x + self.gru_input_bias[:, None]
        from_hidden = self.gru_hidden_weight @ units + self.gru_hidden_bias[:, None]
        reset_input, keep_input, candidate_input = jnp.split(from_input, 3)
        reset_hidden, keep_hidden, candidate_hidden = jnp.split(from_hidden, 3)
        reset = jax.nn.sigmoid(reset_input + reset_hidden)
        keep = jax.nn.sigmoid(keep_input + keep_hidden)
        candidate = jnp.tanh(candidate_input + reset * candidate_hidden)
        after = keep * units + (1 - keep) * candidate
        return self.output_weight @ after + self.output_bias[:, None], after


class Policy(Protocol):
    """Weights of any policy that can be trained in the student's place; a pytree.

    Attributes:
      initial_hidden_state: (n,).
      observation_limit: (22,), not learned.
      integral_reach: () m, not learned; 0 flies without.
      body_axes: () 1 or 0, not learned.
    """

    @property
    def initial_hidden_state(self) -> jax.Array:
        """(n,)."""

    @property
    def observation_limit(self) -> jax.Array:
        """(22,)."""

    @property
    def integral_reach(self) -> jax.Array:
        """()."""

    @property
    def body_axes(self) -> jax.Array:
        """()."""

    def decide(self, observation: jax.Array, units: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Action (4, V) and next units (n, V); the observation (22, V) is what `see` makes of it."""


def observation_limits() -> jax.Array:
    """The limits (22,) of what our policies observe: `REACH_M` for the position error, none for the rest."""
    return jnp.asarray(UNLIMITED).at[:3].set(REACH_M)


class Student(nnx.Module):
    """The student as a Flax module: it owns the parameters and their initialisation."""

    def __init__(self, rngs: nnx.Rngs, hidden: int = UNITS) -> None:
        glorot, orthogonal = nnx.initializers.glorot_uniform(), nnx.initializers.orthogonal()
        small = nnx.initializers.variance_scaling(0.01, "fan_avg", "uniform")
        self.input_weight = nnx.Param(glorot(rngs.params(), (hidden, OBSERVATION_SIZE)))
        self.input_bias = nnx.Param(jnp.zeros(hidden))
        self.gru_input_weight = nnx.Param(glorot(rngs.params(), (3 * hidden, hidden)))
        self.gru_input_bias = nnx.Param(jnp.zeros(3 * hidden))
        self.gru_hidden_weight = nnx.Param(orthogonal(rngs.params(), (3 * hidden, hidden)))
        self.gru_hidden_bias = nnx.Param(jnp.zeros(3 * hidden))
        self.initial_hidden_state = nnx.Param(jnp.zeros(hidden))
        self.output_weight = nnx.Param(small(rngs.params(), (ACTION_SIZE, hidden)))
        self.output_bias = nnx.Param(jnp.zeros(ACTION_SIZE))
        self.observation_limit = nnx.Variable(observation_limits())
        self.integral_reach = nnx.Variable(jnp.float32(INTEGRAL_REACH_M))
        self.body_axes = nnx.Variable(jnp.float32(1.0))

    def weights(self) -> Weights:
        """The parameters, and what is not learned, as a plain pytree, for pure functions."""
        return Weights(**{name: getattr(self, name)[...] for name in Weights._fields})

    def __call__(self, observation: jax.Array, hidden_state: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See `step`."""
        return step(self.weights(), observation, hidden_state)


def step(weights: Policy, observation: jax.Array, hidden_state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Advances by one native control period.

    Args:
      weights: the policy's weights.
      observation: (22, V), SI units, layout of `contract.OBSERVATION_SPEC`.
      hidden_state: (n + 3, V), n = 16: the units, and the integral.
    Returns:
      Action (4, V), not clipped, and the next hidden state (n + 3, V).
    """
    limit = jax.lax.stop_gradient(weights.observation_limit)[:, None]
    seen = jnp.clip(observation, -limit, limit)
    before, integral = jnp.split(hidden_state, [hidden_state.shape[0] - INTEGRAL_SIZE])
    action, units = weights.decide(see(weights, seen, integral), before)
    after = jnp.where(weights.integral_reach > 0, integrate(seen[:INTEGRAL_SIZE], integral), integral)
    return action, jnp.concatenate([units, after])


def see(weights: Policy, observation: jax.Array, integral: jax.Array) -> jax.Array:
    """What the first layer sees (22, V) of an observation (22, V) within its limits, with an integral (3, V)."""
    reach, turned = jax.lax.stop_gradient((weights.integral_reach, weights.body_axes))
    position, attitude, velocity, others = jnp.split(observation, [3, 12, 15])
    rows = attitude.reshape(3, 3, -1)

    def axes(error: jax.Array) -> jax.Array:
        return jnp.where(turned > 0, (rows * error[:, None]).sum(0), error)

    return jnp.concatenate([axes(position + reach * integral), attitude, axes(velocity), others])


def integrate(error: jax.Array, integral: jax.Array) -> jax.Array:
    """The next integral (3, V), in [-1, 1], of a position error (3, V) in m; see `contract.INTEGRAL_PERIODS`."""
    excess = jax.nn.relu(jnp.abs(error) - INTEGRAL_FREE_M).sum(0)
    moved = jax.nn.sigmoid(-INTEGRAL_KEEP - INTEGRAL_SLOPE_1_M * excess)
    return integral + moved * (jnp.tanh(error / INTEGRAL_NEAR_M) - integral)


def fresh(weights: Policy, vehicles: int) -> jax.Array:
    """Hidden states (n + 3, V) of a policy that has just been switched on: nothing is integrated yet."""
    begin = jnp.concatenate([weights.initial_hidden_state, jnp.zeros(INTEGRAL_SIZE)])
    return jnp.tile(begin[:, None], vehicles)


def parameter_count(weights: Policy) -> int:
    """Number of trainable numbers."""
    fixed = weights.observation_limit.size + weights.integral_reach.size + weights.body_axes.size
    return sum(int(leaf.size) for leaf in jax.tree.leaves(weights)) - int(fixed)
