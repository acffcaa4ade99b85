"""From a small network in floating point to the int8 words of the RTL's classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.fpga.device import Device
from haltere.fpga.golden.classifier import CLASSES, FEATURES, HIDDEN, ClassifierConfig
from haltere.fpga.registers import offset
from haltere.policies.errors import ConfigError

Array = npt.NDArray[np.float64]

INPUT_STEPS = 16.0
"""Steps of an int8 feature in a standard deviation."""
_BIAS = 2**23 - 1


@dataclass(frozen=True, eq=False)
class Network:
    """A layer of rectified units, and one of scores.

    Attributes:
      mean, deviation: (F,), by which features are standardised.
      hidden_weight, hidden_bias: (H, F), (H,).
      class_weight, class_bias: (C, H), (C,).
    """

    mean: Array
    deviation: Array
    hidden_weight: Array
    hidden_bias: Array
    class_weight: Array
    class_bias: Array

    def scores(self, features: Array) -> Array:
        """Returns the scores (..., C) of features (..., F)."""
        hidden = np.maximum(self.standard(features) @ self.hidden_weight.T + self.hidden_bias, 0)
        return np.asarray(hidden @ self.class_weight.T + self.class_bias)

    def standard(self, features: Array) -> Array:
        """Returns standardised features, within 7.9 deviations."""
        return np.clip((features - self.mean) / self.deviation, -127 / INPUT_STEPS, 127 / INPUT_STEPS)

    def codes(self, features: Array) -> npt.NDArray[np.int64]:
        """Returns the features as int8 codes."""
        return np.round(self.standard(features) * INPUT_STEPS).astype(np.int64)


def quantise(network: Network, seen: Array) -> ClassifierConfig:
    """Returns the words of a network: symmetric int8 weights with one scale a layer.

    Args:
      network: at most 16 features, 32 hidden units and 16 classes; the rest is filled so that it never wins.
      seen: (N, F), features by which the hidden units' range is set.
    Raises:
      ConfigError: the network is too large.
    Source: Jacob et al., Quantization and Training of Neural Networks for Integer-Arithmetic-Only Inference, 2018.
    """
    hidden, features = network.hidden_weight.shape
    classes = len(network.class_bias)
    if features > FEATURES or hidden > HIDDEN or classes > CLASSES:
        raise ConfigError(f"{features}-{hidden}-{classes} network; at most {FEATURES}-{HIDDEN}-{CLASSES} fit")
    first = np.abs(network.hidden_weight).max() / 127
    sums = np.maximum(network.standard(seen) @ network.hidden_weight.T + network.hidden_bias, 0)
    step = max(float(np.quantile(sums, 0.999)) / 127, 1e-9)
    factor = first / INPUT_STEPS / step
    shift = int(np.clip(np.floor(np.log2(65535 / factor)), 0, 31))
    second = np.abs(network.class_weight).max() / 127
    weights = np.zeros((HIDDEN, FEATURES), np.int64)
    weights[:hidden, :features] = np.round(network.hidden_weight / first)
    bias = np.zeros(HIDDEN, np.int64)
    bias[:hidden] = np.clip(np.round(network.hidden_bias / (first / INPUT_STEPS)), -_BIAS, _BIAS)
    scores = np.zeros((CLASSES, HIDDEN), np.int64)
    scores[:classes, :hidden] = np.round(network.class_weight / second)
    least = np.full(CLASSES, -_BIAS, np.int64)
    least[:classes] = np.clip(np.round(network.class_bias / (second * step)), -_BIAS, _BIAS)
    return ClassifierConfig(weights, bias, scores, least, min(round(factor * 2**shift), 65535), shift)


def load(device: Device, config: ClassifierConfig) -> None:
    """Writes a classifier's words to a device."""
    whole = np.concatenate([config.hidden_weight.ravel(), config.class_weight.ravel()]).astype(np.int8)
    for index, word in enumerate(whole.view("<u4").tolist()):
        device.write(offset("WEIGHT", index), word)
    for index, value in enumerate(np.concatenate([config.hidden_bias, config.class_bias]).tolist()):
        device.write(offset("BIAS", index), value & 0xFFFFFF)
    device.write(offset("REQUANTISE"), config.shift << 16 | config.multiplier)
