"""TCP transports: a client, and a server of one client at a time."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import time

from haltere.firmware_bridge.link.frame import encode
from haltere.firmware_bridge.link.messages import Fault, FaultCode
from haltere.firmware_bridge.link.stream import StreamTransport
from haltere.policies.errors import LinkError

CONNECT_TIMEOUT_S = 2.0
_BUSY = encode(Fault(FaultCode.BUSY, 0, "another client is connected"), 0, 0)


def connect_tcp(host: str, port: int) -> StreamTransport:
    """Connects to a server.

    Raises:
      LinkError: nobody listens there.
    """
    try:
        connection = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise LinkError(f"tcp://{host}:{port}: {error.strerror or error}; is the other end running?") from error
    return _stream(connection, f"tcp://{host}:{port}")


class TcpListenTransport:
    """Serves one client at a time; implements `Transport`.

    A second client is sent a fault BUSY and closed. When the first one goes, nothing is raised: the next is
    awaited, and writes are dropped until it has come.

    Attributes:
      connections: how many clients have been accepted.
      refused: how many were closed because another one was connected.
      port: TCP port, also when 0 was asked for.

    Args:
      host: address to listen on.
      port: TCP port; 0 takes any free one.
    Raises:
      LinkError: the address is wrong or in use.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            raise LinkError(f"tcp-listen://{host}:{port}: {error.strerror or error}") from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.description = f"tcp-listen://{host}:{self.port}"
        self.dropped_writes = 0
        self.connections = 0
        self.refused = 0
        self._client: StreamTransport | None = None
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> bytes:
        """Returns what the client sent, or b"" after a timeout; accepts and refuses clients meanwhile."""
        self._check_open()
        self._flush_client()
        deadline = time.monotonic() + timeout_s
        while True:
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            data = b""
            files = [key.fileobj for key, _ in ready]
            if self._client in files:
                data = self._read_client()
            if self._listener in files and not self._client_is_leaving():
                self._accept()
            if data or not ready or time.monotonic() >= deadline:
                return data

    def write(self, data: bytes) -> None:
        """Sends bytes to the client without waiting; drops them if there is none."""
        self._check_open()
        if self._client is None:
            self.dropped_writes += 1
            return
        before = self._client.dropped_writes
        try:
            self._client.write(data)
        except LinkError:
            self._forget_client()
            self.dropped_writes += 1
        else:
            self.dropped_writes += self._client.dropped_writes - before

    def fileno(self) -> int:
        """Returns a descriptor that is readable when a client comes or sends; it stays the same."""
        self._check_open()
        return self._selector.fileno()

    def close(self) -> None:
        """Closes the client and the listener; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._forget_client()
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError:  # the client has gone again
            return
        if self._client is None:
            self._client = _stream(connection, f"{self.description} ({address[0]}:{address[1]})")
            self._selector.register(self._client, selectors.EVENT_READ)
            self.connections += 1
            return
        self.refused += 1
        with contextlib.suppress(OSError), connection:
            connection.setblocking(False)
            connection.send(_BUSY)

    def _client_is_leaving(self) -> bool:
        """Tells whether the client has closed, although some of what it sent may still be unread."""
        if self._client is None:
            return False
        closing = select.poll()
        closing.register(self._client, select.POLLRDHUP)
        return bool(closing.poll(0))

    def _flush_client(self) -> None:
        if self._client is not None:
            try:
                self._client.flush()
            except LinkError:
                self._forget_client()

    def _read_client(self) -> bytes:
        if self._client is None:
            return b""
        try:
            return self._client.read(0.0)
        except LinkError:
            self._forget_client()
            return b""

    def _forget_client(self) -> None:
        if self._client is not None:
            self._selector.unregister(self._client)
            self._client.close()
            self._client = None

    def _check_open(self) -> None:
        if self._closed:
            raise LinkError(f"{self.description}: closed at this end; open it again")


def _stream(connection: socket.socket, description: str) -> StreamTransport:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return StreamTransport(connection.detach(), description)
