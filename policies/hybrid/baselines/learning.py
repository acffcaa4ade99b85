"""PPO and SAC as brax has them, on the environments of the hybrid systems.

Of the policies at the evaluations, each in the mean over fresh random episodes, the best one is kept.

Source: Schulman et al. 2017; Haarnoja et al. 2018; brax 0.14 (`brax.training.agents`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from brax.training import checkpoint
from brax.training.agents.ppo import networks as ppo_networks
from brax.training.agents.ppo import train as ppo
from brax.training.agents.sac import networks as sac_networks
from brax.training.agents.sac import train as sac
from brax.training.types import identity_observation_preprocessor
from flax import linen

from haltere.policies.hybrid.baselines.brax_environment import BraxEnvironment
from haltere.policies.hybrid.baselines.environment import Environment
from haltere.policies.hybrid.baselines.recipe import Recipe
from haltere.policies.hybrid.network import Layer, Network

POLICY_LAYERS, CRITIC_LAYERS = (128, 128), (128, 128)
EVALUATIONS = 15
EVALUATED = 256
"""Episodes of an evaluation."""

Report = Callable[[int, int, float], None]
"""(steps done, of how many, mean return of an episode)."""


class Evaluation(NamedTuple):
    """A point of the learning curve.

    Attributes:
      step: of all environments together.
      seconds: since the beginning.
      reward: mean return of the deterministic policy's episodes.
    """

    step: int
    seconds: float
    reward: float


class Outcome(NamedTuple):
    """What was learned.

    Attributes:
      weights: of the best policy.
      curve: of all evaluations.
    """

    weights: Network
    curve: list[Evaluation]


def learn(environment: Environment, recipe: Recipe, seed: int, report: Report) -> Outcome:
    """Trains.

    Args:
      environment: episodes.
      recipe: how.
      seed: of weights, episodes and noise; together with the number of devices, it fixes the result.
      report: called after every evaluation.
    """
    _provide_replication()
    started, curve = time.monotonic(), []
    wrapped = BraxEnvironment(environment)

    def progress(step: int, metrics: Mapping[str, Any]) -> None:
        reward = float(metrics["eval/episode_reward"])
        curve.append(Evaluation(step, round(time.monotonic() - started, 1), reward))
        report(step, recipe.steps, reward)

    with tempfile.TemporaryDirectory() as folder:
        common = {
            "environment": wrapped,
            "num_timesteps": recipe.steps,
            "episode_length": environment.LONGEST,
            "wrap_env_fn": lambda env, **_: env,
            "num_envs": recipe.environments,
            "num_eval_envs": EVALUATED,
            "num_evals": EVALUATIONS + 1,
            "deterministic_eval": True,
            "normalize_observations": True,
            "discounting": recipe.discount,
            "reward_scaling": recipe.reward_scale,
            "learning_rate": recipe.rate,
            "seed": seed,
            "progress_fn": progress,
        }
        if recipe.algorithm == "ppo":
            ppo.train(
                **common,
                batch_size=recipe.batch,
                unroll_length=recipe.unroll,
                num_minibatches=recipe.minibatches,
                num_updates_per_batch=recipe.epochs,
                entropy_cost=recipe.entropy,
                max_grad_norm=0.5,
                clipping_epsilon=0.2,
                network_factory=_ppo_networks,
                save_checkpoint_path=folder,
            )
        else:
            sac.train(
                **common,
                batch_size=recipe.batch,
                grad_updates_per_step=recipe.gradients,
                min_replay_size=min(recipe.steps // 20, 20 * recipe.environments),
                max_replay_size=recipe.replay,
                network_factory=_sac_networks,
                checkpoint_logdir=folder,
            )
        best = max(curve[1:], key=lambda evaluation: evaluation.reward)
        normalizer, policy, *_ = checkpoint.load(Path(folder) / f"{best.step:012d}")
    return Outcome(_folded(normalizer, policy, len(environment.LIMIT)), curve)


def _ppo_networks(
    observation_size: Any, action_size: int, preprocess_observations_fn: Any = identity_observation_preprocessor
) -> Any:
    """Policy and value."""
    made = ppo_networks.make_ppo_networks(
        observation_size,
        action_size,
        preprocess_observations_fn,
        policy_hidden_layer_sizes=POLICY_LAYERS,
        value_hidden_layer_sizes=CRITIC_LAYERS,
        activation=linen.tanh,
    )
    return made


def _sac_networks(
    observation_size: Any, action_size: int, preprocess_observations_fn: Any = identity_observation_preprocessor
) -> Any:
    """Policy, and two critics."""
    policy, critic = (
        sac_networks.make_sac_networks(
            observation_size,
            action_size,
            preprocess_observations_fn,
            hidden_layer_sizes=layers,
            activation=activation,
        )
        for layers, activation in ((POLICY_LAYERS, linen.tanh), (CRITIC_LAYERS, linen.relu))
    )
    return critic.replace(policy_network=policy.policy_network)


def _folded(normalizer: Any, policy: Any, actions: int) -> Network:
    """The policy's mean as a network of what is observed, without normalisation."""
    mean, std = (np.asarray(part, np.float64) for part in (normalizer.mean, normalizer.std))
    layers = policy["params"]
    weights, biases = (
        [np.asarray(layers[f"hidden_{index}"][part], np.float64).T for index in range(len(layers))]
        for part in ("kernel", "bias")
    )
    weights[0] = weights[0] / std
    biases[0] = biases[0] - weights[0] @ mean
    weights[-1], biases[-1] = weights[-1][:actions], biases[-1][:actions]
    return tuple(
        Layer(jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32))
        for weight, bias in zip(weights, biases, strict=True)
    )


def _provide_replication() -> None:
    """Gives brax 0.14 the function of JAX that it still calls, and that JAX 0.10 has no longer."""
    if hasattr(jax, "device_put_replicated"):
        return

    def device_put_replicated(tree: Any, devices: Any) -> Any:
        automatic = (jax.sharding.AxisType.Auto,)
        mesh = jax.make_mesh((len(devices),), ("devices",), automatic, devices=devices)
        sharding = jax.NamedSharding(mesh, jax.P("devices"))  # type: ignore[no-untyped-call]
        return jax.tree.map(
            lambda leaf: jax.device_put(jnp.broadcast_to(leaf, (len(devices), *jnp.shape(leaf))), sharding), tree
        )

    jax.__dict__["device_put_replicated"] = device_put_replicated
