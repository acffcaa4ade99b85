"""Loads a policy file into one of three backends, and refuses it unless it repeats its golden vectors.

The board needs numpy and onnxruntime only. The `c` backend is the policy's own C source, compiled here or
elsewhere; `numpy` is the reference, and needs the `onnx` package to read the weights.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from haltere.policies import card as cards
from haltere.policies.card import Card, Golden
from haltere.policies.contract import (
    ACTION_SIZE,
    CONTRACT,
    HIDDEN_SIZE,
    INTEGRAL_FREE_M,
    INTEGRAL_HELD,
    INTEGRAL_KEEP,
    INTEGRAL_NEAR_M,
    INTEGRAL_SIZE,
    INTEGRAL_SLOPE_1_M,
    OBSERVATION_SIZE,
    UNITS,
    FloatArray,
)
from haltere.policies.errors import PolicyFileError

BACKENDS = ("onnxruntime", "c", "numpy")


@dataclass(frozen=True)
class PolicyFile:
    """A policy file that was read and found whole; `open` gives a policy that can be stepped.

    Attributes:
      path: where it was read.
      content: its bytes.
      card: what it says about itself.
      golden: the run that every backend must repeat.
    """

    path: Path
    content: bytes
    card: Card
    golden: Golden


class OnnxPolicy:
    """Runs the graph in ONNX Runtime, on buffers that are bound once and shared with NumPy."""

    def __init__(self, content: bytes, initial_hidden_state: FloatArray) -> None:
        import onnxruntime

        self._session = _session(content)
        self._options = onnxruntime.RunOptions()
        # The buffers are the processor's own: there is nothing to wait for. Measured: a tenth faster.
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._initial = initial_hidden_state
        self.observation = np.zeros((1, OBSERVATION_SIZE), np.float32)
        self._action = np.zeros((1, 1, ACTION_SIZE), np.float32)
        # The last element is the graph's constant.
        self._hidden = (np.ones((1, 1, HIDDEN_SIZE + 1), np.float32), np.ones((1, 1, HIDDEN_SIZE + 1), np.float32))
        # Two bindings that differ in which buffer is the hidden state's input and which its output.
        self._bindings = [self._bind(0, 1), self._bind(1, 0)]
        self._flat: FloatArray = self._action[0, 0]
        self._put = self.observation[0].__setitem__
        self._run = self._session._sess.run_with_iobinding
        self._now = 0
        self.reset()

    def _bind(self, source: int, target: int) -> object:
        import onnxruntime

        def share(array: FloatArray) -> object:
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
            if value.data_ptr() != array.ctypes.data:
                raise PolicyFileError("this onnxruntime copies NumPy buffers: use --backend c, or another version")
            return value

        binding = self._session.io_binding()
        binding.bind_ortvalue_input("observation", share(self.observation))
        binding.bind_ortvalue_input("hidden_state", share(self._hidden[source]))
        binding.bind_ortvalue_output("action", share(self._action))
        binding.bind_ortvalue_output("next_hidden_state", share(self._hidden[target]))
        return binding._iobinding

    def reset(self) -> None:
        """Returns to the initial hidden state."""
        self._now = 0
        self._hidden[0][0, 0, :HIDDEN_SIZE] = self._initial

    @property
    def hidden_state(self) -> FloatArray:
        """(19,) present hidden state."""
        row: FloatArray = self._hidden[self._now][0, 0, :HIDDEN_SIZE]
        return row

    def step(self, observation: FloatArray, advance: bool = True) -> FloatArray:
        """See `contract.Policy.step`."""
        now = self._now
        self._put(..., observation)
        self._run(self._bindings[now], self._options)
        if advance:
            self._now = 1 - now
        return self._flat


class NativePolicy:
    """Runs the policy's generated C through ctypes."""

    def __init__(self, library: Path, initial_hidden_state: FloatArray) -> None:
        # PyDLL keeps the interpreter's lock: giving it away would cost more than the call.
        self._run = ctypes.PyDLL(str(library)).haltere_policy_run
        self._run.restype = None
        self._memory = np.zeros(OBSERVATION_SIZE + ACTION_SIZE + 2 * HIDDEN_SIZE, np.float32)
        bounds = np.cumsum([OBSERVATION_SIZE, ACTION_SIZE, HIDDEN_SIZE])
        self._observation, self._action, self.hidden_state, _ = np.split(self._memory, bounds)
        self._address = ctypes.c_void_p(self._memory.ctypes.data)
        self._initial = initial_hidden_state
        self.reset()

    def reset(self) -> None:
        """Returns to the initial hidden state."""
        self.hidden_state[:] = self._initial

    def step(self, observation: FloatArray, advance: bool = True) -> FloatArray:
        """See `contract.Policy.step`."""
        self._observation[:] = observation
        self._run(self._address, advance)
        return self._action


class NumpyPolicy:
    """The reference: the same equations in NumPy, in the precision of the weights and the hidden state."""

    def __init__(self, weights: dict[str, npt.NDArray[Any]], initial_hidden_state: npt.NDArray[Any]) -> None:
        self._w = weights
        self._initial = initial_hidden_state
        self.hidden_state = initial_hidden_state.copy()

    def reset(self) -> None:
        """Returns to the initial hidden state."""
        self.hidden_state = self._initial.copy()

    def step(self, observation: FloatArray, advance: bool = True) -> FloatArray:
        """See `contract.Policy.step`."""
        w, n = self._w, UNITS
        h, integral = np.split(self.hidden_state, [n])
        seen = np.clip(observation.astype(h.dtype), -w["observation_limit"], w["observation_limit"])
        error = seen[:INTEGRAL_SIZE].copy()
        seen[:INTEGRAL_SIZE] += w["integral_reach"] * integral
        if w["body_axes"] > 0:
            errors, attitude = seen[[[0, 1, 2], [12, 13, 14]]], seen[3:12].reshape(3, 3)
            seen[:3], seen[12:15] = errors @ attitude
        x = np.maximum(w["input_weight"] @ seen + w["input_bias"], np.float32(0))
        from_input = w["gru_input_weight"] @ x + w["gru_input_bias"]
        from_hidden = w["gru_hidden_weight"] @ h + w["gru_hidden_bias"]
        gates = 1 / (1 + np.exp(-(from_input[: 2 * n] + from_hidden[: 2 * n])))
        candidate = np.tanh(from_input[2 * n :] + gates[:n] * from_hidden[2 * n :])
        after = gates[n:] * h + (1 - gates[n:]) * candidate
        if advance:
            excess = np.maximum(np.abs(error) - INTEGRAL_FREE_M, 0).sum()
            keep = min(INTEGRAL_KEEP + INTEGRAL_SLOPE_1_M * excess, INTEGRAL_HELD)
            moved = (w["integral_reach"] > 0) / (1 + np.exp(keep))
            integral = integral + moved * (np.tanh(error / INTEGRAL_NEAR_M) - integral)
            self.hidden_state = np.concatenate([after, integral]).astype(h.dtype)
        action: FloatArray = w["output_weight"] @ after + w["output_bias"]
        return action


RecurrentPolicy = OnnxPolicy | NativePolicy | NumpyPolicy
"""A policy whose hidden state can be looked at; implements `contract.Policy`."""


def _session(content: bytes):  # type: ignore[no-untyped-def]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # measured: an eighth faster at this size
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read_content(path: str | Path) -> tuple[bytes, dict[str, str]]:
    """Reads any of our ONNX files: its bytes, and what it says about itself.

    Raises:
      PolicyFileError: it cannot be read, or is none of ours.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PolicyFileError(f"cannot read {file}: {error.strerror}") from error
    try:
        metadata = _session(content).get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime has no common error class
        raise PolicyFileError(f"{file} is damaged or no ONNX file: copy or export it again") from error
    if cards.CONTRACT_KEY not in metadata:
        raise PolicyFileError(f"{file} is an ONNX file but no Haltere policy: make one with `haltere export`")
    return content, dict(metadata)


def read_policy(path: str | Path) -> PolicyFile:
    """Reads a policy file and checks that it is whole and of this contract; does not run it.

    Raises:
      PolicyFileError: which of these is wrong, and what to do.
    """
    file = Path(path)
    content, metadata = read_content(file)
    stated = metadata[cards.CONTRACT_KEY]
    if stated != CONTRACT:
        raise PolicyFileError(
            f"{file} has the contract {stated}, this version expects {CONTRACT}: "
            "export it again, or install the version that made it"
        )
    try:
        cards.check_digest(content, metadata.get(cards.DIGEST_KEY, ""))
        card = Card.from_json(metadata.get(cards.CARD_KEY, ""))
        golden = Golden.from_json(metadata.get(cards.GOLDEN_KEY, ""))
    except PolicyFileError as error:
        raise PolicyFileError(f"{file}: {error}") from None
    return PolicyFile(file, content, card, golden)


def load_policy(path: str | Path, backend: str = "onnxruntime") -> tuple[RecurrentPolicy, PolicyFile]:
    """Reads a policy file, opens it in a backend and lets it repeat its golden vectors.

    Args:
      path: the `.onnx` file.
      backend: one of `BACKENDS`.
    Returns:
      The policy, in its initial state, and the file.
    Raises:
      PolicyFileError: the file is damaged, of another contract, or disagrees with its golden vectors.
    """
    file = read_policy(path)
    initial = np.array(file.card.initial_hidden_state, np.float32)
    if backend == "onnxruntime":
        policy: RecurrentPolicy = OnnxPolicy(file.content, initial)
    elif backend == "c":
        from haltere.policies.export.c_source import build_library

        policy = NativePolicy(build_library(file), initial)
    elif backend == "numpy":
        from haltere.policies.export.weights import weights_from_onnx

        policy = NumpyPolicy(weights_from_onnx(file.content), initial)
    else:
        raise PolicyFileError(f"unknown backend {backend}: choose one of {', '.join(BACKENDS)}")
    error = golden_error(policy, file.golden)
    if not error <= cards.GOLDEN_TOLERANCE:
        raise PolicyFileError(
            f"{file.path} disagrees with its golden vectors by {error:.2e} (allowed {cards.GOLDEN_TOLERANCE:.0e}) "
            f"in the backend {backend}: its weights were changed, or this backend computes wrongly; "
            "export it again, or try another --backend"
        )
    policy.reset()
    return policy, file


def golden_error(policy: RecurrentPolicy, golden: Golden) -> float:
    """Largest difference to the golden run: of the initial hidden state, and of each step's action and hidden state.

    Each step begins with the hidden state that was recorded: a memory outside of its closed loop can multiply rounding.
    It is not a number where one of them is not.
    """
    policy.reset()
    hidden = golden.hidden_state
    errors = [np.abs(policy.hidden_state - hidden[0]).max()]
    for observation, before, after, action in zip(
        golden.observation, hidden[:-1], hidden[1:], golden.action, strict=True
    ):
        policy.hidden_state[:] = before
        errors.append(np.abs(policy.step(observation) - action).max())
        errors.append(np.abs(policy.hidden_state - after).max())
    return float(np.max(errors))
