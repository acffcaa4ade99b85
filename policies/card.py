"""What a policy file says about itself: contract, provenance, scores, golden vectors. NumPy only.

All of it lives in the ONNX file's `metadata_props`, under four keys:
  haltere.contract   name and version of the contract
  haltere.card       JSON: specs, initial hidden state, provenance, scores
  haltere.golden     JSON: base64 float32 arrays of a closed run (observation, hidden state, action)
  haltere.sha256     digest of the file with this value zeroed
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from haltere.policies import contract
from haltere.policies.contract import FloatArray
from haltere.policies.errors import PolicyFileError

CONTRACT_KEY = "haltere.contract"
CARD_KEY = "haltere.card"
GOLDEN_KEY = "haltere.golden"
DIGEST_KEY = "haltere.sha256"
BLANK_DIGEST = "0" * 64

GOLDEN_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Golden:
    """A recorded run that every implementation must repeat.

    Attributes:
      observation: (T, 22).
      hidden_state: (T + 1, 16), before each step, and after the last.
      action: (T, 4).
    """

    observation: FloatArray
    hidden_state: FloatArray
    action: FloatArray

    def to_json(self) -> str:
        """Encodes as JSON with base64 float32, little-endian."""
        return json.dumps(
            {
                name: {
                    "shape": value.shape,
                    "float32": base64.b64encode(value.astype("<f4").tobytes()).decode(),
                }
                for name, value in vars(self).items()
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Golden:
        """Decodes `to_json`.

        Raises:
          PolicyFileError: it is not of that form, or shorter than 32 steps.
        """
        try:
            arrays = {
                name: np.frombuffer(base64.b64decode(entry["float32"]), "<f4").reshape(entry["shape"])
                for name, entry in json.loads(text).items()
            }
            golden = cls(**arrays)
        except (ValueError, TypeError, KeyError) as error:
            raise PolicyFileError(f"golden vectors are not readable ({error}): export the policy again") from error
        steps, hidden = golden.action.shape[0], contract.HIDDEN_SIZE
        shapes = (golden.observation.shape, golden.hidden_state.shape, golden.action.shape)
        if steps < 32 or shapes != ((steps, 22), (steps + 1, hidden), (steps, 4)):
            raise PolicyFileError(f"golden vectors have shapes {shapes}: expected at least 32 steps of 22, {hidden}, 4")
        return golden


@dataclass(frozen=True)
class Card:
    """The card of a policy.

    Attributes:
      name: short name.
      kind: what it flies.
      initial_hidden_state: (19,).
      provenance: recipe, seed, commit, cost of training, date.
      scores: what it was shipped with, by name; units in the name.
    """

    name: str
    kind: str
    initial_hidden_state: tuple[float, ...]
    provenance: dict[str, Any]
    scores: dict[str, float]

    def to_json(self) -> str:
        """Encodes as JSON, with the specs of the contract written out."""
        return json.dumps(
            {
                **asdict(self),
                "native_rate_hz": contract.NATIVE_RATE_HZ,
                "observation": [asdict(field) for field in contract.OBSERVATION_SPEC],
                "action": [asdict(field) for field in contract.ACTION_SPEC],
                "motor_order": contract.MOTOR_ORDER,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Decodes `to_json`, and compares the specs with this version's contract.

        Raises:
          PolicyFileError: it is not of that form, or the specs differ.
        """
        try:
            table = json.loads(text)
            specs = {name: table.pop(name) for name in ("native_rate_hz", "observation", "action", "motor_order")}
            table["initial_hidden_state"] = tuple(table["initial_hidden_state"])
            card = cls(**table)
        except (ValueError, TypeError, KeyError) as error:
            raise PolicyFileError(f"the policy's card is not readable ({error}): export the policy again") from error
        ours = json.loads(cls("", "", (), {}, {}).to_json())
        for name, value in specs.items():
            if value != ours[name]:
                raise PolicyFileError(
                    f"the policy's {name} is {value}, this version expects {ours[name]}: "
                    "export the policy again with this version"
                )
        return card


def digest(content: bytes) -> str:
    """SHA-256 of a policy file whose own digest is `BLANK_DIGEST`."""
    return hashlib.sha256(content).hexdigest()


def check_digest(content: bytes, stated: str) -> None:
    """Compares a file's content with the digest that it states.

    Raises:
      PolicyFileError: they differ.
    """
    if digest(content.replace(stated.encode(), BLANK_DIGEST.encode())) != stated:
        raise PolicyFileError("the policy file is damaged (its SHA-256 differs): copy or export it again")
