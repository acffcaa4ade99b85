"""How far a flight is inside the region of attraction of the policy that flies it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from haltere.policies.card import digest
from haltere.policies.contract import ACTION_SIZE
from haltere.policies.hybrid_policy import load_hybrid
from haltere.policies.policy_file import load_policy
from haltere.policies.zoo.shipped import QUADROTOR
from haltere.sim.environment import observation_of
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State

MODE = "transit"
"""Of a flight that follows a reference."""


class Region:
    """Follows a flight with the policy's own hidden state, and judges each state by the Lyapunov function."""

    def __init__(self, policy: Path, file: Path = QUADROTOR) -> None:
        """Args:
        policy: that flies.
        file: Lyapunov function and levels of the quadrotor's modes.
        Raises:
          PolicyFileError: a file cannot be read.
        """
        self._policy, flown = load_policy(policy)
        self._function, hybrid = load_hybrid(file)
        self.known = hybrid.card["policy_sha256"] == digest(flown.content)
        """Whether the file speaks of this policy."""
        modes = list(hybrid.card["levels"])
        self._mode = (np.arange(len(modes)) == modes.index(MODE)).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Begins anew, with a policy that has just been switched on."""
        self._policy.reset()
        self._action = np.zeros(ACTION_SIZE, np.float32)

    def over_level(self, measured: State, setpoint: Setpoint) -> float | None:
        """Takes a control period's state; returns V over the level: inside the region, it is at most 1.

        None, if the file speaks of another policy.
        """
        if not self.known:
            return None
        seen = observation_of(measured, setpoint, self._action)
        answer = self._function.step(np.concatenate([seen, self._policy.hidden_state]), self._mode)
        self._action[:] = self._policy.step(seen)
        return answer.lyapunov_value / answer.region_level
