"""What the hidden state knows about the vehicle: linear probes.

Source: Eschmann et al. 2025, who read the thrust-to-weight ratio out of the hidden state (R² .949).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from haltere.policies.foundation.line import Line
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor


def traits(vehicle: Quadrotor, line: Line) -> dict[str, np.ndarray]:
    """What a probe may ask for, by name, each (V,); masses and times in logarithms.

    The rotors' speed in hover is that of quadratic thrust, over full speed: what a policy has to find out to hover.
    """
    thrust_to_weight = vehicle.thrust_curve.sum((0, 1)) / (vehicle.mass * GRAVITY_M_S2)
    values = {
        "thrust-to-weight": thrust_to_weight,
        "rotors' speed in hover": thrust_to_weight**-0.5,
        "mass (log)": jnp.log(vehicle.mass),
        "torque-to-inertia (log)": jnp.log(
            vehicle.thrust_curve.sum(0).mean(0) * jnp.hypot(vehicle.rotor_x[0], vehicle.rotor_y[0]) / vehicle.inertia[0]
        ),
        "motor rise time (log)": jnp.log(vehicle.motor_rise),
        "latency": line.latency,
    }
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def fit(hidden: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fits a linear probe by least squares.

    Args:
      hidden: (T, n, V) hidden states.
      target: (V,) what to read from them.
    Returns:
      (n + 1,) weights, the last of which is the constant.
    """
    states = np.moveaxis(hidden, 1, 2).reshape(-1, hidden.shape[1])
    probe, *_ = np.linalg.lstsq(np.c_[states, np.ones(len(states))], np.tile(target, len(hidden)), rcond=None)
    return np.asarray(probe)


def read(probe: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """What a probe reads from hidden states: (T, n, V) -> (T, V)."""
    return np.asarray(np.einsum("n,tnv->tv", probe[:-1], hidden) + probe[-1])


def held_out_r2(hidden: np.ndarray, target: np.ndarray) -> float:
    """Fits a linear probe on every other vehicle, and judges it on the rest.

    Args:
      hidden: (T, n, V) hidden states.
      target: (V,) what to read from them.
    Returns:
      R², the share of the target's variance that the probe explains on vehicles that it was not fitted on;
      NaN where the target does not vary.
    """
    wanted = target[1::2]
    got = read(fit(hidden[..., ::2], target[::2]), hidden[..., 1::2])
    return float(1 - ((got - wanted) ** 2).mean() / wanted.var()) if wanted.var() > 0 else float("nan")
