"""Frames: COBS( id u8 · sequence u8 · time_us u32 · payload · crc32 u32 ) 0x00."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from haltere.firmware_bridge.link.messages import MAX_WIRE_SIZE, MESSAGES, Buffer, Hello, Message
from haltere.policies.errors import FrameError

_HEADER = struct.Struct("<BBI")
_CRC = struct.Struct("<I")
_OVERHEAD = _HEADER.size + _CRC.size


def encode(message: Message, sequence: int, time_us: int) -> bytes:
    """Returns the frame of a message, as it goes onto the wire.

    Args:
      message: the message.
      sequence: the sender's frame counter; taken modulo 2⁸.
      time_us: the sender's monotonic clock, in microseconds; taken modulo 2³².
    Raises:
      FrameError: a field does not fit into its type on the wire.
    """
    size = message.STRUCT.size
    body = bytearray(size + _OVERHEAD)
    _HEADER.pack_into(body, 0, message.ID, sequence & 0xFF, time_us & 0xFFFFFFFF)
    try:
        message.pack_into(body, _HEADER.size)
    except (struct.error, OverflowError) as error:
        raise FrameError(f"{message} does not fit onto the wire: {error}") from error
    _CRC.pack_into(body, size + _HEADER.size, zlib.crc32(memoryview(body)[: size + _HEADER.size]))
    encoded: bytes = cobs.encode(body)
    return encoded + b"\0"


@dataclass(slots=True)
class FrameCounts:
    """What a decoder has seen.

    Attributes:
      received: good frames.
      lost: frames missing from the sequence of the good ones (a dropped frame is one of them).
      cobs: dropped, because COBS could not be undone.
      length: dropped, because the length is not that of the message.
      crc: dropped, because the CRC disagrees.
      unknown: dropped, because no message has this id.
      oversize: dropped, because longer than any message.
    """

    received: int = 0
    lost: int = 0
    cobs: int = 0
    length: int = 0
    crc: int = 0
    unknown: int = 0
    oversize: int = 0

    @property
    def dropped(self) -> int:
        """All frames that were dropped."""
        return self.cobs + self.length + self.crc + self.unknown + self.oversize


class FrameDecoder:
    """Finds the good frames in a stream of bytes; drops and counts the others, and never raises.

    Memory is bounded by the longest frame. `counts` tells what was seen.
    """

    def __init__(self) -> None:
        self.counts = FrameCounts()
        self._partial = b""
        self._oversize = False
        self._next_sequence = -1

    def feed(self, data: Buffer) -> list[tuple[Message, int, int]]:
        """Takes received bytes.

        Args:
          data: any number of bytes, cut anywhere.
        Returns:
          (message, sequence, time_us) of every good frame that these bytes complete.
        """
        received: list[tuple[Message, int, int]] = []
        *complete, rest = bytes(data).split(b"\0")
        for chunk in complete:
            self._append(chunk)
            encoded, self._partial = self._partial, b""
            if self._oversize:
                self._oversize = False
            elif encoded and (frame := self._decode(encoded)):
                received.append(frame)
        self._append(rest)
        return received

    def _append(self, chunk: bytes) -> None:
        if self._oversize:
            return
        if len(self._partial) + len(chunk) < MAX_WIRE_SIZE:
            self._partial += chunk
        else:
            self._oversize, self._partial = True, b""
            self.counts.oversize += 1

    def _decode(self, encoded: bytes) -> tuple[Message, int, int] | None:
        try:
            body = cobs.decode(encoded)
        except cobs.DecodeError:
            self.counts.cobs += 1
            return None
        size = len(body) - _OVERHEAD
        if size < 0:
            self.counts.length += 1
            return None
        if zlib.crc32(body[: -_CRC.size]) != _CRC.unpack_from(body, size + _HEADER.size)[0]:
            self.counts.crc += 1
            return None
        identifier, sequence, time_us = _HEADER.unpack_from(body)
        kind = MESSAGES.get(identifier)
        if kind is None:
            self.counts.unknown += 1
            return None
        if size != kind.STRUCT.size:
            self.counts.length += 1
            return None
        self._count(kind is Hello, sequence)
        return kind.unpack_from(body, _HEADER.size), sequence, time_us

    def _count(self, restart: bool, sequence: int) -> None:
        """Counts a good frame, and those missing before it; a hello may come from a restarted sender."""
        self.counts.received += 1
        if self._next_sequence >= 0 and not restart:
            self.counts.lost += (sequence - self._next_sequence) & 0xFF
        self._next_sequence = (sequence + 1) & 0xFF
