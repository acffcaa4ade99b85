"""The processes of a simulated flight: C flight controller, runtime, and the wire between them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from haltere.firmware_bridge.client_c.programs import flight_controller_program, wire_program
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import Message, Motors
from haltere.policies.errors import LinkError, LinkTimeout
from haltere.tools.flight.link_uri import LinkUri

START_TIMEOUT_S = 20.0
BLACK_BOX = "black_box.bin"


@dataclass
class Stack:
    """The running processes, and the simulator's end of the flight controller.

    Attributes:
      flight_controller: the C program.
      runtime: the served policy; None when it is on a board.
      wire: the simulated serial line; None without one.
      runtime_log, wire_log: what they printed.
    """

    flight_controller: subprocess.Popen[bytes]
    runtime: subprocess.Popen[bytes] | None
    wire: subprocess.Popen[bytes] | None
    runtime_log: Path
    wire_log: Path
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _sequence: int = 0

    def send(self, messages: list[Message], time_us: int) -> None:
        """Gives messages to the flight controller.

        Raises:
          LinkError: it has ended, or does not read.
        """
        frames = b""
        for message in messages:
            frames += encode(message, self._sequence, time_us)
            self._sequence += 1
        stdin = self.flight_controller.stdin
        assert stdin is not None
        try:
            taken = stdin.write(frames)
        except OSError as error:
            raise self._ended() from error
        if taken != len(frames):
            raise LinkError("the flight controller does not read its states: it hangs, or was stopped")

    def receive(self, timeout_s: float) -> list[Motors]:
        """Returns motor setpoints that arrived within the timeout.

        Raises:
          LinkError: the flight controller has ended.
        """
        stdout = self.flight_controller.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], max(0.0, timeout_s))
        if not ready:
            return []
        data = os.read(stdout.fileno(), 65536)
        if not data:
            raise self._ended()
        return [message for message, _, _ in self._decoder.feed(data) if isinstance(message, Motors)]

    def _ended(self) -> LinkError:
        try:
            code = self.flight_controller.wait(1.0)
        except subprocess.TimeoutExpired:
            return LinkError("the flight controller has closed its line to the simulator")
        return LinkError(f"the flight controller has ended ({_how(code)})")

    def check_runtime(self) -> None:
        """Checks, before a flight, that what it needs still runs.

        Raises:
          LinkError: the runtime or the wire has ended; the message has what the runtime printed.
        """
        for process, name in ((self.wire, "the wire"), (self.runtime, "the runtime")):
            code = None if process is None else process.poll()
            if code is not None:
                raise LinkError(f"{name} has ended ({_how(code)}); {self.printed()}")

    def printed(self) -> str:
        """What the runtime has printed so far, for people."""
        text = self.runtime_log.read_text().strip() if self.runtime else ""
        return f"the runtime printed:\n{text}" if text else "the runtime printed nothing"

    def answer(self, valid_us: int, timeout_s: float) -> Motors:
        """Waits for the motor setpoints that answer one state.

        Raises:
          LinkTimeout: they did not come.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for motors in self.receive(deadline - time.monotonic()):
                if motors.state_valid_us == valid_us & 0xFFFFFFFF:
                    return motors
        raise LinkTimeout(f"no motor setpoints from the flight controller within {timeout_s} s")


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LinkError(f"the wire did not start (exit code {process.poll()}): {log.read_text().strip()}")
        time.sleep(0.005)


def _start(stack: contextlib.ExitStack, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    sink = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _runtime_command(uri: str, policy: Path, backend: str, black_box: Path) -> list[str]:
    module = [sys.executable, "-m", "haltere.tools", "serve", uri]
    return [*module, "--policy", str(policy), "--backend", backend, "--black-box", str(black_box)]


@contextlib.contextmanager
def start_stack(
    link: LinkUri,
    policy: Path,
    backend: str,
    fallback: list[str],
    lockstep_wait_us: int,
    name: str,
    output: Path,
) -> Iterator[Stack]:
    """Starts the processes, and ends them at the end.

    Args:
      link: the line between flight controller and runtime.
      policy: policy file of the runtime.
      backend: of the runtime.
      fallback: options of the flight controller's attitude hold.
      lockstep_wait_us: how long the flight controller waits for each action; 0 is real time.
      name: of the vehicle.
      output: folder for the runtime's black box, and what runtime and wire print.
    Raises:
      LinkError: a process did not start.
    """
    with tempfile.TemporaryDirectory(prefix="haltere-") as folder, contextlib.ExitStack() as stack:
        ends = Path(folder) / "flight_controller", Path(folder) / "runtime"
        runtime_log, wire_log = output / "runtime.log", output / "wire.log"
        wire = None
        if link.kind == "pty":
            command = [str(wire_program()), *map(str, ends), "--baud", str(link.baud), *link.faults]
            wire = _start(stack, command, wire_log)
            _wait_for(ends[1], wire, wire_log)
            runtime_uri, port = f"pty:{ends[1]}", ["--port", str(ends[0])]
        elif link.kind == "tcp":
            runtime_uri, port = f"tcp-listen://{link.target}", ["--tcp", link.target]
        else:
            runtime_uri, port = "", ["--port", link.target]
            set_baud(link)
        runtime = None
        if runtime_uri:
            command = _runtime_command(runtime_uri, policy, backend, output / BLACK_BOX)
            runtime = _start(stack, command, runtime_log)
        command = [str(flight_controller_program()), *port, *fallback, "--name", name]
        command += ["--lockstep-wait-us", str(lockstep_wait_us)]
        command += ["--setpoint-period-us", str(link.setpoint_period_us)]
        controller = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        )
        stack.callback(_end, controller)
        assert controller.stdin is not None
        os.set_blocking(controller.stdin.fileno(), False)
        yield Stack(controller, runtime, wire, runtime_log, wire_log)


def set_baud(link: LinkUri) -> None:
    """Sets the speed of a serial device, which stays set for the flight controller that opens it next.

    Raises:
      LinkError: the device cannot be opened.
    """
    import serial

    try:
        serial.Serial(link.target, link.baud).close()
    except (OSError, ValueError) as error:
        raise LinkError(f"serial device {link.target}: {error}") from error
