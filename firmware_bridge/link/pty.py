"""A pseudo-terminal that this process makes and another one opens."""

from __future__ import annotations

import os

from haltere.firmware_bridge.link.stream import StreamTransport, make_raw
from haltere.policies.errors import LinkError


class PtyTransport(StreamTransport):
    """The making end of a pseudo-terminal; like a serial line, it does not notice who is at the far end.

    Attributes:
      path: what the other end opens.
    """

    def __init__(self) -> None:
        try:
            near, self._far = os.openpty()
        except OSError as error:
            raise LinkError(f"no pseudo-terminal could be made: {error.strerror}") from error
        make_raw(self._far)
        self.path = os.ttyname(self._far)
        # The far end stays open here too, so that whoever opens it can come and go.
        super().__init__(near, f"pty:{self.path}", lambda: os.close(self._far))
        print(self.path, flush=True)
