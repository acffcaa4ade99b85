"""Which line joins the simulated flight controller and the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from haltere.policies.errors import ConfigError

SLOW_BAUD = 230_400
SLOW_SETPOINT_PERIOD_US = 50_000
WIRE_FAULTS = ("baud_b", "flip_every", "drop_every")


@dataclass(frozen=True)
class LinkUri:
    """A parsed `--link`.

    Attributes:
      kind: `pty`, `tcp` or `serial`.
      target: empty, `HOST:PORT`, or the device.
      baud: of the line; 0 is as fast as it goes.
      faults: options of the simulated serial line that break it on purpose.
    """

    kind: str
    target: str
    baud: int
    faults: tuple[str, ...] = ()

    @property
    def setpoint_period_us(self) -> int:
        """Least time between setpoints: a slow line has no room for one with each state."""
        return SLOW_SETPOINT_PERIOD_US if 0 < self.baud <= SLOW_BAUD else 0

    def wire_s(self, size: int) -> float:
        """Time that `size` bytes take on the line, s (ten bits a byte)."""
        return 10 * size / self.baud if self.baud else 0.0


def parse_link(uri: str) -> LinkUri:
    """Reads a link's URI.

    Args:
      uri: `pty:?baud=921600` (a simulated serial line), `pty:` (as fast as it goes), with faults as in
        `pty:?baud=921600&flip_every=2000` (flips a bit of each 2000th byte; also `drop_every`, and `baud_b`
        for another speed at the runtime's end),
        `tcp://127.0.0.1:5760`, or `serial:/dev/ttyUSB0?baud=921600` (the runtime is on a board).
    Raises:
      ConfigError: it is none of these.
    """
    parts = urlsplit(uri)
    forms = "pty:?baud=921600, pty:, tcp://127.0.0.1:5760 or serial:/dev/ttyUSB0?baud=921600"
    options = parse_qs(parts.query)
    baud = options.pop("baud", ["0" if parts.scheme != "serial" else "921600"])[-1]
    faults: list[str] = []
    for name in WIRE_FAULTS if parts.scheme == "pty" else ():
        value = options.pop(name, ["0"])[-1]
        if not value.isdigit():
            raise ConfigError(f"--link {uri}: {name} {value} is not a whole number")
        if int(value):
            faults += f"--{name.replace('_', '-')}", value
    if options:
        raise ConfigError(f"--link {uri}: unknown option {', '.join(options)}; expected {forms}")
    if not baud.isdigit() or (baud != "0" and int(baud) < 1200):
        raise ConfigError(f"--link {uri}: baud {baud} is not a whole number from 1200 up (or 0: unpaced)")
    target = parts.netloc or parts.path
    if parts.scheme not in ("pty", "tcp", "serial") or (parts.scheme == "pty") == bool(target):
        raise ConfigError(f"--link {uri}: expected {forms}")
    if parts.scheme == "tcp" and int(baud):
        raise ConfigError(f"--link {uri}: TCP has no baud; expected {forms}")
    return LinkUri(parts.scheme, target, int(baud), tuple(faults))
