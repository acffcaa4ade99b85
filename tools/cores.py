"""The cores of this machine as JAX devices."""

from __future__ import annotations

import os


def use_every_core() -> int:
    """Makes each core a device of its own; must be called before JAX is imported. Returns their number."""
    devices = os.cpu_count() or 1
    os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={devices}")
    return devices
