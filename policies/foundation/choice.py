"""Which vehicles to have teachers for: a model of performance over the vehicle's traits picks the next.

A teacher is worth most on its own vehicle, and less on others the further they are: performance falls in proportion
to the distance. A Gaussian process says what a teacher would be worth on a vehicle that has none yet; the vehicle is
chosen that is expected to raise the sum, over all vehicles, of the best that any chosen teacher is worth there.

Source: Cho et al. 2024, Model-Based Transfer Learning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

OPTIMISM = 1.0
"""How many standard deviations an unknown performance is taken to be above its mean."""


def standardised(traits: dict[str, np.ndarray]) -> np.ndarray:
    """Traits by name, each (N,), as (N, d) of mean 0 and standard deviation 1; those that do not vary are left out."""
    columns = [(values - values.mean()) / values.std() for values in traits.values() if values.std() > 1e-9]
    return np.stack(columns, axis=1)


def distances(places: np.ndarray) -> np.ndarray:
    """Distances between N vehicles with traits (N, d): (N, N), per root of d so that a typical one is about 1."""
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=-1) / np.sqrt(2 * places.shape[1]))


def slope_of(distance: np.ndarray, loss: np.ndarray) -> float:
    """Performance lost per distance, from flights of teachers on other vehicles than their own, at least 0."""
    return max(0.0, float((distance * loss).sum() / (distance**2).sum()))


def choose(places: np.ndarray, count: int, perform: Callable[[int], float], slope: float) -> list[int]:
    """Chooses vehicles one after the other.

    Args:
      places: (N, d) traits of all vehicles, standardised.
      count: how many to choose, at most N.
      perform: trains the teacher of a chosen vehicle, and says what it is worth on it, 0 to 1.
      slope: performance lost per distance, see `slope_of`.
    Returns:
      Their indices, in the order of choice.
    Raises:
      ValueError: more are wanted than there are.
    """
    if not 0 < count <= len(places):
        raise ValueError(f"{count} of {len(places)} vehicles")
    apart = distances(places)
    chosen = [int(apart.sum(1).argmin())]  # the most ordinary vehicle
    known = [perform(chosen[0])]
    worth = np.clip(known[0] - slope * apart[chosen[0]], 0.0, None)
    kernel = ConstantKernel(0.1, (1e-3, 10.0)) * RBF(1.0, (0.1, 10.0)) + WhiteKernel(1e-2, (1e-5, 1.0))
    while len(chosen) < count:
        model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
        with warnings.catch_warnings():  # few points leave the length of the kernel at its bounds
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(places[chosen], known)
        mean, deviation = model.predict(places, return_std=True)
        hoped = np.clip(mean + OPTIMISM * deviation, 0.0, 1.0)
        gain = np.clip(hoped[:, None] - slope * apart - worth, 0.0, None).sum(1)
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        known.append(perform(best))
        worth = np.maximum(worth, known[-1] - slope * apart[best])
    return chosen
