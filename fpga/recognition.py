"""Which context is it? By the networks in ONNX Runtime, or by the RTL's int8 classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from haltere.fpga.golden.classifier import ClassifierConfig, classify
from haltere.fpga.novelty import Novelty
from haltere.fpga.quantise import Network
from haltere.policies.errors import PolicyFileError

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

CARD = "haltere.context"


class GateFile(NamedTuple):
    """What the training has left, besides the networks.

    Attributes:
      contexts: names of the known contexts.
      loss: (C, 24), position error of each context with each subset of paths, m.
      novelty: of the first features.
      network: the perceptron's numbers, for the RTL.
      words: the same as int8 words.
    """

    contexts: tuple[str, ...]
    loss: Array
    novelty: Novelty
    network: Network
    words: ClassifierConfig


class Recogniser(Protocol):
    """Tells contexts apart."""

    def reset(self, count: int) -> None:
        """Begins N flights."""

    def recognise(self, features: Array) -> Numbers:
        """Returns the contexts' numbers (N,) from features (N, 16), one decision after the other."""


class OnnxScores:
    """Scores of a network in ONNX Runtime, from the newest features or from the last second's."""

    def __init__(self, path: Path, window: int = 1) -> None:
        """Args:
        path: ONNX file.
        window: decisions that the network looks at.
        """
        self._session, _ = _open(path)
        self._window = window
        self._past: Array | None = None

    def reset(self, count: int) -> None:
        """Forgets the past."""
        self._past = None

    def scores(self, features: Array) -> Array:
        """Returns the scores (N, C) of features (N, 16)."""
        given = features
        if self._window > 1:
            if self._past is None:
                self._past = np.repeat(features[:, None], self._window, axis=1)
            self._past = np.concatenate([self._past[:, 1:], features[:, None]], axis=1)
            given = self._past
        return np.asarray(self._session.run(None, {"features": given.astype(np.float32)})[0], np.float64)

    def recognise(self, features: Array) -> Numbers:
        """See `Recogniser`."""
        return np.asarray(self.scores(features).argmax(axis=-1))


class Int8Recogniser:
    """The RTL's classifier, by its golden model."""

    def __init__(self, network: Network, words: ClassifierConfig) -> None:
        """Args:
        network: gives the features' codes.
        words: of the classifier.
        """
        self._network, self._words = network, words

    def reset(self, count: int) -> None:
        """Has no past to forget."""

    def recognise(self, features: Array) -> Numbers:
        """See `Recogniser`."""
        return classify(self._words, self._network.codes(features))[0]


def read_gate(path: Path) -> GateFile:
    """Reads what training has left in the perceptron's file.

    Raises:
      PolicyFileError: it cannot be read, or is no such file.
    """
    _, card = _open(path)
    try:
        numbers = {name: np.array(value) for name, value in card["network"].items()}
        words = {name: np.array(value, np.int64) for name, value in card["words"].items()}
        return GateFile(
            tuple(card["contexts"]),
            np.array(card["loss_m"]),
            Novelty(np.array(card["centre"]), np.array(card["whitening"]), float(card["limit"])),
            Network(**numbers),
            ClassifierConfig(
                words["hidden_weight"],
                words["hidden_bias"],
                words["class_weight"],
                words["class_bias"],
                int(words["multiplier"]),
                int(words["shift"]),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyFileError(f"{path}: its card lacks {error}; make it anew with `haltere fpga train`") from error


def _open(path: Path) -> tuple[Any, dict[str, Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        card = json.loads(session.get_modelmeta().custom_metadata_map.get(CARD, "{}"))
    except Exception as error:  # onnxruntime's own errors have no common base
        raise PolicyFileError(f"{path}: no readable network ({error}); `haltere fpga train` makes one") from error
    return session, card
