"""One end of a link: who is at the other end, which version it speaks, and when it was last heard."""

from __future__ import annotations

import time

from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import SCHEMA_HASH, Buffer, Fault, FaultCode, Hello, Message, Role
from haltere.firmware_bridge.link.transport import Transport

HELD_S = 0.1
"""A session that was heard within this time is not given to another client."""


class Session:
    """The runtime's side of a session with one flight controller.

    Attributes:
      peer: the hello of the flight controller, or None when there is no session.
      refused: how many hellos were refused (version, second client).
      decoder: counts good and bad frames.

    Args:
      transport: an open line.
      name: of the policy, told in the hello.
      native_rate_hz: of the policy.
    """

    def __init__(self, transport: Transport, name: str, native_rate_hz: float) -> None:
        self.transport = transport
        self.peer: Hello | None = None
        self.refused = 0
        self.decoder = FrameDecoder()
        self._hello = Hello(SCHEMA_HASH, Role.RUNTIME, time.monotonic_ns() & 0xFFFFFFFF, round(native_rate_hz), name)
        self._sequence = 0
        self._heard_s = -1e9

    def receive(self, timeout_s: float) -> list[tuple[Message, int, int]]:
        """Waits for messages.

        Raises:
          LinkError: the line has closed.
        """
        return self.decode(self.transport.read(timeout_s))

    def decode(self, data: Buffer) -> list[tuple[Message, int, int]]:
        """Decodes received bytes: (message, sequence, time_us) of each good frame."""
        return self.decoder.feed(data) if data else []

    def send(self, message: Message) -> None:
        """Sends a message; a line that is full drops it.

        Raises:
          LinkError: the line has closed.
        """
        self.transport.write(encode(message, self._sequence, time.monotonic_ns() // 1000))
        self._sequence = (self._sequence + 1) & 0xFF

    def heard(self, now_s: float) -> None:
        """Notes that the flight controller was heard."""
        self._heard_s = now_s

    def silent_s(self, now_s: float) -> float:
        """How long nothing was heard, in seconds."""
        return now_s - self._heard_s

    def greet(self, hello: Hello, now_s: float) -> bool:
        """Answers a hello.

        Returns:
          True if this begins a new session; False for the present one, and for one that is refused because
          of its version or because another client is flying.
        """
        if hello.role != Role.FLIGHT_CONTROLLER:
            return False
        if hello.schema_hash != SCHEMA_HASH:
            self.refused += 1
            text = f"schema {hello.schema_hash:08x}, need {SCHEMA_HASH:08x}"
            self.send(Fault(FaultCode.VERSION_MISMATCH, SCHEMA_HASH, text))
            return False
        same = self.peer is not None and self.peer.session_id == hello.session_id
        if self.peer is not None and not same and self.silent_s(now_s) < HELD_S:
            self.refused += 1
            self.send(Fault(FaultCode.BUSY, self.peer.session_id, f"flying {self.peer.name}"))
            return False
        self.peer = hello
        self.heard(now_s)
        self.send(self._hello)
        return not same

    def end(self) -> None:
        """Forgets the flight controller."""
        self.peer = None
