"""The policies of a bench, flown side by side: a policy file of ours, and RAPTOR's published weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.contract import UNITS
from haltere.policies.export.weights import weights_from_onnx
from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.line import Line
from haltere.policies.foundation.raptor import raptor_weights
from haltere.policies.plants.quadrotor import Quadrotor
from haltere.policies.policy_file import read_policy

Flown = TypeVar("Flown")

OURS, RAPTOR = "Haltere", "RAPTOR"


class Contestant(NamedTuple):
    """A policy in the bench."""

    name: str
    weights: student.Policy


def load_student(path: Path) -> student.Weights:
    """Reads the student's weights from a policy file."""
    file = read_policy(path)
    arrays = {name: jnp.asarray(value) for name, value in weights_from_onnx(file.content).items()}
    return student.Weights(**arrays, initial_hidden_state=jnp.array(file.card.initial_hidden_state[:UNITS]))


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Median and 95th percentile; what is not finite counts as very large, and so does nothing at all."""
    values = np.where(np.isfinite(values), values, 1e9) if len(values) else np.array([1e9])
    return float(np.median(values)), float(np.percentile(values, 95))


class Contestants:
    """Flies policies at once, each on a device of its own where there are enough."""

    def __init__(self, *contestants: Contestant) -> None:
        self._all = contestants

    @property
    def names(self) -> list[str]:
        """Who flies."""
        return [one.name for one in self._all]

    def each(self, fly: Callable[[student.Policy], Flown]) -> list[tuple[str, Flown]]:
        """Calls `fly` with each policy's weights; returns names and results."""
        devices = jax.local_devices()

        def on_device(index: int) -> Flown:
            with jax.default_device(devices[index % len(devices)]):
                return fly(self._all[index].weights)

        with ThreadPoolExecutor() as pool:
            flown = pool.map(on_device, range(len(self._all)))
            return [(who.name, result) for who, result in zip(self._all, flown, strict=True)]

    def hover(
        self,
        vehicle: Quadrotor,
        initial: evaluate.Initial,
        line: Line,
        key: jax.Array,
        steps: int,
        changes: Mapping[int, Quadrotor] = MappingProxyType({}),
    ) -> list[tuple[str, evaluate.Trace]]:
        """Hovers; arguments as of `evaluate.roll_out`."""
        still = evaluate.still(vehicle.mass.shape[0])
        return self.each(
            lambda weights: evaluate.roll_out(student.step, weights, vehicle, line, still, initial, key, steps, changes)
        )


def ours_and_raptor(policy: Path) -> Contestants:
    """A policy file, and RAPTOR's published weights."""
    return Contestants(Contestant(OURS, load_student(policy)), Contestant(RAPTOR, raptor_weights()))
