"""A non-blocking file descriptor as a transport: the common part of terminals, sockets and serial lines."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from haltere.policies.errors import LinkError

_CHUNK = 4096
_CLOSED = {errno.EIO, errno.ECONNRESET, errno.EPIPE, errno.ENXIO, errno.ENODEV, errno.EBADF, errno.ETIMEDOUT}


class StreamTransport:
    """Reads and writes one file descriptor; implements `Transport`.

    Args:
      descriptor: the open file descriptor; made non-blocking, and closed by `close`.
      description: what it is, for people.
      on_close: called once, after the descriptor was closed, or instead of closing it if `owned` is False.
      owned: `close` closes the descriptor.
    """

    def __init__(
        self,
        descriptor: int,
        description: str,
        on_close: Callable[[], None] | None = None,
        owned: bool = True,
    ) -> None:
        os.set_blocking(descriptor, False)
        self.description = description
        self.dropped_writes = 0
        self._descriptor = descriptor
        self._on_close = on_close
        self._owned = owned
        self._closed = False
        self._unsent = b""
        self._readable = select.poll()
        self._readable.register(descriptor, select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """Returns what has arrived, or b"" after a timeout; see `Transport.read`."""
        self._check_open()
        self.flush()
        if not self._readable.poll(max(0.0, timeout_s) * 1e3):
            return b""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise LinkError(f"{self.description}: the other end has closed")
        return data

    def write(self, data: bytes) -> None:
        """Sends bytes without waiting; see `Transport.write`."""
        self._check_open()
        if not self.flush():
            self.dropped_writes += 1
            return
        sent = self._send(data)
        if sent == 0 and data:
            self.dropped_writes += 1
        else:
            self._unsent = data[sent:]

    def flush(self) -> bool:
        """Sends what a full line left over; returns whether nothing is left."""
        if self._unsent:
            self._unsent = self._unsent[self._send(self._unsent) :]
        return not self._unsent

    def fileno(self) -> int:
        """Returns the file descriptor."""
        self._check_open()
        return self._descriptor

    def close(self) -> None:
        """Closes this end; closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._owned:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        if self._on_close:
            self._on_close()

    def _send(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from error

    def _check_open(self) -> None:
        if self._closed:
            raise LinkError(f"{self.description}: closed at this end; open it again")

    def _lost(self, error: OSError) -> LinkError:
        if error.errno in _CLOSED:
            return LinkError(f"{self.description}: the other end has closed ({error.strerror})")
        return LinkError(f"{self.description}: {error.strerror}")


def open_path(path: str) -> StreamTransport:
    """Opens a terminal, pseudo-terminal or symbolic link to one, raw and without echo.

    What arrived before is discarded.

    Raises:
      LinkError: there is no such path, it is not a terminal, or it may not be opened.
    """
    try:
        descriptor = os.open(Path(path), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise LinkError(f"{path} could not be opened: {error.strerror}") from error
    try:
        make_raw(descriptor)
        termios.tcflush(descriptor, termios.TCIFLUSH)
    except termios.error as error:
        os.close(descriptor)
        raise LinkError(f"{path} is not a terminal; give the path of a serial device or pty") from error
    return StreamTransport(descriptor, path)


def make_raw(descriptor: int) -> None:
    """Puts a terminal into raw mode: eight bits, no echo, no flow control."""
    tty.setraw(descriptor, termios.TCSANOW)
