"""Simulated flights through real processes: world, C flight controller, wire and runtime; and what breaks them."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import (
    SCHEMA_HASH,
    Heartbeat,
    Hello,
    LifeCycle,
    Motors,
    MotorSource,
    Role,
    StatusFlag,
)
from haltere.firmware_bridge.link.transport import open_transport
from haltere.firmware_bridge.runtime.black_box import read_black_box
from haltere.policies.errors import ConfigError, LinkError, LinkTimeout
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.flight import Flight
from haltere.sim.recorder import read_log
from haltere.sim.sensors import Sensors
from haltere.sim.state import State
from haltere.sim.trajectory import make_trajectory
from haltere.sim.vehicle import load_vehicle
from haltere.sim.world import World
from haltere.tools.flight import plan as plans
from haltere.tools.flight import simulate, stack
from haltere.tools.flight.fallback import fallback_options
from haltere.tools.flight.link_uri import parse_link
from haltere.tools.flight.plan import FlightPlan, fly_plan
from haltere.tools.flight.simulate import CLOCK_START_US, Event, Outcome, clock_us, setpoint_message, state_message
from haltere.tools.flight.stack import Stack, start_stack
from haltere.tools.flight.summary import summarise

pytestmark = pytest.mark.realtime

PERIOD_S = 0.01
HIGH = "hover:position_m=0/0/4"  # room to descend


def fly(output: Path, *events: Event, **plan: object) -> tuple[Outcome, dict[str, float | str]]:
    """Flies; a hover unless the plan says otherwise."""
    planned = FlightPlan(**{"trajectory": "hover", **plan})
    outcome, _, length_s = fly_plan(planned, output, events=events)
    return outcome, summarise(outcome, length_s, output / stack.BLACK_BOX, planned.settling_s)


def at(time_s: float, act: Callable[[Stack], None]) -> Event:
    """An event that happens once."""
    done: list[bool] = []

    def event(now_s: float, world: World, running: Stack) -> None:
        if now_s >= time_s and not done:
            done.append(True)
            act(running)

    return event


def modes(flight: Flight, begin_s: float, end_s: float) -> set[str]:
    return {mode for t, mode in zip(flight.time_s, flight.mode, strict=True) if begin_s <= t < end_s}


def down_m_s(flight: Flight) -> np.ndarray:
    return -flight.velocity_world_m_s[:, 2]


def tilt_degrees(flight: Flight) -> np.ndarray:
    _, x, y, _ = flight.quat_wxyz.T
    return np.degrees(np.arccos(np.clip(1 - 2 * (x**2 + y**2), -1, 1)))


def damaged_policy(folder: Path) -> Path:
    content = bytearray(FOUNDATION.read_bytes())
    content[len(content) // 3] ^= 0x10
    path = folder / "damaged.onnx"
    path.write_bytes(content)
    return path


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts a stack in real time, to be driven by hand."""
    contexts = []

    def start(link: str = "pty:?baud=921600") -> Stack:
        options = fallback_options(load_vehicle("crazyflie"))
        contexts.append(start_stack(parse_link(link), FOUNDATION, "onnxruntime", options, 0, "test", tmp_path))
        return contexts[-1].__enter__()

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def drive(running: Stack, steps: int, until: MotorSource | None = None, period_s: float = PERIOD_S) -> list[Motors]:
    """Shows a level vehicle to the stack, in real time; returns its motor setpoints."""
    reference = make_trajectory("hover").at(0.0)
    got: list[Motors] = []
    for step in range(steps):
        time_s = step * PERIOD_S
        level = State(time_s, reference.position_world_m, np.eye(4)[0], np.zeros(3), np.zeros(3), np.zeros(4))
        running.send([setpoint_message(reference, time_s), state_message(level, np.zeros(4))], clock_us(time_s))
        deadline = time.monotonic() + period_s
        while (left_s := deadline - time.monotonic()) > 0:
            got += running.receive(left_s)
        if until is not None and got and got[-1].source == until:
            break
    return got


# --- Flights that end well


@pytest.mark.parametrize(
    ("plan", "within_s"),
    [
        ({"poke_s": 1.0, "poke_m_s": 1.5}, 2.5),
        ({"throw_m_s": 4.0}, 4.0),
        ({"throw_m_s": 4.0, "throw_tilt_deg": 90.0, "vehicle": "x500"}, 4.0),
    ],
)
def test_blow_is_recovered_from(tmp_path: Path, plan: dict[str, object], within_s: float) -> None:
    outcome, numbers = fly(tmp_path, trajectory=HIGH, duration_s=6.0, **plan)
    assert numbers["result"] == "completed"
    assert numbers["tracking_max_m"] > 0.2  # it was felt
    assert outcome.flight.recovered_s() < within_s
    assert math.isinf(outcome.flight.recovered_s(within_m=0.0))


def test_the_crazyflie_flies_a_figure_eight(tmp_path: Path) -> None:
    outcome, numbers = fly(tmp_path, trajectory="figure-eight:period_s=9,loops=1")
    assert numbers["result"] == "completed"
    assert (numbers["share_fast_percent"], numbers["frames_dropped"]) == (100, 0)
    assert outcome.answers == len(outcome.flight)
    assert np.diff(outcome.flight.time_s) == pytest.approx(PERIOD_S)
    assert float(numbers["round_trip_p50_us"]) > 1e6 * simulate.wire_delay_s(parse_link("pty:?baud=921600")) - 500
    log = read_log(tmp_path / "flight.mcap")
    assert log.finished
    assert log.action == pytest.approx(outcome.flight.action)
    records = read_black_box(tmp_path / stack.BLACK_BOX)
    assert set(np.round(outcome.flight.time_s * 1e6) + CLOCK_START_US) <= set(records["state_valid_us"])
    assert records["action"][-1] == pytest.approx(outcome.flight.action[-1])


def test_the_same_seed_gives_the_same_flight(tmp_path: Path) -> None:
    first, second, other = (
        fly(tmp_path / str(i), duration_s=1.5, wind_m_s=3.0, seed=seed)[0].flight for i, seed in enumerate((5, 5, 6))
    )
    for name in ("position_world_m", "quat_wxyz", "velocity_world_m_s", "action"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_over_tcp(tmp_path: Path, free_port: int) -> None:
    _, numbers = fly(tmp_path, duration_s=2.0, link=f"tcp://127.0.0.1:{free_port}")
    assert (numbers["result"], numbers["share_fast_percent"], numbers["frames_dropped"]) == ("completed", 100, 0)


def test_over_a_slow_line(tmp_path: Path) -> None:
    _, numbers = fly(tmp_path, duration_s=3.0, link="pty:?baud=115200")
    assert (numbers["result"], numbers["share_fast_percent"], numbers["frames_dropped"]) == ("completed", 100, 0)
    assert "overflowed 0 overrun 0" in (tmp_path / "wire.log").read_text()


def test_the_command_ends_with_a_table_and_prints_no_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "haltere.tools", "fly", "--trajectory", "hover", "--duration", "1"]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "completed" in done.stdout
    assert "ready" not in done.stdout + done.stderr
    assert "carried" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["frames_dropped"] == 0
    assert (tmp_path / "flight.png").stat().st_size > 10_000


# --- Broken lines


def test_bit_errors_are_dropped_counted_and_survived(tmp_path: Path) -> None:
    outcome, numbers = fly(tmp_path, duration_s=3.0, link="pty:?baud=921600&flip_every=700")
    assert numbers["result"] == "completed"
    assert 0 < outcome.frames_dropped < int(numbers["frames_dropped"])
    flipped = [int(line.split("flipped ")[1].split()[0]) for line in _wire_report(tmp_path)]
    assert min(flipped) > 10
    # A flip may spoil two frames (it makes or removes the zero between them), or hit a frame spoiled already.
    assert 0.5 * sum(flipped) < int(numbers["frames_dropped"]) < 2.5 * sum(flipped)


def _wire_report(output: Path) -> list[str]:
    return [line for line in (output / "wire.log").read_text().splitlines() if "carried" in line]


def test_a_wrong_speed_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "START_TIMEOUT_S", 2.0)
    with pytest.raises(LinkTimeout, match=r"did not answer within 2 s.*baud"):
        fly(tmp_path, real_time=True, link="pty:?baud=921600&baud_b=460800")


def test_at_a_wrong_speed_the_fallback_flies(running: Callable[..., Stack]) -> None:
    got = drive(running("pty:?baud=921600&baud_b=460800"), 150)
    assert {motors.source for motors in got} == {MotorSource.FALLBACK}
    assert len(got) == 150


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("pty:?flip_every=often", "not a whole number"),
        ("pty:?flips=3", "unknown option flips"),
        ("tcp://127.0.0.1:5760?flip_every=3", "unknown option flip_every"),
        ("udp://127.0.0.1:5760", "expected pty:"),
        ("pty:?baud=300", "not a whole number from 1200 up"),
    ],
)
def test_a_wrong_link_is_explained(uri: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_link(uri)


def test_a_link_may_have_faults() -> None:
    link = parse_link("pty:?baud=115200&flip_every=500&drop_every=0&baud_b=9600")
    assert link.faults == ("--baud-b", "9600", "--flip-every", "500")
    assert link.baud == 115200


# --- Processes that end or stop in flight


def check_fallback(flight: Flight, lost_s: float, output: Path) -> None:
    """The policy is lost in flight: by the flight controller's clock, the fallback flies 100 ms later at most."""
    records = read_black_box(output / stack.BLACK_BOX)
    answered_s = (int(records["state_valid_us"][-1]) - CLOCK_START_US) * 1e-6
    assert lost_s - 0.1 <= answered_s <= lost_s + 0.02
    assert records["index"][0] == 1
    assert np.abs(records["action"][-1]).max() <= 1.0
    assert modes(flight, answered_s + 0.1, np.inf) == {"FALLBACK"}
    assert "FAST" in modes(flight, lost_s - 0.2, lost_s)
    assert np.diff(flight.time_s) == pytest.approx(PERIOD_S)
    after = (flight.time_s > lost_s) & (flight.time_s < lost_s + 2.0)
    assert after.sum() >= 195
    assert tilt_degrees(flight)[after].max() < 60
    assert down_m_s(flight)[after].max() < 2.0
    log = read_log(output / "flight.mcap")
    assert log.time_s == pytest.approx(flight.time_s)
    assert log.mode == flight.mode


@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_the_runtime_killed_in_flight(tmp_path: Path, kind: str, free_port: int) -> None:
    link = "pty:?baud=921600" if kind == "pty" else f"tcp://127.0.0.1:{free_port}"
    outcome, numbers = fly(tmp_path, duration_s=3.6, real_time=True, trajectory=HIGH, link=link, kill_runtime_s=1.5)
    check_fallback(outcome.flight, 1.5, tmp_path)
    assert float(numbers["share_fallback_percent"]) > 50


def test_the_fallback_lands_and_stops_the_motors(tmp_path: Path) -> None:
    low = "hover:position_m=0/0/0.8"
    outcome, numbers = fly(tmp_path, duration_s=11.0, real_time=True, trajectory=low, kill_runtime_s=1.0)
    assert numbers["status"] == "on the ground"
    assert (outcome.flight.action[-10:] == -1.0).all()
    height_m = outcome.flight.position_world_m[:, 2]
    stopped = (outcome.flight.action == -1.0).all(1)
    assert height_m[stopped].max() < height_m[-1] + 0.02
    assert tilt_degrees(outcome.flight)[-1] < 5


def test_the_wire_killed_in_flight(tmp_path: Path) -> None:
    outcome, _ = fly(
        tmp_path, at(1.5, lambda stack: stack.wire.kill()), duration_s=3.6, real_time=True, trajectory=HIGH
    )
    check_fallback(outcome.flight, 1.5, tmp_path)
    assert "the other end has closed" in (tmp_path / "runtime.log").read_text()


def test_the_runtime_stopped_for_half_a_second(tmp_path: Path) -> None:
    events = (
        at(1.0, lambda stack: stack.runtime.send_signal(signal.SIGSTOP)),
        at(1.5, lambda stack: stack.runtime.send_signal(signal.SIGCONT)),
    )
    outcome, numbers = fly(tmp_path, *events, duration_s=3.0, real_time=True)
    assert modes(outcome.flight, 1.1, 1.5) == {"FALLBACK"}
    assert "FAST" in modes(outcome.flight, 1.5, 2.0)
    assert outcome.flight.mode[-100:].count("FAST") > 80
    assert numbers["result"] == "completed"


def test_the_flight_controller_killed_in_flight(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"the flight controller has ended \(killed by SIGKILL\)"):
        fly(tmp_path, at(1.0, lambda stack: stack.flight_controller.kill()), duration_s=3.0)
    log = read_log(tmp_path / "flight.mcap")
    assert log.finished
    assert log.time_s[-1] == pytest.approx(1.0, abs=0.02)
    assert set(log.mode) == {"FAST"}


def test_the_runtime_stands_by_when_the_flight_controller_is_killed(running: Callable[..., Stack]) -> None:
    started = running()
    assert drive(started, 1000, until=MotorSource.POLICY)[-1].source == MotorSource.POLICY
    started.flight_controller.kill()
    killed_s = time.monotonic()
    line = open_transport(str(started.flight_controller.args[2]))
    decoder = FrameDecoder()
    beats: list[tuple[float, Heartbeat]] = []
    while time.monotonic() < killed_s + 1.0:
        for message, *_ in decoder.feed(line.read(0.05)):
            if isinstance(message, Heartbeat):
                beats.append((time.monotonic() - killed_s, message))
    assert {message.life_cycle for _, message in beats} == {LifeCycle.ACTIVE}
    assert 0.2 < beats[-1][0] < 0.7
    line.write(encode(Hello(SCHEMA_HASH, Role.FLIGHT_CONTROLLER, 99, 100, "next"), 0, 0))
    answers = []
    while time.monotonic() < killed_s + 5.0 and len(answers) < 2:
        answers += [message for message, *_ in decoder.feed(line.read(0.05))]
    line.close()
    assert isinstance(answers[0], Hello)
    assert answers[1] == Heartbeat(LifeCycle.STANDBY)


def test_a_flight_controller_that_hangs_is_noticed(running: Callable[..., Stack]) -> None:
    started = running()
    started.flight_controller.send_signal(signal.SIGSTOP)
    with pytest.raises(LinkError, match="does not read"):
        drive(started, 10_000, period_s=0.0)
    started.flight_controller.send_signal(signal.SIGCONT)


class SpoiledSensors(Sensors):
    """Sensors that measure no position from 1 s to 1.2 s."""

    def measure(self, state: State) -> State:
        measured = super().measure(state)
        if 1.0 - 1e-9 <= state.time_s < 1.2 - 1e-9:
            measured.position_world_m[:] = np.nan
        return measured


def test_a_state_that_is_not_finite_hands_over_to_the_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "Sensors", SpoiledSensors)
    outcome, numbers = fly(tmp_path, duration_s=3.0)
    flight = outcome.flight
    assert modes(flight, 0.0, 0.995) == modes(flight, 1.195, np.inf) == {"FAST"}
    assert modes(flight, 0.995, 1.195) == {"FALLBACK"}
    assert numbers["result"] == "completed"
    records = read_black_box(tmp_path / stack.BLACK_BOX)
    assert np.count_nonzero(records["status"] & StatusFlag.NONFINITE_STATE) == 20


# --- Flights that do not begin


def test_a_damaged_policy_is_told_at_once(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(LinkError, match=r"the runtime has ended \(exit code 2\)(.|\n)*damaged"):
        fly(tmp_path, policy=damaged_policy(tmp_path))
    assert time.monotonic() - begin < stack.START_TIMEOUT_S / 2


def test_serve_refuses_a_damaged_policy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "haltere.tools", "serve", "pty:", "--policy", str(damaged_policy(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_runtime_of_a_board_cannot_be_killed_from_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on a board"):
        fly(tmp_path, link="serial:/dev/null", kill_runtime_s=1.0)


def test_nothing_runs_on_after_a_flight(tmp_path: Path) -> None:
    found: list[int] = []

    def note(running: Stack) -> None:
        found.extend(process.pid for process in (running.flight_controller, running.runtime, running.wire))

    fly(tmp_path, at(0.0, note), duration_s=0.3)
    assert len(found) == 3
    for pid in found:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
