"""The runtime, message by message: whom it serves, what it answers, and what it refuses to fly."""

from __future__ import annotations

import importlib
import math
import pkgutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runtime_line import HERE, MOTOR, STEP_US, ZERO, Line, StandIn, hello, setpoint, state

from haltere.firmware_bridge.link.frame import encode
from haltere.firmware_bridge.link.messages import (
    SCHEMA_HASH,
    Fault,
    FaultCode,
    Heartbeat,
    Hello,
    LifeCycle,
    Message,
    Mode,
    ParameterSet,
    ParameterValue,
    Role,
    Setpoint,
    State,
    StatusFlag,
)
from haltere.firmware_bridge.runtime.loop import PARAMETERS, Limits
from haltere.policies.contract import FloatArray
from haltere.policies.policy_file import RecurrentPolicy

pytestmark = pytest.mark.realtime


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def connected(line: Line) -> Line:
    return line.begin(setpoint())


# --- Whom it serves


def test_it_is_silent_until_it_is_greeted(line: Line) -> None:
    assert line.runtime.life_cycle == LifeCycle.STANDBY
    assert line.give(state(), setpoint(), Heartbeat(3), ParameterSet("deadline", 0.1)) == []
    time.sleep(0.12)
    assert line.give() == []
    assert line.received == []
    assert (line.runtime.states, line.policy.observations) == (0, [])


def test_a_hello_opens_the_session_and_a_state_the_flight(line: Line) -> None:
    (answer,) = line.give(hello())
    assert (answer.schema_hash, answer.role, answer.native_rate_hz) == (SCHEMA_HASH, Role.RUNTIME, 100)
    assert answer.name == "stand-in"
    assert line.received[1:] == [Heartbeat(LifeCycle.STANDBY), line.runtime.status()]
    action = line.answer(setpoint(), state(12345))
    assert (action.state_sequence, action.state_valid_us, action.mode, action.status) == (2, 12345, Mode.FAST, 0)
    assert list(action.motor) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert line.runtime.life_cycle == LifeCycle.ACTIVE
    (again,) = line.give(hello())  # the same flight controller: its flight goes on
    assert again == answer
    assert line.runtime.states == 1


def test_a_hello_of_another_runtime_is_not_answered(line: Line) -> None:
    assert line.give(Hello(SCHEMA_HASH, Role.RUNTIME, 1, 100, "echo"), state()) == []


def test_another_version_is_refused(line: Line) -> None:
    (fault,) = line.give(hello(schema_hash=SCHEMA_HASH ^ 1), setpoint(), state())
    assert (fault.code, fault.detail) == (FaultCode.VERSION_MISMATCH, SCHEMA_HASH)
    assert line.give(state(2 * STEP_US)) == []
    assert line.policy.observations == []


def test_a_second_client_is_refused_and_the_first_flies_on(connected: Line) -> None:
    connected.give(state())
    fault, action = connected.give(hello(session_id=8), state(2 * STEP_US))
    assert (fault.code, fault.detail) == (FaultCode.BUSY, 7)
    assert (action.mode, action.status) == (Mode.FAST, 0)  # with its setpoint
    action, fault = connected.give(state(3 * STEP_US), hello(session_id=8))[::-1]
    assert (action.state_valid_us, action.status, fault.code) == (3 * STEP_US, 0, FaultCode.BUSY)
    assert connected.policy.resets == 1
    assert connected.runtime.session.refused == 2


def test_a_restarted_flight_controller_is_accepted_after_a_silence(connected: Line) -> None:
    connected.give(state(5_000_000), ParameterSet("deadline", 0.5))
    assert isinstance(connected.give(hello(session_id=8))[0], Fault)
    time.sleep(0.11)
    # What the one before it sent is not answered to the new one.
    (answer,) = connected.give(state(5_000_000 + STEP_US), hello(session_id=8))
    assert isinstance(answer, Hello)
    assert (connected.runtime.life_cycle, connected.runtime.states) == (LifeCycle.STANDBY, 0)
    assert connected.runtime.limits == Limits()
    assert connected.policy.resets == 2
    assert connected.answer(state(STEP_US)).status == StatusFlag.NO_SETPOINT


def test_after_silence_the_session_ends(connected: Line) -> None:
    connected.give(state(), ParameterSet("link_timeout", 0.05))
    time.sleep(0.03)
    connected.give()
    assert connected.runtime.life_cycle == LifeCycle.ACTIVE
    time.sleep(0.03)
    connected.received.clear()
    connected.give()
    assert connected.runtime.life_cycle == LifeCycle.STANDBY
    time.sleep(0.11)
    connected.give(state(2 * STEP_US))
    assert connected.received == []


def test_it_tells_that_it_lives(connected: Line) -> None:
    connected.give(state())
    for _ in range(4):
        time.sleep(0.06)
        connected.give(Heartbeat(LifeCycle.ACTIVE))
    beats = [message for message in connected.received if isinstance(message, Heartbeat)]
    assert 2 <= len(beats) <= 4
    assert beats[-1] == Heartbeat(LifeCycle.ACTIVE)


# --- What may not be flown


SPOILED = [
    ({"position_world_m": (math.nan, 0.0, 0.0)}, StatusFlag.NONFINITE_STATE),
    ({"position_world_m": (0.0, -math.inf, 0.0)}, StatusFlag.NONFINITE_STATE),
    ({"quat_wxyz": (math.nan, 0.0, 0.0, 0.0)}, StatusFlag.NONFINITE_STATE),
    ({"quat_wxyz": (1.0, math.inf, 0.0, 0.0)}, StatusFlag.NONFINITE_STATE),
    ({"velocity_world_m_s": (0.0, math.nan, 0.0)}, StatusFlag.NONFINITE_STATE),
    ({"angular_velocity_body_rad_s": (0.0, 0.0, math.inf)}, StatusFlag.NONFINITE_STATE),
    ({"position_world_m": (0.0, 0.0, 5e6)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"position_world_m": (3e38, 0.0, 0.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"velocity_world_m_s": (0.0, 0.0, -201.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"angular_velocity_body_rad_s": (3e38, 0.0, 0.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"quat_wxyz": (0.0, 0.0, 0.0, 0.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"quat_wxyz": (0.9, 0.0, 0.0, 0.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
    ({"quat_wxyz": (3e38, 3e38, 0.0, 0.0)}, StatusFlag.STATE_OUT_OF_BOUNDS),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("target", [[setpoint()], [setpoint(yaw_rad=1.0)], []], ids=["still", "turned", "none"])
@pytest.mark.parametrize(("spoiled", "flag"), SPOILED)
def test_a_spoiled_state_is_answered_safe_and_the_next_good_one_flies(
    spoiled: dict[str, Sequence[float]], flag: StatusFlag, target: list[Message]
) -> None:
    line = Line().begin(*target)
    asked = StatusFlag(0) if target else StatusFlag.NO_SETPOINT
    for valid_us in (STEP_US, 3 * STEP_US):  # the very first one may be spoiled, too
        bad = line.answer(state(valid_us, **spoiled))
        assert (bad.mode, bad.status & ~StatusFlag.NO_SETPOINT) == (Mode.SAFE, flag)
        good = line.answer(state(valid_us + STEP_US))
        assert (good.mode, good.status) == (Mode.FAST, asked)
    assert len(line.policy.observations) == 2
    assert np.abs(line.policy.observations[1][:3]).max() < 1e-6
    assert line.policy.resets == 1
    line.close()


def test_the_far_side_of_a_setpoint_does_not_overflow() -> None:
    line = Line().begin(setpoint(position=(-3e38, 3e38, 0.0), yaw_rad=0.8))
    with np.errstate(over="raise"):
        action = line.answer(state(position_world_m=(3e38, -3e38, 0.0)))
    assert action.mode == Mode.SAFE
    line.close()


def test_a_nearly_unit_quaternion_is_normalised(connected: Line) -> None:
    assert connected.answer(state(quat_wxyz=(0.97 * 0.6, 0.97 * 0.8, 0.0, 0.0))).status == 0
    rotation = connected.policy.observations[-1][3:12].reshape(3, 3)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize("valid_us", [STEP_US, 2**32 - 20_000])
def test_a_state_that_was_sent_late_is_not_flown(connected: Line, valid_us: int) -> None:
    limit_us = round(Limits().state_timeout * 1e6)
    assert connected.answer(state(valid_us), time_us=valid_us + limit_us).mode == Mode.FAST
    late = connected.answer(state(valid_us + STEP_US), time_us=valid_us + STEP_US + limit_us + 1)
    assert (late.mode, late.status) == (Mode.SAFE, StatusFlag.STALE_STATE)
    assert len(connected.policy.observations) == 1


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_action_that_is_not_finite_is_not_sent(place: int, value: float) -> None:
    spoiled = [0.5] * 4
    spoiled[place] = value
    line = Line(StandIn([0.25] * 4, spoiled)).begin(setpoint())
    assert line.answer(state()).mode == Mode.FAST
    bad = line.answer(state(2 * STEP_US))
    assert (bad.mode, bad.status) == (Mode.SAFE, StatusFlag.ACTION_NONFINITE)
    assert list(bad.motor) == [0.25] * 4
    assert line.policy.resets == 2  # its hidden state is spoiled as well
    good = line.answer(state(3 * STEP_US))
    assert (good.mode, good.status) == (Mode.FAST, 0)
    assert line.policy.observations[-1][18:] == pytest.approx(MOTOR)
    line.close()


def test_an_action_out_of_bounds_is_clipped() -> None:
    line = Line(StandIn([5.0, -1.5, 0.5, 1.0])).begin(setpoint())
    action = line.answer(state())
    assert (action.mode, action.status) == (Mode.FAST, StatusFlag.ACTION_CLIPPED)
    assert list(action.motor) == [1.0, -1.0, 0.5, 1.0]
    line.close()


def test_a_policy_that_raises_ends_in_fault_and_silence() -> None:
    line = Line(StandIn([0.0] * 4, RuntimeError("the session of the inference engine is gone, and more"))).begin()
    line.give(state())
    line.received.clear()
    (fault,) = line.give(state(2 * STEP_US))
    assert (fault.code, fault.text) == (FaultCode.INTERNAL, "RuntimeError: the session of the inference engin"[:48])
    assert line.runtime.life_cycle == LifeCycle.FAULT
    time.sleep(0.11)
    assert line.give(state(3 * STEP_US), Heartbeat(3)) == []
    assert line.received == [fault]
    (again,) = line.give(hello())
    assert (again.code, again.detail) == (FaultCode.INTERNAL, 0)
    assert line.give(state(4 * STEP_US)) == []
    assert isinstance(line.runtime.failure, RuntimeError)
    line.close()


def test_a_slow_answer_is_flagged(connected: Line) -> None:
    connected.give(ParameterSet("deadline", 0.001))
    connected.ignored = StatusFlag(0)
    connected.policy.step = lambda *_: time.sleep(0.003) or np.zeros(4, np.float32)  # type: ignore[method-assign]
    action = connected.answer(state())
    assert (action.mode, action.status) == (Mode.FAST, StatusFlag.DEADLINE_MISSED)
    assert action.age_us >= 3000


# --- Setpoints


def error_of(line: Line) -> FloatArray:
    return line.policy.observations[-1][:3]


def test_without_a_setpoint_the_first_place_and_heading_are_held(line: Line) -> None:
    line.begin()
    heading = (math.cos(0.6), 0.0, 0.0, math.sin(0.6))
    for step, moved in ((0, [0.0, 0.0, 0.0]), (1, [0.5, 0.0, -0.1]), (100, [-0.2, 0.0, 0.3])):
        here = np.add(HERE, moved).tolist()
        action = line.answer(state((step + 1) * STEP_US, position_world_m=here, quat_wxyz=heading))
        assert (action.mode, action.status) == (Mode.FAST, StatusFlag.NO_SETPOINT)
        turned = [math.cos(1.2) * moved[0], -math.sin(1.2) * moved[0], moved[2]]
        assert error_of(line) == pytest.approx(turned, abs=1e-6)
        assert line.policy.observations[-1][3:12].reshape(3, 3) == pytest.approx(np.eye(3), abs=1e-6)


def test_a_setpoint_is_extrapolated_and_then_held(line: Line) -> None:
    target = setpoint(0, ZERO, velocity_world_m_s=(1.0, 0.0, 0.0), acceleration_world_m_s2=(0.0, 2.0, 0.0))
    line.begin(target)
    for valid_us in range(STEP_US, 400_000, STEP_US):
        action = line.answer(state(valid_us, position_world_m=ZERO))
        t = min(valid_us, 200_000) * 1e-6
        assert action.status == (StatusFlag.SETPOINT_STALE if valid_us > 200_000 else 0)
        assert error_of(line) == pytest.approx([-t, -t * t, 0.0], abs=1e-6)
        velocity = (-1.0, -2 * t, 0.0) if valid_us <= 200_000 else ZERO
        assert line.policy.observations[-1][12:15] == pytest.approx(velocity, abs=1e-6)
    assert line.answer(setpoint(valid_us), state(valid_us)).status == 0


@pytest.mark.parametrize("later_us", [2**31 + 5, 2**32 - 300_000, 2**32 + 1000])
def test_a_held_setpoint_does_not_revive_when_the_clock_wraps(line: Line, later_us: int) -> None:
    line.begin(setpoint(0, ZERO, velocity_world_m_s=(1.0, 0.0, 0.0)))
    for valid_us in (300_000, later_us):
        action = line.answer(state(valid_us, position_world_m=ZERO))
        assert (action.mode, action.status) == (Mode.FAST, StatusFlag.SETPOINT_STALE)
        assert error_of(line) == pytest.approx([-0.2, 0.0, 0.0], abs=1e-6)


def test_a_setpoint_of_the_far_future_is_not_extrapolated(line: Line) -> None:
    line.begin(setpoint(10**9, ZERO, velocity_world_m_s=(1.0, 0.0, 0.0)))
    assert line.answer(state(position_world_m=ZERO)).status == StatusFlag.SETPOINT_STALE
    assert np.abs(error_of(line)).max() <= 0.2 + 1e-6


@pytest.mark.parametrize(
    "spoiled",
    [
        setpoint(position=(math.nan, 0.0, 0.0)),
        setpoint(velocity_world_m_s=(0.0, math.inf, 0.0)),
        setpoint(acceleration_world_m_s2=(0.0, 0.0, -math.inf)),
        setpoint(yaw_rad=math.nan),
    ],
)
def test_a_setpoint_that_is_not_finite_is_refused(connected: Line, spoiled: Setpoint) -> None:
    assert connected.answer(spoiled, state()).status == 0
    assert error_of(connected) == pytest.approx(ZERO)


def turned(vector: Sequence[float], yaw_rad: float) -> list[float]:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return [c * vector[0] - s * vector[1], s * vector[0] + c * vector[1], vector[2]]


@pytest.mark.parametrize("yaw_rad", [0.3, -2.0, 3.1])
def test_turning_world_state_and_setpoint_changes_nothing(foundation: RecurrentPolicy, yaw_rad: float) -> None:
    flown = []
    w, x, y, z = np.array([0.9, 0.2, -0.3, 0.25]) / np.linalg.norm([0.9, 0.2, -0.3, 0.25])
    for turn in (0.0, yaw_rad):
        foundation.reset()
        line = Line(foundation).begin()
        c, s = math.cos(turn / 2), math.sin(turn / 2)
        quat = [c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w]
        for step in range(1, 10):
            moved = state(
                step * STEP_US,
                position_world_m=turned((0.1 * step, -0.2, 1.0), turn),
                quat_wxyz=quat,
                velocity_world_m_s=turned((0.3, 0.1 * step, -0.2), turn),
                angular_velocity_body_rad_s=(0.1, -0.2, 0.3),
            )
            target = setpoint(
                step * STEP_US - 3000,
                turned((0.2, 0.1, 1.2), turn),
                0.4 + turn,
                velocity_world_m_s=turned((1.0, 0.5, 0.1), turn),
                acceleration_world_m_s2=turned((-2.0, 1.0, 0.3), turn),
            )
            action = line.answer(target, moved)
            assert (action.mode, action.status & ~StatusFlag.ACTION_CLIPPED) == (Mode.FAST, 0)
            flown.append(action.motor)
        line.close()
    first, second = np.split(np.array(flown), 2)
    assert second == pytest.approx(first, abs=1e-4)
    assert np.ptp(first, axis=0).max() > 1e-3


def test_the_observation_is_that_of_the_simulators_environment() -> None:
    environment = pytest.importorskip("haltere.sim.environment")
    from haltere.sim.setpoint import Setpoint as Reference
    from haltere.sim.state import State as TrueState

    generator = np.random.default_rng(3)
    line = Line().begin()
    previous = np.zeros(4, np.float32)
    for step in range(1, 200):
        numbers = np.float32(generator.normal(0, (3,), (5, 3)).round(3)).astype(np.float64)
        quat = np.float32(generator.normal(0, 1, 4))
        quat = (quat / np.linalg.norm(quat)).astype(np.float64)
        yaw_rad = float(np.float32(generator.uniform(-4, 4)))
        true = TrueState(0.0, numbers[0], quat, numbers[1], numbers[2], np.zeros(4))
        reference = Reference(numbers[3], numbers[4], np.zeros(3), yaw_rad)
        line.policy.answers = [generator.uniform(-1, 1, 4)]
        line.answer(
            setpoint(step * STEP_US, numbers[3], yaw_rad, velocity_world_m_s=numbers[4]),
            State(step * STEP_US, numbers[0], quat, numbers[1], numbers[2], previous),
        )
        expected = environment.observation_of(true, reference, previous)
        assert line.policy.observations[-1] == pytest.approx(expected, abs=2e-5)
        previous = np.float32(line.runtime._reflex.motor)
    line.close()


# --- Native rate


def test_a_faster_caller_advances_the_hidden_state_at_the_native_rate(foundation: RecurrentPolicy) -> None:
    def fly(period_us: int) -> tuple[list[FloatArray], list[list[float]]]:
        foundation.reset()
        line = Line(foundation).begin(setpoint(0, HERE))
        hidden, actions = [], []
        for valid_us in range(STEP_US, 60 * STEP_US + 1, period_us):
            x = 1.0 + 0.3 * math.sin(valid_us * 1e-5)
            action = line.answer(setpoint(valid_us), state(valid_us, position_world_m=(x, -2.0, 3.0)))
            if valid_us % STEP_US == 0:
                hidden.append(foundation.hidden_state.copy())
                actions.append(list(action.motor))
        line.close()
        return hidden, actions

    slow_hidden, slow_actions = fly(STEP_US)
    fast_hidden, fast_actions = fly(STEP_US // 4)
    assert len(slow_hidden) == len(fast_hidden) == 60
    assert np.array(fast_hidden) == pytest.approx(np.array(slow_hidden), abs=1e-7)
    assert np.array(fast_actions) == pytest.approx(np.array(slow_actions), abs=1e-7)
    assert np.ptp(slow_hidden, axis=0).max() > 0.01


def test_between_native_periods_it_answers_without_advancing(connected: Line) -> None:
    for i in range(12):
        connected.answer(state(STEP_US + 2500 * i))
    assert connected.policy.advanced == [True, False, False, False] * 3
    previous = [observation[18:] for observation in connected.policy.observations]
    assert np.array(previous[:5]) == pytest.approx(np.array([MOTOR, *[[0.1, 0.2, 0.3, 0.4]] * 4]))


@pytest.mark.parametrize("jitter_us", [-900, 900])
def test_a_jittering_caller_at_the_native_rate_advances_each_time(connected: Line, jitter_us: int) -> None:
    for i in range(1, 20):
        connected.answer(state(i * STEP_US + jitter_us * (i % 2)))
    assert all(connected.policy.advanced)


@pytest.mark.parametrize("gap_us", [100_001, 2**31 + 5, 2**32 - 100_001])
def test_a_gap_in_the_states_begins_with_a_fresh_hidden_state(connected: Line, gap_us: int) -> None:
    connected.answer(state(STEP_US))
    connected.answer(state(STEP_US + 100_000))
    assert connected.policy.resets == 1
    connected.answer(state(STEP_US + 100_000 + gap_us))
    assert connected.policy.resets == 2


def test_of_several_states_only_the_newest_is_answered(connected: Line) -> None:
    action = connected.answer(*(state(i * STEP_US) for i in range(1, 6)))
    assert action.state_valid_us == 5 * STEP_US
    assert (connected.runtime.states, connected.runtime.actions) == (5, 1)
    assert len(connected.policy.observations) == 1


# --- Garbage


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 400), st.integers(0, 400))), max_size=8))
@example([b"", b"\0" * 50, b"\xff" * 300, (0, 0), (61, 400)])
def test_garbage_between_good_frames_is_dropped_and_counted(garbage: list[bytes | tuple[int, int]]) -> None:
    """Garbage is random bytes, or a frame cut short or with one bit flipped."""
    line = Line().begin(setpoint())
    for i, spoiled in enumerate(garbage, 1):
        valid_us = i * STEP_US
        if isinstance(spoiled, tuple):
            frame = bytearray(encode(state(valid_us, position_world_m=(9.0, 9.0, 9.0)), 0, valid_us)[:-1])
            cut, flip = spoiled
            if cut < len(frame):
                del frame[cut:]
            else:
                frame[flip // 8 % len(frame)] ^= 1 << flip % 8
            data = bytes(frame)
        else:
            data = spoiled
        before = line.runtime.session.decoder.counts.dropped
        answers = line.give_bytes(data + b"\0" + encode(setpoint(valid_us), 0, valid_us))
        assert answers == []
        chunks = [chunk for chunk in data.split(b"\0") if chunk]
        assert line.runtime.session.decoder.counts.dropped - before == len(chunks)
        action = line.answer(state(valid_us))
        assert (action.mode, action.state_valid_us) == (Mode.FAST, valid_us)
        assert error_of(line) == pytest.approx(ZERO)
    status = line.runtime.status()
    assert status.frames_dropped == line.runtime.session.decoder.counts.dropped
    assert status.actions_sent == len(garbage)
    line.close()


def test_dropped_frames_are_counted_for_the_session(line: Line) -> None:
    line.give_bytes(b"garbage\0more\0")
    line.begin()
    line.give_bytes(b"garbage\0")
    assert line.runtime.status().frames_dropped == 1
    assert line.runtime.session.decoder.counts.dropped == 3


# --- Parameters


@pytest.mark.parametrize(("name", "edges"), PARAMETERS.items())
def test_a_parameter_is_taken_within_its_range(connected: Line, name: str, edges: tuple[float, float]) -> None:
    for value in (*edges, math.sqrt(edges[0] * edges[1])):
        (reply,) = connected.give(ParameterSet(name, value))
        assert (reply.name, reply.accepted) == (name, 1)
        assert reply.value == pytest.approx(value)
        assert getattr(connected.runtime.limits, name) == pytest.approx(value)
    for value in (edges[0] * 0.9, edges[1] * 1.1, -1.0, 0.0, math.nan, math.inf):
        (refused,) = connected.give(ParameterSet(name, value))
        assert refused == ParameterValue(name, reply.value, 0)


def test_an_unknown_parameter_is_a_fault_that_leaves_the_session(connected: Line) -> None:
    for name in ("gain", "", "__class__", "limits"):
        (fault,) = connected.give(ParameterSet(name, 1.0))
        assert (fault.code, fault.text) == (FaultCode.BAD_PARAMETER, f"no parameter {name}")
    assert connected.answer(state()).mode == Mode.FAST


def test_parameters_have_effect(connected: Line) -> None:
    connected.give(ParameterSet("setpoint_timeout", 0.05), ParameterSet("state_timeout", 0.002))
    assert connected.answer(state(), time_us=STEP_US + 2001).status == StatusFlag.STALE_STATE
    assert connected.answer(state(STEP_US + 50_001)).status == StatusFlag.SETPOINT_STALE


# --- What the board needs


@pytest.mark.parametrize(
    "module",
    ["haltere.firmware_bridge", "haltere.policies.contract", "haltere.policies.policy_file", "haltere.tools.serve"],
)
def test_the_board_needs_neither_jax_nor_pybullet(module: str) -> None:
    imported = importlib.import_module(module)
    names = [module]
    if hasattr(imported, "__path__"):
        names += [found.name for found in pkgutil.walk_packages(imported.__path__, f"{module}.")]
        assert f"{module}.runtime.loop" in names
    program = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
unwanted = {{"jax", "flax", "optax", "onnx", "pybullet", "gymnasium", "matplotlib", "mcap", "scipy", "haltere.sim"}}
sys.exit(", ".join(sorted(unwanted & set(sys.modules))) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
