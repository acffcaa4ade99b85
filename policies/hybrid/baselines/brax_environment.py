"""An environment of many systems as brax's training wants it: batch first, and begun anew where an episode ends."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State

from haltere.policies.hybrid.baselines.environment import Environment


class BraxEnvironment(Env):  # type: ignore[misc]
    """All systems at once, each episode from a new random beginning: no wrapper of brax's is needed."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def reset(self, rng: jax.Array) -> State:
        """Begins as many episodes as there are keys (V, 2)."""
        key, other = jax.random.split(rng[0])
        count = len(rng)
        state, zero = self._environment.begin(key, count), jnp.zeros(count)
        info = {
            "key": jnp.broadcast_to(other, (count, *other.shape)),
            "steps": zero,
            "truncation": zero,
            "episode_done": zero,
            "episode_metrics": {"sum_reward": zero, "length": zero},
        }
        return State(state, self._environment.observe(state).T, zero, zero, {}, info)

    def step(self, state: State, action: jax.Array) -> State:
        """One step with actions (V, m) in [-1, 1]."""
        environment, info = self._environment, state.info
        count = len(action)
        key, other = jax.random.split(info["key"][0])
        scaled = jnp.clip(action.T, -1.0, 1.0) * jnp.asarray(environment.LIMIT)[:, None]
        after, reward, over = environment.step(state.pipeline_state, scaled)
        steps = info["steps"] + 1
        late = (steps >= environment.LONGEST) & ~over
        done = over | late
        fresh = environment.begin(key, count)

        def renewed(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(done, new, old).astype(old.dtype)

        following: Any = jax.tree.map(renewed, fresh, after)
        told = {
            **info,
            "key": jnp.broadcast_to(other, (count, *other.shape)),
            "steps": jnp.where(done, 0.0, steps),
            "truncation": late.astype(jnp.float32),
            "episode_done": done.astype(jnp.float32),
        }
        return state.replace(
            pipeline_state=following,
            obs=environment.observe(following).T,
            reward=reward,
            done=done.astype(jnp.float32),
            info=told,
        )

    @property
    def observation_size(self) -> int:
        """Rows of the observation."""
        return self._environment.OBSERVATION_SIZE

    @property
    def action_size(self) -> int:
        """Rows of the action."""
        return len(self._environment.LIMIT)

    @property
    def backend(self) -> str:
        """The plant's own."""
        return "haltere"
