"""Is this a context at all that the gate was trained on?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Novelty:
    """Distance of features from every known context.

    Attributes:
      centre: (C, F).
      whitening: (C, F, F), by which a difference becomes of unit variance.
      limit: distance beyond which no context is known.
    Source: Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, 2018: the least
      Mahalanobis distance.
    """

    centre: Array
    whitening: Array
    limit: float

    def distance(self, features: Array) -> Array:
        """Returns the least Mahalanobis distance (N,) of features (N, F) over the root of F."""
        away = np.einsum("cfg,ncg->ncf", self.whitening, features[:, None] - self.centre)
        return np.asarray(np.sqrt((away**2).mean(axis=-1)).min(axis=-1))

    def unknown(self, features: Array) -> npt.NDArray[np.bool_]:
        """Returns whether features (N, F) belong to no known context: (N,)."""
        return np.asarray(self.distance(features) > self.limit)


def fit(features: Array, label: npt.NDArray[np.int64], classes: int, quantile: float, room: float) -> Novelty:
    """Fits a normal distribution to each context.

    Args:
      features: (M, F), of contexts that are settled.
      label: (M,), their numbers.
      classes: C.
      quantile: of the distances seen.
      room: the limit over that quantile.
    """
    centre, whitening = [], []
    least = 1e-3 + 0.05 * features.std(axis=0)
    for number in range(classes):
        mine = features[label == number]
        centre.append(mine.mean(axis=0))
        values, vectors = np.linalg.eigh(np.cov(mine.T) + np.diag(least**2))
        whitening.append((vectors / np.sqrt(values)).T)
    found = Novelty(np.array(centre), np.array(whitening), np.inf)
    return Novelty(found.centre, found.whitening, room * float(np.quantile(found.distance(features), quantile)))
