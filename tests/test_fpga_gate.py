"""The gate: objective, recognition in ONNX Runtime and in the RTL's int8, hysteresis, novelty, safety."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from haltere.fpga.features import ALWAYS, FEATURES, WINDOW
from haltere.fpga.gate import (
    CONTRADICTIONS,
    DOUBTS,
    HEARD_TICKS,
    HOLD_S,
    REPEATS,
    SILENCES,
    WINS,
    AtRandom,
    ByContext,
    ByLoss,
    Gate,
    Static,
    View,
)
from haltere.fpga.golden.classifier import classify
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.objective import SUBSETS, Objective, bursts_of, paths_of, subset_of
from haltere.fpga.paths import LIDAR
from haltere.fpga.quantise import Network, load, quantise
from haltere.fpga.recognition import Int8Recogniser, OnnxScores, read_gate
from haltere.fpga.registers import offset
from haltere.policies.errors import ConfigError, PolicyFileError
from haltere.policies.zoo.shipped import FOUNDATION, GATE_ATTENTION, GATE_LOSS, GATE_PERCEPTRON
from haltere.sim.senses.conditions import CONTEXTS

PERIOD_S = 0.05


@pytest.fixture(scope="module")
def gate_file():
    return read_gate(GATE_PERCEPTRON)


def plausible(gate_file, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Features about the centres of the contexts, ring asleep, and the contexts."""
    random = np.random.default_rng(0)
    context = random.integers(0, len(gate_file.contexts), count)
    features = np.zeros((count, len(FEATURES)))
    spread = np.linalg.inv(gate_file.novelty.whitening)
    noise = 0.5 * random.standard_normal((count, ALWAYS))
    features[:, :ALWAYS] = gate_file.novelty.centre[context] + np.einsum("nfg,ng->nf", spread[context], noise)
    return features, context


def view(time_s: float, features: np.ndarray, offset_m: float = 0.0, upright: float = 1.0) -> View:
    count = len(features)
    awake = np.ones((count, 5), np.bool_)
    return View(time_s, features, np.full(count, offset_m), np.full(count, upright), awake, np.zeros(count, np.int64))


def test_subsets_are_paths_with_the_imu() -> None:
    np.testing.assert_array_equal(paths_of(np.array([0, 5, 15])), [[1, 0, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])
    every = np.arange(SUBSETS)
    np.testing.assert_array_equal(subset_of(paths_of(every), bursts_of(every)), every)
    assert len({(*map(bool, paths), *map(bool, bursts_of(n))) for n, paths in enumerate(paths_of(every))}) == SUBSETS
    assert not (bursts_of(every) & ~paths_of(every)).any()
    assert bursts_of(every).sum() == 8


def test_the_objective_weighs_error_against_energy() -> None:
    loss, power = np.full(SUBSETS, 3.0), np.linspace(0.5, 2.0, SUBSETS)
    loss[[3, 7, 15]] = 1.03, 0.9, 1.0
    assert Objective(gamma=10.0, weight=1.0).choose(loss, power) == 0
    assert Objective(gamma=10.0, weight=0.0).choose(loss, power) == 7
    assert Objective(gamma=0.05, weight=1.0).choose(loss, power) == 3
    assert Objective(gamma=0.01, weight=1.0).choose(loss, power) == 7
    assert Objective(gamma=0.05, weight=0.0).choose(loss, power) == 7
    with pytest.raises(ConfigError, match=r"gamma is -1.*0 or more"):
        Objective(gamma=-1)
    with pytest.raises(ConfigError, match=r"weight of the energy is 2.*0 to 1"):
        Objective(weight=2)


def test_the_file_knows_the_contexts(gate_file) -> None:
    assert gate_file.contexts == tuple(CONTEXTS)
    features, context = plausible(gate_file)
    for recogniser in (OnnxScores(GATE_PERCEPTRON), Int8Recogniser(gate_file.network, gate_file.words)):
        assert (recogniser.recognise(features) == context).mean() > 0.9
    looking = OnnxScores(GATE_ATTENTION, WINDOW)
    looking.reset(len(features))
    assert (looking.recognise(features) == context).mean() > 0.9
    assert OnnxScores(GATE_LOSS).scores(features).shape == (len(features), SUBSETS)


def test_onnx_is_the_network(gate_file) -> None:
    features, _ = plausible(gate_file)
    np.testing.assert_allclose(
        OnnxScores(GATE_PERCEPTRON).scores(features), gate_file.network.scores(features), atol=2e-3, rtol=1e-3
    )


def test_int8_words_answer_alike_on_the_device(gate_file) -> None:
    features, _ = plausible(gate_file, 40)
    codes = gate_file.network.codes(features)
    best, margin = classify(gate_file.words, codes)
    device = GoldenDevice()
    load(device, gate_file.words)
    for row in range(len(codes)):
        for index, word in enumerate(codes[row].astype(np.int8).view("<u4").tolist()):
            device.write(offset("FEATURE", index), word)
        device.write(offset("CLASSIFY"), 1)
        assert (device.read(offset("BEST")), device.read(offset("MARGIN"))) == (best[row], margin[row])


def test_int8_is_close_to_float(gate_file) -> None:
    features, _ = plausible(gate_file, 3000)
    assert (
        Int8Recogniser(gate_file.network, gate_file.words).recognise(features)
        == gate_file.network.scores(features).argmax(-1)
    ).mean() > 0.98


def test_a_network_that_does_not_fit_is_refused() -> None:
    big = Network(np.zeros(20), np.ones(20), np.zeros((32, 20)), np.zeros(32), np.zeros((9, 32)), np.zeros(9))
    with pytest.raises(ConfigError, match="20-32-9"):
        quantise(big, np.zeros((2, 20)))


def test_another_file_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="network"):
        read_gate(FOUNDATION)


@dataclass
class Told:
    """A recogniser that says what it is told."""

    context: int = 0

    def reset(self, count: int) -> None:
        pass

    def recognise(self, features: np.ndarray) -> np.ndarray:
        return np.full(len(features), self.context)


def test_one_odd_answer_changes_nothing_and_several_do() -> None:
    told = Told()
    gate = Gate(ByContext(told, np.array([1, 2])))
    still = np.zeros((2, len(FEATURES)))
    for step in range(10):
        wanted, _, force = gate.decide(view(step * PERIOD_S, still))
    np.testing.assert_array_equal(wanted, paths_of(np.array([1, 1])))
    assert not force[:, 1:].any()
    told.context = 1
    for step in range(10, 10 + WINS):
        np.testing.assert_array_equal(wanted, paths_of(np.array([1, 1])))
        wanted = gate.decide(view(step * PERIOD_S, still)).gate
    np.testing.assert_array_equal(wanted, paths_of(np.array([2, 2])))


def test_the_unknown_brings_everything_on(gate_file) -> None:
    features, _ = plausible(gate_file, 20)
    gate = Gate(Static(1), gate_file.novelty)
    force = gate.decide(view(1.0, features)).force
    assert not gate.unknown.any()
    features[:, :ALWAYS] += 30.0
    for step in range(DOUBTS):
        assert not force[:, 1:].any()
        force = gate.decide(view(1.0 + (step + 1) * PERIOD_S, features)).force
    assert force.all()
    assert DOUBTS * PERIOD_S < 0.3


@pytest.mark.parametrize(("offset_m", "upright"), [(1.0, 1.0), (0.0, 0.3)])
def test_a_vehicle_in_danger_gets_all_its_senses_at_once(offset_m: float, upright: float) -> None:
    gate = Gate(Static(1))
    still = np.zeros((1, len(FEATURES)))
    assert not gate.decide(view(0.5, still)).force[:, 1:].any()
    assert gate.decide(view(1.0, still, offset_m, upright)).force.all()
    assert gate.decide(view(1.0 + 0.9 * HOLD_S, still)).force.all()
    assert not gate.decide(view(1.0 + 1.1 * HOLD_S, still)).force[:, 1:].any()


def test_a_lyapunov_value_above_its_level_is_danger() -> None:
    still = view(0.5, np.zeros((2, len(FEATURES))))
    force = Gate(Static(1)).decide(still._replace(lyapunov=np.array([0.5, 1.5]))).force
    np.testing.assert_array_equal(force[:, 1:].all(axis=1), [False, True])


def test_a_stuck_sensor_is_left_out_and_the_others_come_on() -> None:
    still = view(0.1, np.zeros((2, len(FEATURES))))
    repeats = np.zeros((2, 5), np.int64)
    repeats[1, 2] = repeats[0, 2] = REPEATS
    age = np.full((2, 5), 10)
    age[0, 2] = 500
    gate = Gate(Static(2))
    wanted, _, force = gate.decide(still._replace(repeats=repeats, age_ticks=age))
    np.testing.assert_array_equal(wanted | force, [[1, 0, 1, 0, 0], [1, 1, 0, 1, 1]])
    wanted, _, force = gate.decide(still._replace(time_s=9.0))
    assert not (wanted | force)[1, 2]


def test_who_hears_not_where_the_vehicle_is_gets_help_and_then_everything() -> None:
    gate, age = Gate(Static(9)), np.full((3, 5), 65535)  # flow and radar are asked for
    age[0, 1], age[1, 3], age[:, 4] = HEARD_TICKS, 0, 0  # flow speaks, GPS speaks, only the radar does
    for step in range(1, 2 * SILENCES + 1):
        still = view(step * PERIOD_S, np.zeros((3, len(FEATURES))))
        wanted, burst, force = gate.decide(still._replace(repeats=np.zeros((3, 5), np.int64), age_ticks=age))
        helped = [1, 1, 1, 1, 1] if step >= SILENCES else [1, 1, 0, 0, 1]
        np.testing.assert_array_equal(wanted, [[1, 1, 0, 0, 1], helped, helped])
        np.testing.assert_array_equal(burst[:, LIDAR], [False, *[step >= SILENCES] * 2])
        np.testing.assert_array_equal(force.all(axis=1), [False, False, step == 2 * SILENCES])


def test_contradicting_sensors_bring_everything_on(gate_file) -> None:
    features, _ = plausible(gate_file, 1)
    features[:, [12, 14, 15]] = 3.0, 3.0, 1.0
    gate = Gate(Static(1), gate_file.novelty)
    for step in range(CONTRADICTIONS):
        force = gate.decide(view(1.0 + step * PERIOD_S, features)).force
        assert force.all() == (step == CONTRADICTIONS - 1)


def test_the_paths_of_before_stay_until_the_handover_is_over() -> None:
    told = Told()
    gate = Gate(ByContext(told, np.array([1, 2])), handover_s=0.5)
    still = np.zeros((1, len(FEATURES)))
    for step in range(60):
        told.context = int(step >= 30)
        wanted = gate.decide(view(step * PERIOD_S, still)).gate
        if step == 30 + WINS:
            np.testing.assert_array_equal(wanted, paths_of(np.array([3])))
    np.testing.assert_array_equal(wanted, paths_of(np.array([2])))


def test_bursts_are_asked_for_and_end_where_everything_is_forced_on() -> None:
    number = int(subset_of(paths_of(np.array(3)), np.arange(5) == LIDAR))
    gate = Gate(Static(number))
    still = np.zeros((1, len(FEATURES)))
    gate_, burst, force = gate.decide(view(0.0, still))
    np.testing.assert_array_equal(gate_, paths_of(np.array([3])))
    np.testing.assert_array_equal(burst[0], np.arange(5) == LIDAR)
    assert not force[:, 1:].any()
    assert gate.decide(view(1.0, still, offset_m=2.0)).force.all()


def test_lots_are_drawn_as_often_as_asked() -> None:
    share = np.zeros(SUBSETS)
    share[[1, 15]] = 0.75, 0.25
    chooser = AtRandom(share, 1.0, np.random.default_rng(0))
    drawn = [chooser.choose(view(step * PERIOD_S, np.zeros((2000, 16))))[0] for step in range(40)]
    assert np.mean(np.array(drawn) == 15) == pytest.approx(0.25, abs=0.02)
    kept = np.mean(drawn[0] == drawn[1])
    assert 0.95 < kept < 1.0


def test_predicted_losses_choose(gate_file) -> None:
    features, context = plausible(gate_file)
    power = np.linspace(0.1, 1.0, SUBSETS)
    chosen, _ = ByLoss(OnnxScores(GATE_LOSS), Objective(0.5, 0.0), power).choose(view(1.0, features))
    found = gate_file.loss[context, chosen] / gate_file.loss[context].min(axis=1)
    assert np.median(found) < 1.3
