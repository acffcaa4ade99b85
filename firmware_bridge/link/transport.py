"""Transports: what carries a link's bytes, chosen by URI."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from haltere.firmware_bridge.link.inproc import open_inproc
from haltere.firmware_bridge.link.pty import PtyTransport
from haltere.firmware_bridge.link.serial_line import SerialTransport
from haltere.firmware_bridge.link.stream import open_path
from haltere.firmware_bridge.link.tcp import TcpListenTransport, connect_tcp
from haltere.policies.errors import LinkUriError

FORMS = (
    "inproc:NAME, pty:, pty:/dev/pts/N, /path/to/device, tcp://HOST:PORT, tcp-listen://HOST:PORT, "
    "serial:/dev/NAME?baud=921600"
)
DEFAULT_BAUD = 921_600


class Transport(Protocol):
    """One end of a line that carries bytes.

    Attributes:
      description: what it is, for people.
      dropped_writes: how many writes were dropped because the line was full or had no other end.
    """

    description: str
    dropped_writes: int

    def read(self, timeout_s: float) -> bytes:
        """Returns what has arrived, or b"" after `timeout_s` seconds without anything.

        Raises:
          LinkError: the other end has closed, or this one.
        """

    def write(self, data: bytes) -> None:
        """Sends bytes, without ever waiting: if the line has no room for any of them, all are dropped.

        If it has room for some, the rest is kept and goes first at the next call of `read` or `write`, so
        that frames stay whole.

        Raises:
          LinkError: the other end has closed, or this one.
        """

    def fileno(self) -> int:
        """Returns a file descriptor that is readable when `read` has something to do."""

    def close(self) -> None:
        """Closes this end. Closing twice is harmless."""


def open_transport(uri: str) -> Transport:
    """Opens a transport.

    Args:
      uri: one of
        `inproc:NAME` (the two calls with one name get the two ends; see also `inproc.pair`),
        `pty:` (makes a pseudo-terminal; its `path` is what the other end opens, and is printed),
        `pty:/dev/pts/N` or any path (opens a terminal or pseudo-terminal, raw),
        `tcp://HOST:PORT` (connects),
        `tcp-listen://HOST:PORT` (serves one client at a time),
        `serial:/dev/NAME?baud=921600` (a serial device, exclusively).
    Raises:
      LinkError: the URI is none of these, or it could not be opened.
    """
    if uri.startswith(("/", "./", "../")):
        return open_path(uri)
    parts = urlsplit(uri)
    if parts.scheme == "inproc":
        return open_inproc(parts.path)
    if parts.scheme == "pty":
        return open_path(parts.path) if parts.path else PtyTransport()
    if parts.scheme == "tcp":
        return connect_tcp(*_host_and_port(uri))
    if parts.scheme == "tcp-listen":
        return TcpListenTransport(*_host_and_port(uri))
    if parts.scheme == "serial":
        return SerialTransport(*_device_and_baud(uri))
    raise LinkUriError(f"{uri!r}: unknown kind of link {parts.scheme or uri!r}; use one of {FORMS}")


def _host_and_port(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError as error:
        raise LinkUriError(f"{uri!r}: wrong port ({error}); use {parts.scheme}://127.0.0.1:5760") from error
    if not parts.hostname or port is None:
        missing = "port" if parts.hostname else "host"
        raise LinkUriError(f"{uri!r}: the {missing} is missing; use {parts.scheme}://127.0.0.1:5760")
    if parts.path.strip("/") or parts.query:
        raise LinkUriError(f"{uri!r}: nothing may follow the port; use {parts.scheme}://127.0.0.1:5760")
    return parts.hostname, port


def _device_and_baud(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    form = f"use serial:/dev/ttyTHS1?baud={DEFAULT_BAUD}"
    if not parts.path or parts.netloc:
        raise LinkUriError(f"{uri!r}: the device is missing; {form}")
    options = parse_qs(parts.query, keep_blank_values=True)
    baud = options.pop("baud", [str(DEFAULT_BAUD)])[-1]
    if options:
        raise LinkUriError(f"{uri!r}: unknown option {', '.join(options)}; {form}")
    if not baud.isascii() or not baud.isdigit() or int(baud) == 0:
        raise LinkUriError(f"{uri!r}: baud {baud!r} is not a positive whole number; {form}")
    return parts.path, int(baud)
