"""The file of the walker's values by Hamilton-Jacobi reachability: arrays of an `.npz`.

`target` (G, 4) float32: the gaits' post-impact states; `value` (G, n, n, n, n) float16: distances, units mixed; `box`
(2, 4) float32: corners of the grid. With 31 nodes that is some 15 MB.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.baselines import walker_reach
from haltere.policies.hybrid.baselines.walker_reach import HIGH, LOW, NODES, Reach

BOX = np.array([LOW, HIGH], np.float32)
HINT = "name a file that is not there, and it is solved and written"


def read_or_solve(path: Path, status: Callable[[str], None], nodes: int = NODES) -> Reach:
    """Reads a file; where there is none, solves and writes it.

    Args:
      path: of the file.
      status: told how far the solving is.
      nodes: along each axis, when it is solved.
    Raises:
      ConfigError: the file cannot be written, which is tried before the solving, or what is there is no such file.
    """
    if not path.exists():
        _prepare(path)
        write(path, walker_reach.solve_all(status, nodes))
    return read(path)


def write(path: Path, reach: Reach) -> Path:
    """Writes gaits and values; the file is there as a whole or not at all.

    Raises:
      ConfigError: it cannot be written.
    """
    part = _prepare(path)
    target, value = np.asarray(reach.target, np.float32), np.asarray(reach.value, np.float16)
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, target=target, value=value, box=BOX)
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def read(path: Path) -> Reach:
    """Reads a file back.

    Raises:
      ConfigError: it cannot be read, or it is not of these gaits, this grid or this shape.
    """
    try:
        with np.load(path) as arrays:
            target, value, box = (np.asarray(arrays[name], np.float32) for name in ("target", "value", "box"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        why = f" ({error})" if isinstance(error, (OSError, KeyError)) else ""
        raise ConfigError(f"cannot read {path}: expected an .npz with target, value and box{why}; {HINT}") from error
    wanted = walker_reach.targets()
    if not _same(target, wanted) or not _same(box, BOX):
        raise ConfigError(f"{path}: expected the gaits and the grid of this version, got others; {HINT}")
    nodes = value.shape[-1] if value.ndim else 0
    if nodes < 2 or value.shape != (len(wanted), *(nodes,) * 4) or not np.isfinite(value).all():
        shape = f"({len(wanted)}, n, n, n, n)"
        raise ConfigError(f"{path}: expected finite values of shape {shape}, got {value.shape}; {HINT}")
    return Reach(jnp.asarray(target), jnp.asarray(value))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, atol=1e-6)


def _prepare(path: Path) -> Path:
    """The file beside it that is written first."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise _unwritable(path, error) from error
    return part


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}; name a file in a folder that can be written")
