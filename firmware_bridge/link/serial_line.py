"""A serial device as a transport."""

from __future__ import annotations

import contextlib

import serial

from haltere.firmware_bridge.link.stream import StreamTransport
from haltere.policies.errors import LinkError


class SerialTransport(StreamTransport):
    """A serial device, 8N1, opened exclusively.

    Args:
      device: path of the device.
      baud: bits per second.
    Raises:
      LinkError: the device could not be opened, or does not know the baud rate.
    """

    def __init__(self, device: str, baud: int) -> None:
        try:
            port = serial.Serial(device, baud, timeout=0, write_timeout=0, exclusive=True)
        except (serial.SerialException, ValueError, OSError) as error:
            raise LinkError(f"serial:{device}?baud={baud} could not be opened: {error}") from error
        # USB adapters otherwise hold received bytes back for up to 16 ms.
        with contextlib.suppress(ValueError, OSError, NotImplementedError):
            port.set_low_latency_mode(True)
        super().__init__(port.fileno(), f"serial:{device}?baud={baud}", port.close, owned=False)
