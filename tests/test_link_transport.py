"""Every transport holds one contract; what is particular to each is tested after it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from haltere.firmware_bridge.link.frame import FrameDecoder
from haltere.firmware_bridge.link.inproc import pair
from haltere.firmware_bridge.link.messages import Fault, FaultCode
from haltere.firmware_bridge.link.pty import PtyTransport
from haltere.firmware_bridge.link.tcp import TcpListenTransport
from haltere.firmware_bridge.link.transport import Transport, open_transport
from haltere.policies.errors import LinkError

pytestmark = pytest.mark.realtime

Ends = tuple[Transport, Transport]
ALL_BYTES = bytes(range(256))


def in_process() -> Ends:
    return open_transport("inproc:contract"), open_transport("inproc:contract")


def pseudo_terminal() -> Ends:
    near = PtyTransport()
    return near, open_transport(f"pty:{near.path}")


def bare_path() -> Ends:
    near = PtyTransport()
    return near, open_transport(near.path)


def serial_line() -> Ends:
    near = PtyTransport()
    return near, open_transport(f"serial:{near.path}?baud=115200")


def tcp() -> Ends:
    near = TcpListenTransport("127.0.0.1", 0)
    far = open_transport(f"tcp://127.0.0.1:{near.port}")
    assert near.read(0.5) == b""
    return near, far


@pytest.fixture(params=[in_process, pseudo_terminal, bare_path, serial_line, tcp])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    both: Ends = request.param()
    yield both
    for end in both:
        end.close()


def read_all(end: Transport, size: int) -> bytes:
    received = b""
    deadline = time.monotonic() + 2.0
    while len(received) < size and time.monotonic() < deadline:
        received += end.read(0.1)
    return received


def test_every_byte_passes_unchanged_both_ways(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sender.write(ALL_BYTES)
        assert read_all(receiver, 256) == ALL_BYTES
        assert receiver.read(0.0) == b""


def test_read_times_out(ends: Ends) -> None:
    for end in ends:
        begin = time.monotonic()
        assert end.read(0.05) == b""
        assert 0.04 < time.monotonic() - begin < 0.5


def test_descriptor_tells_that_there_is_something_to_read(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        assert not select.select([receiver], [], [], 0)[0]
        sender.write(b"x")
        assert select.select([receiver], [], [], 1.0)[0]
        assert receiver.read(1.0) == b"x"


def test_a_full_line_drops_whole_writes_and_never_waits(ends: Ends) -> None:
    near, far = ends
    block = b"\x55" * 999
    begin = time.monotonic()
    writes = 0
    while near.dropped_writes < 3 and writes < 20_000:
        near.write(block)
        writes += 1
    assert near.dropped_writes == 3
    assert time.monotonic() - begin < 2.0
    kept = (writes - 3) * len(block)
    received = b""
    while len(received) < kept:
        received += far.read(0.2)
        near.read(0.0)  # sends what was left over
    near.read(0.0)
    assert received == block * (writes - 3)
    assert far.read(0.05) == b""
    near.write(b"again")
    assert read_all(far, 5) == b"again"


def test_a_closed_end_says_so(ends: Ends) -> None:
    for end in ends:
        assert end.description
        end.close()
        end.close()
        for action in (lambda: end.read(0.0), lambda: end.write(b"x"), end.fileno):  # noqa: B023
            with pytest.raises(LinkError, match="closed at this end"):
                action()


@pytest.mark.parametrize("make", [in_process, pseudo_terminal, bare_path, serial_line, tcp])
def test_the_far_end_notices_that_the_near_end_has_closed(make: Callable[[], Ends]) -> None:
    near, far = make()
    near.close()
    with pytest.raises(LinkError, match="other end has closed"):
        far.read(1.0)
    with pytest.raises(LinkError, match="other end has closed"):  # TCP answers the first write by a reset
        list(map(far.write, [b"x"] * 3))
    far.close()


def test_pseudo_terminal_can_be_opened_again_and_forgets_what_was_missed() -> None:
    near = PtyTransport()
    first = open_transport(near.path)
    first.close()
    near.write(b"nobody reads this")
    assert near.read(0.05) == b""
    second = open_transport(near.path)
    near.write(b"new")
    assert second.read(1.0) == b"new"
    second.close()
    near.close()


def test_pty_uri_makes_one_and_tells_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    near = open_transport("pty:")
    path = capsys.readouterr().out.strip()
    assert isinstance(near, PtyTransport)
    assert near.path == path
    assert os.path.exists(path)
    near.close()


def test_pair_gives_two_ends_and_a_name_is_used_twice() -> None:
    first, second = pair()
    first.write(b"x")
    assert second.read(1.0) == b"x"
    a, b, c = (open_transport("inproc:three") for _ in range(3))
    a.write(b"ab")
    assert b.read(1.0) == b"ab"
    assert c.read(0.0) == b""
    open_transport("inproc:three").close()


def test_tcp_refuses_a_second_client_and_serves_the_next() -> None:
    server = TcpListenTransport("127.0.0.1", 0)
    uri = f"tcp://127.0.0.1:{server.port}"
    first = open_transport(uri)
    assert server.read(0.2) == b""
    assert server.connections == 1

    second = open_transport(uri)
    assert server.read(0.2) == b""
    assert server.refused == 1
    ((refusal, *_),) = FrameDecoder().feed(second.read(1.0))
    assert isinstance(refusal, Fault)
    assert refusal.code == FaultCode.BUSY
    with pytest.raises(LinkError, match="closed"):
        second.read(1.0)

    first.write(b"still served")
    assert server.read(1.0) == b"still served"
    first.write(b"last words")
    first.close()
    third = open_transport(uri)
    third.write(b"hello")
    assert server.read(1.0) == b"last words"
    assert read_all(server, 5) == b"hello"
    assert (server.connections, server.refused) == (2, 1)
    third.close()
    server.close()


def test_tcp_without_a_client_drops_writes() -> None:
    server = TcpListenTransport("127.0.0.1", 0)
    server.write(b"x")
    assert server.dropped_writes == 1
    client = open_transport(f"tcp://127.0.0.1:{server.port}")
    assert server.read(0.2) == b""
    client.close()
    for _ in range(5):
        server.write(b"x")
        server.read(0.05)
    assert server.dropped_writes > 1
    server.close()


def test_tcp_survives_a_client_that_resets() -> None:
    server = TcpListenTransport("127.0.0.1", 0)
    rude = socket.create_connection(("127.0.0.1", server.port))
    server.read(0.2)
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rude.close()
    server.write(b"x")
    assert server.read(0.05) == b""
    polite = open_transport(f"tcp://127.0.0.1:{server.port}")
    polite.write(b"y")
    assert read_all(server, 1) == b"y"
    polite.close()
    server.close()


def test_serial_device_is_exclusive() -> None:
    near = PtyTransport()
    first = open_transport(f"serial:{near.path}?baud=115200")
    with pytest.raises(LinkError, match="could not be opened"):
        open_transport(f"serial:{near.path}?baud=115200")
    first.close()
    open_transport(f"serial:{near.path}").close()
    near.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("tcp://127.0.0.1", "port is missing"),
        ("tcp://:5760", "host is missing"),
        ("tcp://127.0.0.1:abc", "wrong port"),
        ("tcp://127.0.0.1:99999", "wrong port"),
        ("tcp://127.0.0.1:5760/path", "nothing may follow"),
        ("tcp://127.0.0.1:1", "other end running"),
        ("tcp-listen://127.0.0.1", "tcp-listen://127.0.0.1:5760"),
        ("tcp-listen://203.0.113.9:5760", "203.0.113.9"),
        ("serial:", "device is missing"),
        ("serial:/dev/ttyS0?baud=fast", "baud 'fast'"),
        ("serial:/dev/ttyS0?baud=", "baud ''"),
        ("serial:/dev/ttyS0?speed=9600", "unknown option speed"),
        ("serial:/dev/no-such-device?baud=9600", "could not be opened"),
        ("inproc:", "name"),
        ("/no/such/path", "No such file"),
        ("pty:/no/such/path", "No such file"),
        ("pty:/dev/null", "not a terminal"),
        ("udp://127.0.0.1:1", "unknown kind of link 'udp'"),
        ("ttyS0", "use one of"),
        ("", "use one of"),
    ],
)
def test_a_wrong_uri_is_explained(uri: str, message: str) -> None:
    with pytest.raises(LinkError, match=message):
        open_transport(uri)


def test_closing_gives_the_descriptors_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for make in (in_process, pseudo_terminal, serial_line, tcp):
        for end in make():
            end.close()
    with contextlib.suppress(LinkError):
        open_transport("pty:/dev/null")
    assert set(os.listdir("/proc/self/fd")) == before
