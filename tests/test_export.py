"""A policy file in four implementations, and the files that are refused."""

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from haltere.policies import card as cards
from haltere.policies.card import Card, Golden
from haltere.policies.contract import CONTRACT, OBSERVATION_SPEC
from haltere.policies.errors import ExportError, PolicyFileError
from haltere.policies.export.c_source import build_self_test, write_c
from haltere.policies.export.onnx_file import IR_VERSION, OPSET, write_policy
from haltere.policies.export.weights import weights_from_onnx
from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.population import load_population, sample
from haltere.policies.plants import quadrotor
from haltere.policies.policy_file import BACKENDS, load_policy, read_policy
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.contestants import load_student

STEPS = 500


@pytest.fixture(scope="module")
def weights() -> student.Weights:
    return load_student(FOUNDATION)


Answer = Callable[[np.ndarray], np.ndarray]


class Jax:
    """The student in JAX, one observation at a time."""

    def __init__(self, weights: student.Weights) -> None:
        self.hidden_state = np.asarray(student.fresh(weights, 1)[:, 0])
        self._step = jax.jit(partial(student.step, weights))

    def step(self, observation: np.ndarray) -> np.ndarray:
        action, hidden = self._step(observation[:, None], self.hidden_state[:, None])
        self.hidden_state = np.asarray(hidden)[:, 0]
        return np.asarray(action)[:, 0]


@pytest.fixture(scope="module")
def fly() -> Callable[[Answer], np.ndarray]:
    """Flies 500 steps of a figure-eight in closed loop; returns position errors (m) beside the actions, (500, 7)."""
    vehicle = sample(jax.random.key(5), 1, load_population("raptor"))
    begin = evaluate.scatter(jax.random.key(6), vehicle, "code")
    reference = evaluate.figure_eight(1, 5.5)

    @jax.jit
    def observe(state, action, index):
        position, velocity = reference.at(jnp.full(1, index * 0.01))
        rotation = quadrotor.rotation(state.quat_wxyz)
        parts = [state.position - position, rotation, state.velocity - velocity, state.angular_velocity, action]
        return jnp.concatenate(parts)[:, 0]

    move = jax.jit(partial(quadrotor.step, vehicle))

    def flight(answer: Answer) -> np.ndarray:
        state, action, rows = begin.state, begin.action, []
        for index in range(STEPS):
            observation = np.asarray(observe(state, action, index))
            action = jnp.array(answer(observation))[:, None]
            state = move(state, action)
            rows.append([*observation[:3], *action[:, 0]])
        return np.array(rows)

    return flight


@pytest.fixture(scope="module")
def flown(fly: Callable[[Answer], np.ndarray], weights: student.Weights) -> np.ndarray:
    flight = fly(Jax(weights).step)
    assert np.abs(flight[-100:, :3]).max() < 0.3, "the flight itself must be a sane one"
    return flight


@pytest.mark.parametrize("backend", BACKENDS)
def test_parity_over_500_closed_loop_steps(
    backend: str, fly: Callable[[Answer], np.ndarray], flown: np.ndarray
) -> None:
    policy, _ = load_policy(FOUNDATION, backend)
    assert np.abs(fly(policy.step) - flown).max() <= 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_parity_of_each_step_from_the_same_hidden_state(
    backend: str, fly: Callable[[Answer], np.ndarray], weights: student.Weights
) -> None:
    policy, _ = load_policy(FOUNDATION, backend)
    student_in_jax, worst = Jax(weights), 0.0

    def answer(observation: np.ndarray) -> np.ndarray:
        nonlocal worst
        policy.hidden_state[:] = student_in_jax.hidden_state
        action = student_in_jax.step(observation)
        worst = max(worst, float(np.abs(policy.step(observation) - action).max()))
        worst = max(worst, float(np.abs(policy.hidden_state - student_in_jax.hidden_state).max()))
        return action

    fly(answer)
    assert 0 < worst <= 5e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_far_is_seen_at_the_limit(backend: str, weights: student.Weights, tmp_path: Path) -> None:
    arrays = {name: np.asarray(leaf) for name, leaf in weights._asdict().items()}
    del arrays["initial_hidden_state"]
    initial = tuple(map(float, student.fresh(weights, 1)[:, 0]))
    arrays["observation_limit"] = np.asarray(student.observation_limits())
    path = write_policy(tmp_path / "p.onnx", arrays, Card("near", "quadrotor", initial, {}, {}))
    assert weights_from_onnx(path.read_bytes()).keys() == arrays.keys()
    policy, file = load_policy(path, backend)
    limited = Jax(weights._replace(observation_limit=student.observation_limits()))
    observation = np.tile(file.golden.observation[0], (3, 1))
    observation[0, :3] = (-7.0, 0.3, 1.1 * student.REACH_M)
    observation[1, :3] = (-student.REACH_M, 0.3, student.REACH_M)
    observation[2, :3] = (-0.9 * student.REACH_M, 0.3, student.REACH_M)
    actions = [policy.step(row, advance=False).copy() for row in observation]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert np.abs(actions[2] - actions[1]).max() > 1e-3
    np.testing.assert_allclose(actions[0], limited.step(observation[0]), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_between_native_periods_the_hidden_state_stays(backend: str) -> None:
    policy, file = load_policy(FOUNDATION, backend)
    first = policy.step(file.golden.observation[0], advance=False).copy()
    again = policy.step(file.golden.observation[0], advance=False).copy()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(policy.step(file.golden.observation[0]), first)
    after = policy.step(file.golden.observation[1]).copy()
    np.testing.assert_allclose(after, file.golden.action[1], atol=1e-5)
    policy.reset()
    np.testing.assert_array_equal(policy.step(file.golden.observation[0]), first)


def test_file_keeps_the_contract() -> None:
    model = onnx.load(FOUNDATION)
    assert model.ir_version <= IR_VERSION == 10
    assert [entry.version for entry in model.opset_import] == [OPSET] == [17]
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    hidden = [1, 1, 20]  # the last is a constant
    assert shapes == {"observation": [1, 22], "hidden_state": hidden, "action": [1, 1, 4], "next_hidden_state": hidden}
    file = read_policy(FOUNDATION)
    assert len(file.golden.action) >= 32
    assert {"command", "commit", "seed", "training_s", "recipe"} <= file.card.provenance.keys()
    assert file.card.scores


def test_c_source_is_c99_without_heap_and_tests_itself(tmp_path: Path) -> None:
    file = read_policy(FOUNDATION)
    header, source = write_c(file, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {header.name, source.name}
    assert "malloc" not in source.read_text()
    done = subprocess.run([build_self_test(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "allowed 1e-05" in done.stdout


def test_c_self_test_finds_a_changed_weight(tmp_path: Path) -> None:
    from haltere.policies.native import build

    _, source = write_c(read_policy(FOUNDATION), tmp_path)
    text = source.read_text()
    at = text.index("output_bias[4] = {") + len("output_bias[4] = {")
    changed = text[:at] + "1.0f + " + text[at:].lstrip()
    source.write_text(changed)
    program = build("changed_policy", [source], ("-O1", "-DHALTERE_POLICY_MAIN"))
    assert subprocess.run([program], capture_output=True).returncode == 1


def test_c_compiles_for_a_board(tmp_path: Path) -> None:
    _, source = write_c(read_policy(FOUNDATION), tmp_path)
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu", "-std=c99", "-Wall", "-Werror", "-O2"]
    done = subprocess.run([*zig, "-c", str(source), "-o", str(tmp_path / "policy.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def changed(path: Path, change, restamp: bool = True) -> Path:
    """Writes the shipped file with a change; with its digest made right again, as a careful editor would."""
    model = onnx.load(FOUNDATION)
    change(model)
    metadata = {entry.key: entry for entry in model.metadata_props}
    if restamp and cards.DIGEST_KEY in metadata:
        metadata[cards.DIGEST_KEY].value = cards.BLANK_DIGEST
    content = model.SerializeToString(deterministic=True)
    if restamp:
        content = content.replace(cards.BLANK_DIGEST.encode(), cards.digest(content).encode())
    path.write_bytes(content)
    return path


WEIGHTS = [entry.name for entry in onnx.load(FOUNDATION).graph.initializer]


@pytest.mark.parametrize("name", WEIGHTS)
def test_one_changed_weight_disagrees_with_the_golden_vectors(tmp_path: Path, name: str) -> None:
    def bump(model: onnx.ModelProto) -> None:
        entry = next(e for e in model.graph.initializer if e.name == name)
        array = numpy_helper.to_array(entry).copy()
        if not array.shape:  # the limit
            array = array / 2
        else:
            array.flat[array.size // 2] += 0.01
        entry.CopyFrom(numpy_helper.from_array(array, name))

    path = changed(tmp_path / "p.onnx", bump)
    for backend in BACKENDS:
        with pytest.raises(PolicyFileError, match=r"disagrees with its golden vectors|constants of the graph"):
            load_policy(path, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_initial_hidden_state_disagrees_with_the_golden_vectors(tmp_path: Path, backend: str) -> None:
    def edit(text: str) -> str:
        card = json.loads(text)
        card["initial_hidden_state"][3] += 0.01
        return json.dumps(card)

    with pytest.raises(PolicyFileError, match="disagrees with its golden vectors"):
        load_policy(changed(tmp_path / "p.onnx", _set(cards.CARD_KEY, edit)), backend)


def _set(key: str, edit):
    def change(model: onnx.ModelProto) -> None:
        entry = next(e for e in model.metadata_props if e.key == key)
        entry.value = edit(entry.value)

    return change


@pytest.mark.parametrize(
    ("change", "restamp", "says"),
    [
        (
            _set(cards.CONTRACT_KEY, lambda v: "haltere.quadrotor/9"),
            True,
            f"has the contract haltere.quadrotor/9.*{CONTRACT}",
        ),
        (_set(cards.CONTRACT_KEY, lambda v: v), False, None),
        (_set(cards.CARD_KEY, lambda v: v + " "), False, "SHA-256 differs.*copy or export"),
        (
            _set(cards.CARD_KEY, lambda v: v.replace('"native_rate_hz": 100.0', '"native_rate_hz": 50.0')),
            True,
            "native_rate_hz is 50",
        ),
        (_set(cards.CARD_KEY, lambda v: v.replace("rad/s", "deg/s")), True, "observation is"),
        (_set(cards.CARD_KEY, lambda v: "{"), True, "card is not readable"),
        (_set(cards.GOLDEN_KEY, lambda v: v[:100]), True, "golden vectors are not readable"),
        (lambda model: model.ClearField("metadata_props"), False, "no Haltere policy"),
    ],
)
def test_bad_file_is_refused_with_reason(tmp_path: Path, change, restamp: bool, says: str | None) -> None:
    path = changed(tmp_path / "p.onnx", change, restamp)
    if says is None:
        load_policy(path)
        return
    with pytest.raises(PolicyFileError, match=says) as caught:
        load_policy(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    content = FOUNDATION.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0x10
    damaged = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "text": b"not a model",
        "flipped": bytes(flipped),
    }
    path = tmp_path / "p.onnx"
    path.write_bytes(damaged[damage])
    with pytest.raises(PolicyFileError, match=r"damaged|readable|no Haltere policy"):
        load_policy(path)


def test_missing_file_and_unknown_backend() -> None:
    with pytest.raises(PolicyFileError, match="cannot read"):
        load_policy("nowhere.onnx")
    with pytest.raises(PolicyFileError, match="onnxruntime, c, numpy"):
        load_policy(FOUNDATION, "tensorrt")


def test_diverged_weights_are_not_exported(tmp_path: Path, weights: student.Weights) -> None:
    arrays = {name: np.array(value) for name, value in weights._asdict().items()}
    del arrays["initial_hidden_state"]
    initial = tuple(map(float, student.fresh(weights, 1)[:, 0]))
    arrays["output_bias"][1] = np.nan
    with pytest.raises(ExportError, match="output_bias"):
        write_policy(tmp_path / "p.onnx", arrays, Card("x", "quadrotor", initial, {}, {}))
    assert not list(tmp_path.iterdir())


def test_card_and_golden_survive_the_way_through_json() -> None:
    file = read_policy(FOUNDATION)
    assert Card.from_json(file.card.to_json()) == file.card
    again = Golden.from_json(file.golden.to_json())
    np.testing.assert_array_equal(again.observation, file.golden.observation)


def test_specs_are_whole() -> None:
    assert sum(field.size for field in OBSERVATION_SPEC) == 22


def test_native_library_leaves_small_numbers_alone() -> None:
    load_policy(FOUNDATION, "c")
    assert np.float32(1e-40) * np.float32(0.5) > 0


def test_native_library_has_prefixed_symbols_only() -> None:
    from haltere.policies.export.c_source import build_library

    library = build_library(read_policy(FOUNDATION))
    ctypes.CDLL(str(library)).haltere_policy_self_test.restype = ctypes.c_float
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in symbols.splitlines()]
    assert names
    assert all(name.startswith(("haltere_", "_")) for name in names)
