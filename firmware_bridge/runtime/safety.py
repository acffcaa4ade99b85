"""What may enter the policy and what may leave it. Pure functions that return status flags and never raise."""

from __future__ import annotations

import numpy as np

from haltere.firmware_bridge.link.messages import StatusFlag
from haltere.policies.contract import OBSERVATION_BOUND, FloatArray

UNUSABLE = int(
    StatusFlag.STALE_STATE | StatusFlag.NONFINITE_STATE | StatusFlag.STATE_OUT_OF_BOUNDS | StatusFlag.ACTION_NONFINITE
)
"""Any of these makes the answer SAFE: the flight controller flies by its own fallback."""

_NONFINITE = int(StatusFlag.NONFINITE_STATE)
_OUT_OF_BOUNDS = int(StatusFlag.STATE_OUT_OF_BOUNDS)
_ACTION_NONFINITE = int(StatusFlag.ACTION_NONFINITE)
_CLIPPED = int(StatusFlag.ACTION_CLIPPED)


def check_observation(observation: FloatArray) -> int:
    """Returns the flags of an observation (22,): not finite, or beyond the contract's bounds."""
    if np.logical_and.reduce(np.absolute(observation) <= OBSERVATION_BOUND):
        return 0
    return _OUT_OF_BOUNDS if np.isfinite(observation).all() else _NONFINITE


def limit_action(action: FloatArray, out: list[float]) -> int:
    """Clips an action (4,) into [-1, 1].

    Args:
      action: the policy's output.
      out: (4,) receives the motor setpoints; untouched if the action is not finite.
    Returns:
      Status flags.
    """
    values = action.tolist()
    if all(-1.0 <= value <= 1.0 for value in values):
        out[:] = values
        return 0
    if not np.isfinite(action).all():
        return _ACTION_NONFINITE
    out[:] = [min(1.0, max(-1.0, value)) for value in values]
    return _CLIPPED
