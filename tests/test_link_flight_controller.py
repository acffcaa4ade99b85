"""The simulated flight controller between a simulator and a runtime that the tests play."""

from __future__ import annotations

import math
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from haltere.firmware_bridge.client_c.programs import flight_controller_program
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import (
    SCHEMA_HASH,
    Action,
    Fault,
    Hello,
    Message,
    Mode,
    Motors,
    MotorSource,
    Role,
    Setpoint,
    State,
)
from haltere.firmware_bridge.link.pty import PtyTransport
from haltere.firmware_bridge.link.tcp import TcpListenTransport
from haltere.firmware_bridge.link.transport import Transport

pytestmark = pytest.mark.realtime

SETPOINT = Setpoint(0, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0)
STEP_US = 10_000


def state(valid_us: int, **changes: object) -> State:
    values = {
        "position_world_m": (0.0, 0.0, 1.0),
        "quat_wxyz": (1.0, 0.0, 0.0, 0.0),
        "velocity_world_m_s": (0.0, 0.0, 0.0),
        "angular_velocity_body_rad_s": (0.0, 0.0, 0.0),
        "motor": (0.0, 0.0, 0.0, 0.0),
    }
    return State(valid_us, **{**values, **changes})  # type: ignore[arg-type]


def policy(received: State, sequence: int) -> Action | None:
    """The motor setpoints tell the time of the state that they answer."""
    return Action(sequence, received.valid_us, 50, Mode.FAST, 0, [received.valid_us % 1000 / 1000] * 4)


class Runtime(threading.Thread):
    """Stands in for the runtime: answers hellos, and states by its policy."""

    def __init__(
        self,
        transport: Transport,
        answer: Callable[[State, int], Action | None] = policy,
        schema_hash: int = SCHEMA_HASH,
        session_id: int = 1,
    ) -> None:
        super().__init__(daemon=True)
        self.transport = transport
        self.answer = answer
        self.schema_hash = schema_hash
        self.session_id = session_id
        self.received: list[Message] = []
        self.stopping = threading.Event()
        self.start()

    def run(self) -> None:
        decoder = FrameDecoder()
        sequence = 0
        while not self.stopping.is_set():
            for message, their_sequence, _ in decoder.feed(self.transport.read(0.02)):
                self.received.append(message)
                reply: Message | None = None
                if isinstance(message, Hello):
                    reply = Hello(self.schema_hash, Role.RUNTIME, self.session_id, 100, "stand-in")
                elif isinstance(message, State):
                    reply = self.answer(message, their_sequence)
                if reply is not None:
                    self.transport.write(encode(reply, sequence, 0))
                    sequence += 1

    def stop(self, close: bool = True) -> None:
        self.stopping.set()
        self.join()
        if close:
            self.transport.close()

    def count(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for message in self.received)


class Simulator:
    """The flight controller's process, with the simulator's ends of its pipes."""

    def __init__(self, *options: str) -> None:
        command = [str(flight_controller_program()), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.decoder = FrameDecoder()
        self.sequence = 0
        self.waiting: list[Motors] = []

    def send(self, *sent: Message) -> None:
        assert self.process.stdin is not None
        for message in sent:
            self.process.stdin.write(encode(message, self.sequence, 0))
            self.sequence += 1

    def motors(self, timeout_s: float = 2.0) -> Motors | None:
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while not self.waiting:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], left_s)[0]:
                return None
            for message, *_ in self.decoder.feed(self.process.stdout.read(4096)):
                assert isinstance(message, Motors)
                self.waiting.append(message)
        return self.waiting.pop(0)

    def step(self, valid_us: int, **changes: object) -> Motors:
        self.send(state(valid_us, **changes))
        motors = self.motors()
        assert motors is not None
        assert all(math.isfinite(value) and -1.0 <= value <= 1.0 for value in motors.motor)
        return motors

    def fly(self, steps: int, start_us: int = STEP_US) -> list[Motors]:
        return [self.step((start_us + i * STEP_US) % 2**32) for i in range(steps)]

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(5)
        assert self.decoder.counts.dropped == 0
        assert self.decoder.counts.lost == 0
        return code


@pytest.fixture
def simulators() -> Iterator[Callable[..., Simulator]]:
    running: list[Simulator] = []

    def make(*options: str) -> Simulator:
        running.append(Simulator(*options))
        return running[-1]

    yield make
    for simulator in running:
        if simulator.process.poll() is None:
            simulator.process.kill()
            simulator.process.wait()
        for pipe in (simulator.process.stdin, simulator.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(params=["pty", "tcp"])
def line(request: pytest.FixtureRequest) -> tuple[Transport, list[str]]:
    """The runtime's end of a line, and the options by which the flight controller opens the other."""
    if request.param == "pty":
        pty = PtyTransport()
        return pty, ["--port", pty.path]
    tcp = TcpListenTransport("127.0.0.1", 0)
    return tcp, ["--tcp", f"127.0.0.1:{tcp.port}"]


def lockstep(options: list[str], wait_ms: int = 1000) -> list[str]:
    return [*options, "--lockstep-wait-us", str(1000 * wait_ms)]


def test_lockstep_gives_each_state_its_own_action(
    simulators: Callable[..., Simulator], line: tuple[Transport, list[str]]
) -> None:
    transport, options = line
    runtime = Runtime(transport)
    simulator = simulators(*lockstep(options))
    simulator.send(SETPOINT)
    start_us = 2**32 - 20 * STEP_US - 123  # the clock wraps on the way
    for i in range(200):
        valid_us = (start_us + i * STEP_US) % 2**32
        motors = simulator.step(valid_us)
        assert (motors.state_valid_us, motors.source, motors.mode) == (
            valid_us,
            MotorSource.POLICY,
            Mode.FAST,
        )
        assert motors.motor == pytest.approx([valid_us % 1000 / 1000] * 4)
        assert 0 < motors.round_trip_us < 1_000_000
    assert simulator.end() == 0
    assert runtime.count(State) == 200
    assert runtime.count(Setpoint) == 1
    runtime.stop()


def test_real_time_answers_at_once_and_falls_back_when_answers_end(
    simulators: Callable[..., Simulator], line: tuple[Transport, list[str]]
) -> None:
    transport, options = line
    silent_us = 30 * STEP_US

    def until_silent(received: State, sequence: int) -> Action | None:
        return policy(received, sequence) if received.valid_us < silent_us else None

    runtime = Runtime(transport, until_silent)
    simulator = simulators(*options)
    while runtime.count(Hello) == 0:
        time.sleep(0.01)
    time.sleep(0.1)
    first, second = simulator.step(STEP_US), simulator.motors()
    assert second is not None
    assert (first.source, second.source) == (MotorSource.FALLBACK, MotorSource.POLICY)
    assert first.state_valid_us == second.state_valid_us == STEP_US
    for valid_us in range(2 * STEP_US, silent_us, STEP_US):
        motors = simulator.step(valid_us)
        assert (motors.source, motors.state_valid_us) == (MotorSource.POLICY, valid_us)
        assert 0 < motors.round_trip_us < 1_000_000
    # The last action answers the state of 290 ms: the motors keep it until its 25 ms are over.
    for valid_us in range(silent_us, silent_us + 2 * STEP_US, STEP_US):
        simulator.send(state(valid_us))
    assert simulator.motors(0.1) is None
    for motors in simulator.fly(10, silent_us + 2 * STEP_US):
        assert (motors.source, motors.round_trip_us) == (MotorSource.FALLBACK, 0)
    assert simulator.end() == 0
    runtime.stop()


def test_without_a_runtime_the_fallback_flies(
    simulators: Callable[..., Simulator], line: tuple[Transport, list[str]]
) -> None:
    transport, options = line
    simulator = simulators(*lockstep(options, wait_ms=5), "--hover-throttle", "0.1")
    begin = time.monotonic()
    for index, motors in enumerate(simulator.fly(20)):
        assert (motors.source, motors.mode, motors.round_trip_us) == (MotorSource.FALLBACK, Mode.SAFE, 0)
        # It begins with what hovers; a vehicle that does not sink is given less and less: 2 1/s times the climb gain,
        # for half a metre per second.
        trim = -2 * 0.2 * 0.5 * 1e-6 * STEP_US * max(index - 1, 0)
        assert motors.motor == pytest.approx([0.1 + trim] * 4, abs=1e-6)
    assert time.monotonic() - begin < 20 * 0.05
    assert simulator.end() == 0
    transport.close()


def test_without_a_port_the_fallback_flies(simulators: Callable[..., Simulator], tmp_path: Path) -> None:
    for options in (["--port", str(tmp_path / "missing")], ["--tcp", "127.0.0.1:1"]):
        simulator = simulators(*options)
        assert {motors.source for motors in simulator.fly(20)} == {MotorSource.FALLBACK}
        assert simulator.end() == 0


def test_the_fallback_levels_the_vehicle(simulators: Callable[..., Simulator], tmp_path: Path) -> None:
    simulator = simulators("--port", str(tmp_path / "missing"), "--attitude-gain", "3")
    right, left = simulator.step(1, quat_wxyz=(0.98, 0.2, 0.0, 0.0)), simulator.step(2)
    front_right, back_right, back_left, front_left = right.motor
    assert front_right == pytest.approx(back_right)
    assert front_right > left.motor[0] > back_left  # rolled to the right: more thrust on the right
    assert back_left == pytest.approx(front_left)
    nose_down = simulator.step(3, quat_wxyz=(0.98, 0.0, 0.2, 0.0)).motor
    assert nose_down[0] > nose_down[1]
    turning_left = simulator.step(4, angular_velocity_body_rad_s=(0.0, 0.0, 1.0)).motor
    assert turning_left[0] > turning_left[1]  # front-right's reaction turns to the right
    assert simulator.step(5, velocity_world_m_s=(0.0, 0.0, -2.0)).motor[0] > left.motor[0]


def test_a_nonfinite_state_is_forwarded_and_the_fallback_uses_the_last_good_one(
    simulators: Callable[..., Simulator], line: tuple[Transport, list[str]]
) -> None:
    transport, options = line

    def refuse(received: State, sequence: int) -> Action:
        finite = all(map(math.isfinite, received.position_world_m))
        return Action(sequence, received.valid_us, 0, Mode.FAST if finite else Mode.SAFE, 0, [0.5] * 4)

    runtime = Runtime(transport, refuse)
    simulator = simulators(*lockstep(options))
    assert simulator.step(STEP_US).source == MotorSource.POLICY
    lost = simulator.step(2 * STEP_US, position_world_m=(math.nan, 0, 0), quat_wxyz=(math.inf, 0, 0, 0))
    assert (lost.source, lost.state_valid_us) == (MotorSource.FALLBACK, 2 * STEP_US)
    assert lost.motor == pytest.approx([0.0] * 4, abs=1e-6)  # what hovers, level
    assert simulator.step(3 * STEP_US).source == MotorSource.POLICY
    assert runtime.count(State) == 3
    runtime.stop()


@pytest.mark.parametrize(
    "bad",
    [
        lambda received, n: Action(n, received.valid_us, 0, Mode.FAST, 0, [math.nan] * 4),
        lambda received, n: Action(n, received.valid_us, 0, Mode.FAST, 0, [3.0] * 4),
        lambda received, n: Action(n, (received.valid_us + 1_000_000) % 2**32, 0, Mode.FAST, 0, [0.5] * 4),
        lambda received, n: Action(n, (received.valid_us - 50_000) % 2**32, 0, Mode.FAST, 0, [0.5] * 4),
        lambda received, n: Action(n, received.valid_us, 0, Mode.SAFE, 0, [0.5] * 4),
    ],
)
def test_a_bad_action_never_reaches_the_motors(
    simulators: Callable[..., Simulator], bad: Callable[[State, int], Action]
) -> None:
    pty = PtyTransport()
    runtime = Runtime(pty, bad)
    simulator = simulators(*lockstep(["--port", pty.path], wait_ms=10))
    assert {motors.source for motors in simulator.fly(50)} == {MotorSource.FALLBACK}
    assert runtime.count(State) > 5
    runtime.stop()


def test_another_version_is_not_flown(simulators: Callable[..., Simulator]) -> None:
    pty = PtyTransport()
    runtime = Runtime(pty, schema_hash=SCHEMA_HASH ^ 1)
    simulator = simulators(*lockstep(["--port", pty.path], wait_ms=10))
    assert {motors.source for motors in simulator.fly(10)} == {MotorSource.FALLBACK}
    time.sleep(0.05)
    assert runtime.count(Fault) >= 1
    assert runtime.count(State) == 0
    runtime.stop()


def test_a_runtime_that_dies_and_returns_is_used_again(simulators: Callable[..., Simulator], tmp_path: Path) -> None:
    path = tmp_path / "port"
    first = PtyTransport()
    path.symlink_to(first.path)
    runtime = Runtime(first)
    simulator = simulators(*lockstep(["--port", str(path)], wait_ms=50))
    simulator.send(SETPOINT)
    assert simulator.fly(10)[-1].source == MotorSource.POLICY

    runtime.stop()  # closes the pty
    lost = simulator.fly(3, 11 * STEP_US)
    assert lost[-1].source == MotorSource.FALLBACK

    second = PtyTransport()
    path.unlink()
    path.symlink_to(second.path)
    runtime = Runtime(second, session_id=2)
    found = simulator.fly(60, 14 * STEP_US)
    assert found[-1].source == MotorSource.POLICY
    assert runtime.count(Setpoint) == 1  # told again, although the simulator said it once
    assert simulator.end() == 0
    runtime.stop()


def test_a_tcp_runtime_that_returns_is_used_again(simulators: Callable[..., Simulator]) -> None:
    server = TcpListenTransport("127.0.0.1", 0)
    port = server.port
    runtime = Runtime(server)
    simulator = simulators(*lockstep(["--tcp", f"127.0.0.1:{port}"], wait_ms=50))
    assert simulator.fly(5)[-1].source == MotorSource.POLICY
    runtime.stop()
    assert simulator.fly(5, 6 * STEP_US)[-1].source == MotorSource.FALLBACK
    runtime = Runtime(TcpListenTransport("127.0.0.1", port), session_id=2)
    assert simulator.fly(60, 11 * STEP_US)[-1].source == MotorSource.POLICY
    runtime.stop()


def test_a_runtime_restarted_behind_a_line_that_stays_is_greeted_anew(
    simulators: Callable[..., Simulator],
) -> None:
    pty = PtyTransport()
    runtime = Runtime(pty)
    simulator = simulators(*lockstep(["--port", pty.path], wait_ms=40))
    assert simulator.fly(5)[-1].source == MotorSource.POLICY
    runtime.stop(close=False)
    assert simulator.fly(200, 6 * STEP_US)[-1].source == MotorSource.FALLBACK
    runtime = Runtime(pty, session_id=2)
    assert simulator.fly(60, 206 * STEP_US)[-1].source == MotorSource.POLICY
    assert runtime.count(Hello) >= 1
    runtime.stop()


def test_what_was_on_the_line_before_is_forgotten(simulators: Callable[..., Simulator]) -> None:
    pty = PtyTransport()
    pty.write(encode(Hello(SCHEMA_HASH, Role.RUNTIME, 1, 100, "of an earlier session"), 0, 0))
    simulator = simulators(*lockstep(["--port", pty.path], wait_ms=5))
    simulator.fly(5)
    kinds = {type(message) for message, *_ in FrameDecoder().feed(pty.read(0.1))}
    assert kinds == {Hello}
    pty.close()


def test_a_late_action_is_flown_without_a_round_trip(simulators: Callable[..., Simulator]) -> None:
    pty = PtyTransport()
    seen: list[tuple[State, int]] = []

    def one_behind(received: State, sequence: int) -> Action | None:
        seen.append((received, sequence))
        return policy(*seen[-2]) if len(seen) > 1 else None

    runtime = Runtime(pty, one_behind)
    simulator = simulators(*lockstep(["--port", pty.path], wait_ms=20))
    for motors in simulator.fly(10)[2:]:
        assert (motors.source, motors.round_trip_us) == (MotorSource.POLICY, 0)
    runtime.stop()


def test_setpoints_can_be_thinned(simulators: Callable[..., Simulator]) -> None:
    pty = PtyTransport()
    runtime = Runtime(pty)
    simulator = simulators(*lockstep(["--port", pty.path]), "--setpoint-period-us", "50000")
    simulator.step(0)
    for i in range(1, 101):
        SETPOINT.valid_us = i * STEP_US
        simulator.send(SETPOINT)
        simulator.step(i * STEP_US)
    assert runtime.count(Setpoint) == 20
    runtime.stop()


def test_garbage_from_the_runtime_is_counted(simulators: Callable[..., Simulator]) -> None:
    pty = PtyTransport()

    def noisy(received: State, sequence: int) -> Action | None:
        pty.write(b"\x05noise\0")
        return policy(received, sequence)

    runtime = Runtime(pty, noisy)
    simulator = simulators(*lockstep(["--port", pty.path]))
    motors = simulator.fly(10)
    assert {each.source for each in motors} == {MotorSource.POLICY}
    assert motors[-1].frames_dropped == 10
    runtime.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --port or --tcp"),
        (["--port", "a", "--tcp", "b:1"], "either --port or --tcp"),
        (["--port"], "followed by a value"),
        (["--port", "a", "--climb-gain", "nan"], "finite number"),
        (["--port", "a", "--lockstep-wait-us", "-5"], "whole number"),
        (["--port", "a", "--action-timeout-us", "0"], "at least 1"),
        (["--port", "a", "--thrust", "1"], "option that exists"),
        (["--tcp", "localhost"], "127.0.0.1:5760"),
    ],
)
def test_a_wrong_command_line_is_explained(options: list[str], message: str) -> None:
    done = subprocess.run(
        [flight_controller_program(), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=5,
    )
    assert done.returncode == 2
    assert message in done.stderr
