"""Policies by reinforcement learning that the bench of the hybrid systems compares with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from haltere.policies.hybrid.baselines import policy
from haltere.policies.hybrid.network import Network

ALGORITHMS = {"ppo": "PPO (brax)", "sac": "SAC (brax)"}


def rivals(
    folder: Path, system: str, observation_size: int, status: Callable[[str], None]
) -> list[tuple[str, Network]]:
    """Names and policies of a system that are in a folder; says which are not.

    Raises:
      PolicyFileError: a file sees other numbers than this version gives.
    """
    found = []
    for algorithm, who in ALGORITHMS.items():
        path = folder / f"{system}_{algorithm}.npz"
        if path.exists():
            found.append((who, policy.read(path, observation_size).weights))
        else:
            status(f"{path} is not there; make it with `haltere train baseline {system} --algorithm {algorithm}`")
    return found
