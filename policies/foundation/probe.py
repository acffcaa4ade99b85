"""What the hidden state knows about the vehicle: linear probes.

Source: Eschmann et al. 2025, who read the thrust-to-weight ratio out of the hidden state (R² .949).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation.line import Line
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor


def traits(vehicle: Quadrotor, line: Line) -> dict[str, np.ndarray]:
    """What a probe may ask for, by name, each (V,); masses and times in logarithms."""
    values = {
        "thrust-to-weight": vehicle.thrust_curve.sum((0, 1)) / (vehicle.mass * GRAVITY_M_S2),
        "mass (log)": jnp.log(vehicle.mass),
        "torque-to-inertia (log)": jnp.log(
            vehicle.thrust_curve.sum(0).mean(0) * jnp.hypot(vehicle.rotor_x[0], vehicle.rotor_y[0]) / vehicle.inertia[0]
        ),
        "motor rise time (log)": jnp.log(vehicle.motor_rise),
        "latency": line.latency,
    }
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def held_out_r2(hidden: np.ndarray, target: np.ndarray) -> float:
    """Fits a linear probe on every other vehicle, and judges it on the rest.

    Args:
      hidden: (T, 16, V) hidden states.
      target: (V,) what to read from them.
    Returns:
      R², the share of the target's variance that the probe explains on vehicles that it was not fitted on;
      NaN where the target does not vary.
    """
    times = hidden.shape[0]

    def rows(part: slice) -> tuple[np.ndarray, np.ndarray]:
        states = np.moveaxis(hidden[..., part], 1, 2).reshape(-1, hidden.shape[1])
        return np.c_[states, np.ones(len(states))], np.tile(target[part], times)

    seen, wanted = rows(slice(0, None, 2))
    probe, *_ = np.linalg.lstsq(seen, wanted, rcond=None)
    seen, wanted = rows(slice(1, None, 2))
    variance = wanted.var()
    return float(1 - ((seen @ probe - wanted) ** 2).mean() / variance) if variance > 0 else float("nan")
