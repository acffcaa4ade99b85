"""What a number of trials says of a probability, with a stated confidence.

Source: Clopper & Pearson 1934, The use of confidence or fiducial limits illustrated in the case of the binomial.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import beta

CONFIDENCE = 0.999


def lower_bound(successes: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Below which the probability of a success lies with at most 1 - confidence; 0 without trials."""
    if successes <= 0:
        return 0.0
    return float(beta.ppf(1 - confidence, successes, trials - successes + 1))


def upper_bounds(failures: np.ndarray, trials: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """Above which the probability of a failure lies with at most 1 - confidence; element by element."""
    spare = np.maximum(trials - failures, 1)
    return np.where(failures >= trials, 1.0, beta.ppf(confidence, failures + 1, spare))
