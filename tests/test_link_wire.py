"""The simulated serial line: its pace, its faults, and ends that come and go."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haltere.firmware_bridge.client_c.programs import wire_program
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import Heartbeat, State
from haltere.firmware_bridge.link.transport import Transport, open_transport

pytestmark = pytest.mark.realtime

STATE = State(1, (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0), (0.1, 0.2, 0.3), (0.0, 0.0, 0.1), (0.0, 0.1, 0.2, 0.3))


@contextlib.contextmanager
def wire(folder: Path, *options: str) -> Iterator[tuple[Transport, Transport, subprocess.Popen[str]]]:
    """Yields both ends of a running wire, and its process."""
    paths = [folder / "a", folder / "b"]
    command = [str(wire_program()), *map(str, paths), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        ends = [open_transport(str(path)) for path in paths]
        try:
            yield ends[0], ends[1], process
        finally:
            for end in ends:
                end.close()
            process.terminate()
            process.wait(5)
    assert not any(path.is_symlink() for path in paths)


def receive(end: Transport, size: int, timeout_s: float = 2.0) -> tuple[bytes, float]:
    """Returns what came, and the monotonic time at which its last byte did."""
    received, last = b"", time.monotonic()
    deadline = last + timeout_s
    while len(received) < size and time.monotonic() < deadline:
        if data := end.read(0.1):
            received, last = received + data, time.monotonic()
    return received, last


@pytest.mark.parametrize(("baud", "size"), [(115_200, 1000), (921_600, 4000)])
def test_a_burst_takes_its_time_both_ways(tmp_path: Path, baud: int, size: int) -> None:
    burst = bytes(i % 251 for i in range(size))
    ideal_s = 10 * size / baud
    with wire(tmp_path, "--baud", str(baud)) as (a, b, _):
        for sender, receiver in ((a, b), (b, a)):
            times = []
            for _ in range(3):
                begin = time.monotonic()
                sender.write(burst)
                received, last = receive(receiver, size)
                assert received == burst
                times.append(last - begin)
            # A busy machine only ever adds to it.
            assert min(times) == pytest.approx(ideal_s, rel=0.15)


def test_one_frame_takes_its_wire_time(tmp_path: Path) -> None:
    frame = encode(STATE, 0, 0)
    with wire(tmp_path, "--baud", "115200") as (a, b, _):
        times = []
        for _ in range(9):
            begin = time.monotonic()
            a.write(frame)
            received, last = receive(b, len(frame))
            assert received == frame
            times.append(last - begin)
    assert min(times) == pytest.approx(10 * len(frame) / 115_200, rel=0.15)


def test_directions_do_not_share_the_line(tmp_path: Path) -> None:
    burst = b"\xa5" * 1000
    with wire(tmp_path, "--baud", "115200") as (a, b, _):
        begin = time.monotonic()
        a.write(burst)
        b.write(burst)
        assert receive(b, 1000)[0] == receive(a, 1000)[0] == burst
        assert time.monotonic() - begin < 1.5 * 1000 * 10 / 115_200


def test_unpaced_is_fast(tmp_path: Path) -> None:
    with wire(tmp_path, "--baud", "0") as (a, b, _):
        begin = time.monotonic()
        a.write(b"x" * 3000)
        assert len(receive(b, 3000)[0]) == 3000
        assert time.monotonic() - begin < 0.1


def test_faults_hit_each_nth_byte(tmp_path: Path) -> None:
    sent = bytes(100)
    with wire(tmp_path, "--baud", "0", "--flip-every", "10") as (a, b, _):
        a.write(sent)
        received, _ = receive(b, 100)
    assert [i for i, byte in enumerate(received, 1) if byte] == list(range(10, 101, 10))
    assert all(byte.bit_count() == 1 for byte in received if byte)
    with wire(tmp_path, "--baud", "0", "--drop-every", "3") as (a, b, _):
        a.write(bytes(range(1, 10)))
        assert receive(b, 6)[0] == bytes([1, 2, 4, 5, 7, 8])


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    with wire(tmp_path, "--baud", "9600") as (a, _, process):
        sent = 0
        while sent < 9000:
            before = a.dropped_writes
            a.write(b"x" * 1000)
            sent += 1000 * (a.dropped_writes == before)
            time.sleep(0.002)
        time.sleep(0.05)
        process.terminate()
        _, report = process.communicate(timeout=5)
    overflowed = int(report.split("overflowed ")[1].split()[0])
    assert sent - 4096 - 300 < overflowed < sent - 4096


def test_wrong_baud_gives_dropped_frames_only(tmp_path: Path) -> None:
    with wire(tmp_path, "--baud", "921600", "--baud-b", "460800") as (a, b, _):
        for sender, receiver in ((a, b), (b, a)):
            decoder = FrameDecoder()
            sent = b"".join(encode(STATE, sequence, 0) for sequence in range(48))
            sender.write(sent)
            received, _ = receive(receiver, len(sent))
            assert len(received) == len(sent)
            assert decoder.feed(received) == []
            assert decoder.counts.received == 0
            assert decoder.counts.dropped > 0


def test_the_same_garbage_at_each_run(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        with wire(tmp_path, "--baud", "0", "--baud-b", "9600") as (a, b, _):
            a.write(b"\x55" * 64)
            runs.append(receive(b, 64)[0])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 20


def test_an_end_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    frame = encode(Heartbeat(3), 0, 0)
    with wire(tmp_path) as (a, b, process):
        b.close()
        a.write(frame)
        time.sleep(0.02)
        again = open_transport(str(tmp_path / "b"))
        assert again.read(0.02) == b""
        a.write(frame)
        assert receive(again, len(frame))[0] == frame
        again.write(frame)
        assert receive(a, len(frame))[0] == frame
        assert process.poll() is None
        again.close()


@pytest.mark.parametrize("options", [[], ["a"], ["a", "b", "--baud"], ["a", "b", "--bauds", "1"]])
def test_a_wrong_command_line_is_explained(options: list[str]) -> None:
    done = subprocess.run([wire_program(), *options], capture_output=True, text=True, timeout=5)
    assert done.returncode == 2
    assert "usage:" in done.stderr
