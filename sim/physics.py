"""One PyBullet client without a window, and without PyBullet's greeting."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def _silent() -> Iterator[None]:
    """Drops what C code prints on standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silent():
    import pybullet


class Physics:
    """PyBullet's functions, bound to a client of their own; each is looked up once."""

    def __init__(self) -> None:
        self._client: int = pybullet.connect(pybullet.DIRECT)
        # PyBullet has room for some thousand clients, so a forgotten one must not stay.
        self._release = weakref.finalize(self, pybullet.disconnect, physicsClientId=self._client)

    def __getattr__(self, name: str) -> Any:
        """Returns PyBullet's function of that name for this client, or its constant."""
        attribute = getattr(pybullet, name)
        if callable(attribute):
            attribute = partial(attribute, physicsClientId=self._client)
        setattr(self, name, attribute)
        return attribute

    def close(self) -> None:
        """Frees the client; a second call does nothing."""
        self._release()
