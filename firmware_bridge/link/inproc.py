"""A transport between two ends in one process."""

from __future__ import annotations

import socket

from haltere.firmware_bridge.link.stream import StreamTransport
from haltere.policies.errors import LinkError

_waiting: dict[str, StreamTransport] = {}


def pair(name: str = "") -> tuple[StreamTransport, StreamTransport]:
    """Returns the two ends of a line in this process."""
    ends = socket.socketpair()
    first, second = (
        StreamTransport(end.detach(), f"inproc:{name} ({side} end)")
        for end, side in zip(ends, ("first", "second"), strict=True)
    )
    return first, second


def open_inproc(name: str) -> StreamTransport:
    """Returns one end of the line with this name: the first call makes it, the second gets the other end.

    Raises:
      LinkError: the name is empty.
    """
    if not name:
        raise LinkError("inproc: needs a name that both ends give, such as inproc:bench")
    if name in _waiting:
        return _waiting.pop(name)
    first, _waiting[name] = pair(name)
    return first
