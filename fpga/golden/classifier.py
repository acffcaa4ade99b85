"""The int8 context classifier (`rtl/carma_classifier.v`): 16 features, 32 hidden units, 16 classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haltere.fpga.golden.fixed import Words, round_shift

FEATURES, HIDDEN, CLASSES = 16, 32, 16


@dataclass(frozen=True)
class ClassifierConfig:
    """Weights as the registers hold them.

    Attributes:
      hidden_weight: (32, 16), int8.
      hidden_bias: (32,), int24.
      class_weight: (16, 32), int8.
      class_bias: (16,), int24.
      multiplier: of the hidden layer's sums, 16 bits unsigned.
      shift: right shift after it, 5 bits.
    """

    hidden_weight: Words
    hidden_bias: Words
    class_weight: Words
    class_bias: Words
    multiplier: int
    shift: int


def classify(config: ClassifierConfig, features: Words) -> tuple[Words, Words]:
    """Returns the class of the greatest score, of equals the lowest, and its margin over the second greatest.

    Args:
      config: weights.
      features: (..., 16), int8.
    """
    sums = features @ config.hidden_weight.T + config.hidden_bias
    hidden = np.minimum(round_shift(np.maximum(sums, 0) * config.multiplier, config.shift), 127)
    scores = hidden @ config.class_weight.T + config.class_bias
    ranked = np.sort(scores, axis=-1)
    return scores.argmax(axis=-1), ranked[..., -1] - ranked[..., -2]
