"""Vehicles spread over devices: the cores of one machine, its GPUs, or those of several hosts.

Arrays of vehicles are cut along their last axis, stacks of teachers along their first; weights and optimiser of the
student are everywhere. Every host runs the same program on the same seed, and holds its own share.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from haltere.policies.errors import ConfigError

AXIS = "vehicle"
EVERYWHERE = PartitionSpec()
STACKED = PartitionSpec(AXIS)


def mesh_for(count: int) -> Mesh:
    """As many devices as share `count` vehicles, or teachers, evenly; of several hosts, all.

    Raises:
      ConfigError: the devices of several hosts cannot share them evenly.
    """
    devices = jax.devices()
    number = max(n for n in range(1, len(devices) + 1) if count % n == 0)
    if jax.process_count() > 1 and number < len(devices):
        raise ConfigError(f"{len(devices)} devices on {jax.process_count()} hosts cannot share {count} evenly")
    return Mesh(np.array(devices[:number]), AXIS)


def along(leaf: jax.Array) -> PartitionSpec:
    """How an array of vehicles is cut: along its last axis."""
    return PartitionSpec(*[None] * (leaf.ndim - 1), AXIS)


def place(tree: Any, mesh: Mesh, spec: PartitionSpec | None = None) -> Any:
    """Spreads a pytree over the mesh: as `spec` says, by default along the vehicles.

    Args:
      tree: arrays, the same on every host.
      mesh: devices.
      spec: how to cut every array.
    """

    def put(leaf: Any) -> jax.Array:
        sharding = NamedSharding(mesh, along(leaf) if spec is None else spec)
        if not sharding.is_fully_addressable:
            whole = np.asarray(leaf)
            return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
        placed: jax.Array = jax.device_put(leaf, sharding)
        return placed

    return jax.tree.map(put, tree)


def collect(tree: Any) -> Any:
    """The whole of a spread pytree as NumPy arrays, on every host."""
    if jax.process_count() > 1:
        return multihost_utils.process_allgather(tree, tiled=True)
    return jax.device_get(tree)


def is_first_host() -> bool:
    """Whether this host writes the files."""
    return jax.process_index() == 0
