"""The C client: what it sends, which actions it gives out, and that garbage does not hurt it."""

from __future__ import annotations

import ctypes
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.firmware_bridge.client_c import programs
from haltere.firmware_bridge.link import messages
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.policies.errors import BuildError
from haltere.policies.native import build
from haltere.sim.vehicle import load_vehicle
from haltere.sim.world import World, WorldConfig
from haltere.tools.flight.fallback import fallback_options

FIXTURES = Path(__file__).parent / "fixtures"
FOLDER = programs.client_sources()[0].parent
OK, NONE, STALE, SAFE, NOT_CONNECTED, VERSION_MISMATCH, REFUSED = range(7)
TIMEOUT_US = 25_000
STATE = messages.State(0, (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0,) * 4)
NO_LIBC = ("-nostdlib", "-Wl,--no-undefined")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

Write = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t)
Clock = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)


class Options(ctypes.Structure):
    _fields_ = (
        ("session_id", ctypes.c_uint32),
        ("action_timeout_us", ctypes.c_uint32),
        ("hello_period_us", ctypes.c_uint32),
        ("heartbeat_period_us", ctypes.c_uint32),
        ("link_timeout_us", ctypes.c_uint32),
        ("native_rate_hz", ctypes.c_uint16),
        ("name", ctypes.c_char_p),
        ("link_clock", ctypes.c_void_p),
        ("message", ctypes.c_void_p),
    )


class CState(ctypes.Structure):
    _fields_ = (
        ("valid_us", ctypes.c_uint32),
        ("position_world_m", ctypes.c_float * 3),
        ("quat_wxyz", ctypes.c_float * 4),
        ("velocity_world_m_s", ctypes.c_float * 3),
        ("angular_velocity_body_rad_s", ctypes.c_float * 3),
        ("motor", ctypes.c_float * 4),
    )


class Gains(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_float) for name in ("hover", "roll", "pitch", "yaw", "attitude", "climb"))


class Hold(ctypes.Structure):
    _fields_ = (
        ("gains", Gains),
        ("trim", ctypes.c_float),
        ("valid_us", ctypes.c_uint32),
        ("still_us", ctypes.c_uint32),
        ("begun", ctypes.c_bool),
        ("landed", ctypes.c_bool),
    )


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    sources = [FIXTURES / "client_shim.c", *programs.client_sources()]
    loaded = ctypes.CDLL(str(build("client_shim", sources, ("-O2", f"-I{FOLDER}"), shared=True)))
    loaded.shim_client_size.restype = ctypes.c_size_t
    loaded.shim_counters.restype = ctypes.POINTER(ctypes.c_uint32 * 6)
    loaded.haltere_client_send_state.restype = ctypes.c_bool
    return loaded


class Client:
    """A C client with a clock, a line and a runtime that the test plays."""

    def __init__(self, library: ctypes.CDLL, **options: Any) -> None:
        self.library = library
        self.now_us = 1000
        self.room = 1 << 20
        self.sent: list[tuple[messages.Message, int, int]] = []
        self._decoder = FrameDecoder()
        self._sequence = 0
        self._callbacks = Write(self._write), Clock(lambda _: self.now_us & 0xFFFFFFFF)
        self._options = Options(session_id=7, native_rate_hz=100, name=b"test vehicle", **options)
        self.memory = ctypes.create_string_buffer(library.shim_client_size())
        library.haltere_client_init(self.memory, *self._callbacks, None, ctypes.byref(self._options))

    def _write(self, _: object, data: Any, size: int) -> int:
        taken = min(size, self.room)
        self.sent += self._decoder.feed(bytes(data[:taken]))
        return taken

    def receive(self, *received: messages.Message) -> None:
        for message in received:
            frame = encode(message, self._sequence, 0)
            self._sequence += 1
            self.library.haltere_client_feed(self.memory, frame, len(frame))

    def poll(self) -> list[messages.Message]:
        """Returns what the client sends in one turn of its loop."""
        self.sent.clear()
        self.library.haltere_client_poll(self.memory)
        return [message for message, *_ in self.sent]

    def connect(self, session_id: int = 1) -> None:
        self.receive(hello(session_id))

    def send_state(self) -> bool:
        state = CState(self.now_us & 0xFFFFFFFF, (1, 2, 3), (1, 0, 0, 0))
        return bool(self.library.haltere_client_send_state(self.memory, ctypes.byref(state), None))

    def action(self) -> tuple[int, list[float]]:
        motor = (ctypes.c_float * 4)(9, 9, 9, 9)
        return self.library.haltere_client_action(self.memory, motor, None), list(motor)

    @property
    def counters(self) -> dict[str, int]:
        names = ("sessions", "received", "rejected", "outdated", "frames_sent", "writes_dropped")
        values = self.library.shim_counters(self.memory).contents
        return dict(zip(names, values, strict=True))


def hello(session_id: int = 1, schema_hash: int = messages.SCHEMA_HASH) -> messages.Hello:
    return messages.Hello(schema_hash, messages.Role.RUNTIME, session_id, 100, "policy")


def action(
    valid_us: int, motor: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4), mode: int = messages.Mode.FAST
) -> messages.Action:
    return messages.Action(0, valid_us & 0xFFFFFFFF, 100, mode, 0, motor)


@pytest.fixture
def client(library: ctypes.CDLL) -> Client:
    return Client(library)


@pytest.fixture
def connected(client: Client) -> Client:
    client.connect()
    return client


def test_hello_is_repeated_until_the_runtime_answers(client: Client) -> None:
    (first,) = client.poll()
    assert first == messages.Hello(messages.SCHEMA_HASH, 0, 7, 100, "test vehicle")
    assert client.poll() == []
    client.now_us += 100_000
    assert client.poll() == [first]
    assert client.action()[0] == NOT_CONNECTED
    assert not client.send_state()
    client.connect()
    assert client.action()[0] == NONE
    client.now_us += 100_000
    assert client.poll() == [messages.Heartbeat(messages.LifeCycle.STANDBY)]
    assert client.poll() == []


def test_a_flight_controllers_own_hello_does_not_connect(client: Client) -> None:
    client.receive(messages.Hello(messages.SCHEMA_HASH, 0, 7, 100, "echo"))
    assert client.action()[0] == NOT_CONNECTED


def test_state_goes_out_as_it_is(connected: Client) -> None:
    assert connected.send_state()
    message, sequence, time_us = connected.sent[-1]
    assert (message, sequence, time_us) == (messages.State(1000, *list(_fields(STATE))[1:]), 0, 1000)
    connected.room = 10
    assert not connected.send_state()
    assert connected.counters["writes_dropped"] == 1


def _fields(message: messages.Message) -> list[Any]:
    return [getattr(message, name) for name in message.__slots__]


def test_a_fresh_action_is_given(connected: Client) -> None:
    connected.receive(action(1000))
    connected.now_us += TIMEOUT_US
    result, motor = connected.action()
    assert result == OK
    assert motor == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("start_us", [1000, 2**32 - 10, 2**32 - TIMEOUT_US - 5, 2**31 - 7])
@pytest.mark.parametrize("age_us", [TIMEOUT_US + 1, 10**6, 2**31 - 1, 2**31 + 5])
def test_a_stale_action_is_never_given(library: ctypes.CDLL, start_us: int, age_us: int) -> None:
    client = Client(library)
    client.now_us = start_us
    client.connect()
    client.receive(action(start_us))
    assert client.action()[0] == OK
    client.now_us = start_us + age_us
    assert client.action() == (STALE, [9, 9, 9, 9])
    client.now_us = start_us + 2**32 + 100  # its age has wrapped to a hundred microseconds
    assert client.action() == (STALE, [9, 9, 9, 9])


def test_polling_gives_up_an_old_action_too(library: ctypes.CDLL) -> None:
    client = Client(library, link_timeout_us=2**31)
    client.connect()
    client.receive(action(1000))
    client.now_us += 10**6
    client.poll()
    client.now_us = 1000 + 2**32
    assert client.action() == (STALE, [9, 9, 9, 9])


def test_a_late_answer_to_an_old_state_is_stale(connected: Client) -> None:
    connected.now_us = 10**6
    connected.receive(action(10**6 - TIMEOUT_US - 1))
    assert connected.action() == (STALE, [9, 9, 9, 9])


def test_an_older_action_does_not_replace_a_newer(connected: Client) -> None:
    connected.now_us = 30_000
    connected.receive(action(20_000, (1, 1, 1, 1)), action(10_000, (0, 0, 0, 0)))
    assert connected.action() == (OK, [1, 1, 1, 1])
    assert connected.counters["outdated"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        action(1000, (math.nan, 0, 0, 0)),
        action(1000, (0, 0, 0, math.inf)),
        action(1000, (0, -math.inf, 0, 0)),
        action(1000, (1.01, 0, 0, 0)),
        action(1000, (0, 0, -1.01, 0)),
        action(1001),  # answers a state of the future
        action(1000, mode=3),
    ],
)
def test_a_bad_action_is_rejected(connected: Client, bad: messages.Action) -> None:
    connected.receive(bad)
    assert connected.action() == (NONE, [9, 9, 9, 9])
    assert connected.counters["rejected"] == 1


def test_a_tiny_excess_is_clipped(connected: Client) -> None:
    connected.receive(action(1000, (1.0005, -1.0005, 0.5, 0.0)))
    assert connected.action() == (OK, [1.0, -1.0, 0.5, 0.0])


def test_safe_mode_hands_control_back(connected: Client) -> None:
    connected.receive(action(1000, mode=messages.Mode.SAFE))
    assert connected.action() == (SAFE, [9, 9, 9, 9])
    connected.receive(action(1000, (math.nan, 5, 0, 0), mode=messages.Mode.SAFE))
    assert connected.action() == (SAFE, [9, 9, 9, 9])
    connected.receive(action(1000, mode=messages.Mode.SLOW))
    assert connected.action()[0] == OK


def test_an_action_before_the_handshake_is_ignored(client: Client) -> None:
    client.receive(action(1000))
    client.connect()
    assert client.action()[0] == NONE


def test_another_version_is_refused(client: Client) -> None:
    client.receive(hello(schema_hash=messages.SCHEMA_HASH ^ 1), action(1000))
    assert client.action()[0] == VERSION_MISMATCH
    (fault,) = [message for message, *_ in client.sent if isinstance(message, messages.Fault)]
    assert (fault.code, fault.detail) == (messages.FaultCode.VERSION_MISMATCH, messages.SCHEMA_HASH)
    assert not client.send_state()
    client.connect()
    assert client.action()[0] == NONE


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (messages.FaultCode.VERSION_MISMATCH, VERSION_MISMATCH),
        (messages.FaultCode.BUSY, REFUSED),
        (messages.FaultCode.SELF_TEST_FAILED, REFUSED),
        (messages.FaultCode.INTERNAL, REFUSED),
        (messages.FaultCode.BAD_PARAMETER, OK),
    ],
)
def test_a_fault_ends_the_session_unless_it_is_a_parameters(
    connected: Client, code: messages.FaultCode, result: int
) -> None:
    connected.receive(action(1000), messages.Fault(code, 0, "because"))
    assert connected.action()[0] == result
    if result != OK:
        assert isinstance(connected.poll()[0], messages.Hello)


def test_a_silent_runtime_is_greeted_anew(connected: Client) -> None:
    connected.now_us += 500_000
    connected.poll()
    assert connected.action()[0] == NONE
    connected.now_us += 1
    assert isinstance(connected.poll()[0], messages.Hello)
    assert connected.action()[0] == NOT_CONNECTED


def test_a_restarted_runtime_is_noticed(connected: Client) -> None:
    connected.receive(action(1000))
    connected.connect(session_id=1)  # a repeated answer changes nothing
    assert connected.action()[0] == OK
    assert connected.sent == []
    connected.connect(session_id=2)
    assert connected.action()[0] == NONE
    assert isinstance(connected.sent[-1][0], messages.Hello)
    assert connected.counters["sessions"] == 2


def test_a_reopened_line_begins_with_a_hello(connected: Client) -> None:
    connected.library.haltere_client_disconnect(connected.memory)
    assert connected.action()[0] == NOT_CONNECTED
    assert isinstance(connected.poll()[0], messages.Hello)


def damaged_stream(seed: int) -> bytes:
    """Returns frames of every kind, garbage, and frames with flipped bits or bytes missing."""
    generator = random.Random(seed)
    samples: list[messages.Message] = [
        hello(),
        hello(schema_hash=5),
        action(1000),
        action(0, (math.nan, 2, 0, 0)),
        messages.Heartbeat(3),
        messages.Status(3, 0, 1, 2, 3, 1.0, 2.0, 3.0),
        messages.ParameterValue("gain", 1.0, 1),
        messages.Fault(2, 0, "x" * 48),
        messages.Log(20, "y" * 64),
        STATE,
    ]
    stream = bytearray()
    for sequence in range(3000):
        message = generator.choice(samples)
        if isinstance(message, messages.Action):
            message.state_valid_us = generator.randrange(3_000_000)
        frame = bytearray(encode(message, sequence, sequence))
        kind = generator.randrange(6)
        if kind == 0:
            frame[generator.randrange(len(frame))] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del frame[generator.randrange(len(frame))]
        elif kind == 2:
            frame += generator.randbytes(generator.randrange(200))
        stream += frame
    return bytes(stream)


def test_sanitizers_find_nothing_and_c_counts_what_python_counts() -> None:
    if sys.platform != "linux":
        pytest.skip("needs a compiler with sanitizers")
    try:
        program = build(
            "fuzz_client",
            [FIXTURES / "fuzz_client.c", *programs.client_sources()],
            (*SANITIZED, f"-I{FOLDER}"),
        )
    except BuildError as error:
        if "sanitizer" in str(error) or "asan" in str(error):
            pytest.skip("this compiler has no sanitizers")
        raise
    for seed in range(3):
        stream = damaged_stream(seed)
        done = subprocess.run([program], input=stream, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        decoder = FrameDecoder()
        decoder.feed(stream)
        counts = [getattr(decoder.counts, name) for name in type(decoder.counts).__slots__]
        assert list(map(int, done.stdout.split())) == counts
        assert decoder.counts.received > 1000
        assert decoder.counts.dropped > 100


@pytest.mark.parametrize("zig", [False, True])
def test_everything_compiles(monkeypatch: pytest.MonkeyPatch, zig: bool) -> None:
    if zig:
        pytest.importorskip("ziglang")
        monkeypatch.setenv("CC", f"{sys.executable} -m ziglang cc")
    for make in (programs.client_library, programs.flight_controller_program, programs.wire_program):
        assert make().exists()


def test_the_client_needs_memory_functions_only() -> None:
    """Links with nothing of libc but memcpy, memmove and memset."""
    sources = [FIXTURES / "memory_functions.c", *programs.client_sources()]
    flags = (
        "-O1",
        f"-I{FOLDER}",
        "-ffreestanding",
        "-fno-stack-protector",
        "-nostdlib",
        "-Wl,--no-undefined",
    )
    assert build("freestanding_client", sources, flags, shared=True).exists()


def tilted(axis: int, angle_rad: float) -> list[float]:
    quat = [math.cos(angle_rad / 2), 0.0, 0.0, 0.0]
    quat[1 + axis] = math.sin(angle_rad / 2)
    return quat


SIGNS = ((-1, -1, 1, 1), (-1, 1, 1, -1), (-1, 1, -1, 1))
STEP_S = 0.002


class Body:
    """A rigid body of its own: torque and thrust linear in the motor setpoint, no lag; perhaps a floor under it.

    Attributes:
      mass: over that for which the fallback's throttle was set.
    """

    def __init__(self, library: ctypes.CDLL, quat: list[float], rate: list[float], height_m: float = math.inf) -> None:
        self.hold = Hold(Gains(0.0, 0.05, 0.05, 0.05, 6.0, 0.2))
        self._library, self._steps = library, 0
        self.quat, self.rate, self.climb_m_s, self.height_m, self.mass = quat, rate, 0.0, height_m, 1.0
        self.motor = (ctypes.c_float * 4)()

    def up_z(self) -> float:
        return 1 - 2 * (self.quat[1] ** 2 + self.quat[2] ** 2)

    def fly(self, duration_s: float) -> None:
        for _ in range(round(duration_s / STEP_S)):
            self._steps += 1
            valid_us = (2**32 - 1_000_000 + round(1e6 * STEP_S * self._steps)) % 2**32
            state = CState(valid_us, (0, 0, 0), tuple(self.quat), (0, 0, self.climb_m_s), tuple(self.rate))
            self._library.haltere_attitude_hold_step(ctypes.byref(self.hold), ctypes.byref(state), self.motor)
            assert all(-1.0 <= value <= 1.0 for value in self.motor)
            self._move()

    def _move(self) -> None:
        rate, (w, x, y, z) = self.rate, self.quat
        for i, gain in enumerate((75.0, 75.0, 20.0)):
            rate[i] += gain * sum(s * m for s, m in zip(SIGNS[i], self.motor, strict=True)) * STEP_S
        p, q, r = (0.5 * STEP_S * value for value in rate)
        quat = [
            w - x * p - y * q - z * r,
            x + w * p + y * r - z * q,
            y + w * q - x * r + z * p,
            z + w * r + x * q - y * p,
        ]
        norm = math.sqrt(sum(value * value for value in quat))
        self.quat = [value / norm for value in quat]
        self.climb_m_s += (9.81 / self.mass * (1 + sum(self.motor) / 4) * self.up_z() - 9.81) * STEP_S
        self.height_m += self.climb_m_s * STEP_S
        if self.height_m <= 0:
            self.height_m, self.climb_m_s = 0.0, max(self.climb_m_s, 0.0)


@pytest.mark.parametrize(("axis", "angle_rad"), [(0, 1.0), (1, -1.0), (0, 2.5), (1, 3.1), (0, math.pi)])
def test_attitude_hold_levels_and_descends(library: ctypes.CDLL, axis: int, angle_rad: float) -> None:
    body = Body(library, tilted(axis, angle_rad), [0.5, -0.5, 2.0])
    body.fly(6.0)
    assert body.up_z() > 0.999
    assert max(map(abs, body.rate)) < 0.02
    assert body.climb_m_s == pytest.approx(-0.5, abs=0.05)
    assert not body.hold.landed


@pytest.mark.parametrize("mass", [0.5, 0.8, 1.0, 1.6])
def test_attitude_hold_lands_with_any_load_and_never_stops_in_the_air(library: ctypes.CDLL, mass: float) -> None:
    body = Body(library, tilted(0, 0.3), [0.0, 0.0, 0.0], height_m=12.0)
    body.mass = mass
    for _ in range(3000):
        body.fly(0.01)
        if body.height_m == 0.0:
            break
        assert not body.hold.landed
    assert body.climb_m_s == 0.0
    assert not body.hold.landed
    body.fly(8.0)
    assert body.hold.landed
    assert list(body.motor) == [-1.0] * 4


@pytest.mark.parametrize("climb_m_s", [4.0, 12.0, -6.0])
@pytest.mark.parametrize("angle_rad", [0.0, math.pi])
def test_attitude_hold_does_not_stop_in_the_air_after_a_throw(
    library: ctypes.CDLL, climb_m_s: float, angle_rad: float
) -> None:
    body = Body(library, tilted(1, angle_rad), [0.0, 0.0, 0.0])
    body.climb_m_s = climb_m_s
    body.fly(10.0)
    assert not body.hold.landed
    assert body.climb_m_s == pytest.approx(-0.5, abs=0.05)


def test_attitude_hold_begins_anew_after_a_pause(library: ctypes.CDLL) -> None:
    body = Body(library, tilted(0, 0.0), [0.0, 0.0, 0.0], height_m=0.0)
    body.fly(8.0)
    assert body.hold.landed
    state = CState((body.hold.valid_us + 200_000) % 2**32, (0, 0, 0), (1, 0, 0, 0))
    library.haltere_attitude_hold_step(ctypes.byref(body.hold), ctypes.byref(state), body.motor)
    assert not body.hold.landed
    assert body.motor[0] == pytest.approx(0.0)  # hover


@pytest.mark.parametrize("name", ["crazyflie", "x500", "heavy2400"])
def test_attitude_hold_brakes_and_lands_whatever_the_policy_was_doing(library: ctypes.CDLL, name: str) -> None:
    vehicle = load_vehicle(name)
    gains = Gains(*map(float, fallback_options(vehicle)[1::2]))
    motor = (ctypes.c_float * 4)()
    generator = np.random.default_rng(0)
    with World(vehicle, WorldConfig(action_delay_s=0.02)) as world:
        for _ in range(4):
            velocity = np.array([1.5, 0.0, 0.3]) + generator.normal(0.0, 0.3, 3)
            quat = np.array([1.0, *generator.normal(0.0, 0.1, 2), generator.normal()])
            state = world.reset((0.0, 0.0, 2.0), quat, velocity, generator.normal(0.0, 1.0, 3) * [1.0, 1.0, 0.3])
            hold = Hold(gains)
            while not hold.landed and world.time_s < 14.0:
                c_state = CState(
                    round(world.time_s * 1e6),
                    tuple(state.position_world_m),
                    tuple(state.quat_wxyz),
                    tuple(state.velocity_world_m_s),
                    tuple(state.angular_velocity_body_rad_s),
                )
                library.haltere_attitude_hold_step(ctypes.byref(hold), ctypes.byref(c_state), motor)
                assert not world.step(np.array(motor)).over
                state = world.state()
            assert hold.landed
            assert state.position_world_m[2] < 0.05  # resting, with or without contact in the last step
            assert np.linalg.norm(state.position_world_m[:2]) < 3.0


@pytest.mark.parametrize("axis", [0, 1])
def test_attitude_hold_turns_over_from_upside_down(library: ctypes.CDLL, axis: int) -> None:
    """There the tilt's axis vanishes; at rest, some torque must come all the same."""
    hold = Hold(Gains(0.0, 0.05, 0.05, 0.05, 6.0, 0.2))
    state = CState(0, (0, 0, 0), tuple(tilted(axis, math.pi)))
    motor = (ctypes.c_float * 4)()
    library.haltere_attitude_hold_step(ctypes.byref(hold), ctypes.byref(state), motor)
    assert max(motor) - min(motor) > 0.5
    assert sum(motor) / 4 < -0.4  # little thrust, which points down
