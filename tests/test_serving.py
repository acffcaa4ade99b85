"""The serving loop behind a pseudo-terminal, with the C flight controller at its other end."""

from __future__ import annotations

import gc
import math
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from runtime_line import STEP_US, StandIn, state

from haltere.firmware_bridge.client_c.programs import flight_controller_program
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.inproc import pair
from haltere.firmware_bridge.link.messages import (
    Mode,
    Motors,
    MotorSource,
    State,
    StatusFlag,
)
from haltere.firmware_bridge.link.pty import PtyTransport
from haltere.firmware_bridge.link.transport import Transport
from haltere.firmware_bridge.runtime.loop import serve
from haltere.policies.contract import Policy
from haltere.policies.errors import LinkError
from haltere.policies.policy_file import RecurrentPolicy

pytestmark = pytest.mark.realtime


class Served:
    """`serve` in a thread, behind a pseudo-terminal, and the C flight controller at its other end."""

    def __init__(self, policy: Policy) -> None:
        self.pty = PtyTransport()
        self.events: list[str] = []
        self.stop = threading.Event()
        lines = [self.pty]

        def open_line() -> PtyTransport:
            if not lines:
                raise LinkError("no line")
            return lines.pop()

        arguments = (policy, open_line, "stand-in", self.stop.is_set, None, self.events.append)
        self.thread = threading.Thread(target=serve, args=arguments, daemon=True)
        # The runtime collects garbage as it begins: what earlier tests left would take longer than a state may wait.
        gc.collect()
        gc.freeze()
        self.thread.start()
        self.controller: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(flight_controller_program()), "--port", self.pty.path, "--lockstep-wait-us", "1500000"]
        self.controller = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.decoder = FrameDecoder()

    def step(self, message: State) -> Motors:
        assert self.controller is not None
        assert self.controller.stdin is not None
        assert self.controller.stdout is not None
        self.controller.stdin.write(encode(message, 0, message.valid_us))
        while True:
            for motors, *_ in self.decoder.feed(self.controller.stdout.read(4096)):
                assert isinstance(motors, Motors)
                return motors

    def kill(self) -> None:
        if self.controller is not None:
            self.controller.kill()
            self.controller.communicate()

    def end(self) -> None:
        self.kill()
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def served() -> Iterator[Callable[[Policy], Served]]:
    running: list[Served] = []

    def make(policy: Policy) -> Served:
        running.append(Served(policy))
        running[-1].start()
        return running[-1]

    yield make
    for each in running:
        each.end()


def test_the_c_flight_controller_flies_the_policy(
    served: Callable[[Policy], Served], foundation: RecurrentPolicy
) -> None:
    stack = served(foundation)
    stack.step(state(0))  # the handshake, and the first call of the engine, may take long on a busy machine
    for i in range(1, 50):
        motors = stack.step(state(i * STEP_US))
        assert (motors.source, motors.mode, motors.state_valid_us) == (MotorSource.POLICY, Mode.FAST, i * STEP_US)
    lost = stack.step(state(50 * STEP_US, position_world_m=(math.nan, 0.0, 0.0)))
    assert (lost.source, lost.status & StatusFlag.NONFINITE_STATE) == (MotorSource.FALLBACK, StatusFlag.NONFINITE_STATE)
    assert stack.step(state(51 * STEP_US)).source == MotorSource.POLICY


def test_a_restarted_c_flight_controller_is_served_anew(served: Callable[[Policy], Served]) -> None:
    policy = StandIn()
    stack = served(policy)
    assert stack.step(state(9_000_000)).source == MotorSource.POLICY
    stack.kill()
    resets = policy.resets
    stack.start()
    sources = [stack.step(state(i * STEP_US)).source for i in range(1, 4)]
    assert sources[-1] == MotorSource.POLICY
    assert policy.resets == resets + 1


def test_a_policy_that_raises_leaves_the_c_flight_controller_on_its_fallback(
    served: Callable[[Policy], Served],
) -> None:
    stack = served(StandIn([0.5] * 4, [0.5] * 4, ValueError("broken")))
    sources = [stack.step(state(i * STEP_US)).source for i in range(1, 8)]
    assert sources == [MotorSource.POLICY] * 2 + [MotorSource.FALLBACK] * 5
    stack.end()
    assert stack.events[-1] == "the policy failed in flight: ValueError('broken')"


def test_a_line_that_closes_is_opened_again() -> None:
    opened: list[float] = []
    events: list[str] = []

    def open_line() -> Transport:
        opened.append(time.monotonic())
        if len(opened) == 1:
            raise LinkError("no such device")
        far, near = pair()
        far.close()
        return near

    serve(StandIn(), open_line, "stand-in", lambda: len(opened) >= 4, None, events.append)
    assert events[0] == "no such device; trying again"
    assert events[1].startswith("serving stand-in on")
    assert "has closed" in events[2]
    assert min(np.diff(opened)) > 0.09  # a line that closes at once does not keep the processor busy
