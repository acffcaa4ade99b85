"""How the baselines of reinforcement learning are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """How a policy is learned.

    Attributes:
      algorithm: ppo or sac.
      steps: of all environments together.
      environments: side by side.
      discount: per step.
      reward_scale: of the rewards, before they are learned from.
      rate: of the optimiser.
      batch: PPO: pieces of episodes in a minibatch; SAC: steps of a gradient.
      unroll: PPO: steps of each piece.
      minibatches: PPO: of an update.
      epochs: PPO: over the data of an update.
      entropy: PPO: weight of the entropy.
      gradients: SAC: for each step of all environments.
      replay: SAC: steps that are remembered.
    """

    algorithm: str
    steps: int
    environments: int
    discount: float
    reward_scale: float
    rate: float = 3e-4
    batch: int = 256
    unroll: int = 20
    minibatches: int = 8
    epochs: int = 4
    entropy: float = 1e-3
    gradients: int = 32
    replay: int = 1_000_000

    def scaled(self, factor: float) -> Recipe:
        """The same with another number of steps."""
        return replace(self, steps=max(1, round(factor * self.steps)))


RECIPES = {
    ("car", "ppo"): Recipe("ppo", steps=12_000_000, environments=1024, discount=0.99, reward_scale=0.003),
    ("car", "sac"): Recipe("sac", steps=400_000, environments=64, discount=0.99, reward_scale=0.003),
    ("pogobot", "ppo"): Recipe("ppo", steps=2_000_000, environments=2048, discount=0.95, reward_scale=0.1, unroll=10),
    ("pogobot", "sac"): Recipe("sac", steps=300_000, environments=128, discount=0.95, reward_scale=0.1, gradients=64),
    ("walker", "ppo"): Recipe("ppo", steps=16_000_000, environments=1024, discount=0.99, reward_scale=0.01),
    ("walker", "sac"): Recipe("sac", steps=400_000, environments=64, discount=0.99, reward_scale=0.01),
}
"""By system and algorithm; each takes about ten minutes on two cores."""
