"""The cores of this machine, and those of several machines, as JAX devices."""

from __future__ import annotations

import os

from haltere.policies.errors import ConfigError


def use_every_core() -> int:
    """Makes each core a device of its own; must be called before JAX is imported. Returns their number."""
    devices = os.cpu_count() or 1
    os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={devices}")
    return devices


def join_hosts(coordinator: str | None, hosts: int, host: int) -> bool:
    """Makes the devices of several hosts one program's; waits for all of them.

    Args:
      coordinator: HOST:PORT of the first host, or None for a machine alone.
      hosts: how many.
      host: which of them this is, from 0.
    Returns:
      Whether this is the first, which writes the files.
    Raises:
      ConfigError: the numbers do not fit, or the others do not come.
    """
    if coordinator is None:
        if hosts > 1 or host:
            raise ConfigError("--hosts and --host need --coordinator HOST:PORT")
        return True
    if host >= hosts:
        raise ConfigError(f"--host {host} of --hosts {hosts}: expected 0 to {hosts - 1}")
    import jax

    try:
        jax.distributed.initialize(coordinator, hosts, host)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"cannot join {hosts} hosts at {coordinator}: {error}") from error
    return host == 0
