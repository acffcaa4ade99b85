"""The C programs and libraries of this folder, compiled when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from haltere.policies.native import build

_FOLDER = Path(__file__).parent
_CLIENT = ("haltere_frame.c", "haltere_client.c", "attitude_hold.c")
OPTIMISED = ("-O2",)


def client_sources() -> list[Path]:
    """Returns the sources that a flight controller compiles in."""
    return [_FOLDER / name for name in _CLIENT]


def client_library(flags: Sequence[str] = OPTIMISED) -> Path:
    """Returns the client as a shared library, for tests through ctypes.

    Raises:
      BuildError: it does not compile.
    """
    return build("haltere_client", client_sources(), flags, shared=True)


def flight_controller_program(flags: Sequence[str] = OPTIMISED) -> Path:
    """Returns the simulated flight controller, which has the simulator on its standard input and output.

    Raises:
      BuildError: it does not compile.
    """
    own = [_FOLDER / name for name in ("flight_controller.c", "flight_controller_options.c", "port.c")]
    return build("haltere_flight_controller", [*own, *client_sources()], flags)


def wire_program(flags: Sequence[str] = OPTIMISED) -> Path:
    """Returns the simulated serial line between two pseudo-terminals.

    Raises:
      BuildError: it does not compile.
    """
    return build("haltere_wire", [_FOLDER / "wire.c"], flags)
