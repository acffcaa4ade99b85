"""Compiles C source with whatever C compiler is there: `$CC`, `cc`, or the `ziglang` wheel's `zig cc`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from haltere.policies.errors import BuildError

C99 = ("-std=c99", "-Wall", "-Wextra", "-Werror")


def compiler() -> list[str]:
    """Returns the command of a C compiler.

    Raises:
      BuildError: there is none.
    """
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    if found := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BuildError("no C compiler found: set CC, install gcc or clang, or `pip install ziglang`")


def cache_dir() -> Path:
    """Returns the folder of compiled files (`$HALTERE_CACHE`, else the user's cache folder)."""
    base = os.environ.get("HALTERE_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "haltere"


def build(
    name: str,
    sources: Sequence[Path],
    flags: Sequence[str] = ("-O2",),
    libraries: Sequence[str] = (),
    shared: bool = False,
) -> Path:
    """Compiles sources into a program or shared library, once for each content.

    Headers beside the sources count as part of the content, so that a changed header compiles anew.

    Args:
      name: file name of the result, without extension.
      sources: the `.c` files.
      flags: compiler flags besides the C99 and warning ones.
      libraries: linker flags.
      shared: build a shared library.
    Returns:
      Path of the program or library.
    Raises:
      BuildError: the compiler failed; the message has its output.
    """
    command = [*compiler(), *C99, *flags]
    if shared:
        command += ["-shared", "-fPIC", "-Wl,-Bsymbolic"]
    digest = hashlib.sha256(repr((command, libraries)).encode())
    folders = sorted({source.parent for source in sources})
    for path in [*sources, *(header for folder in folders for header in sorted(folder.glob("*.h")))]:
        digest.update(path.name.encode() + path.read_bytes())
    target = cache_dir() / f"{name}-{digest.hexdigest()[:16]}{'.so' if shared else ''}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    command += ["-o", scratch, *map(str, sources), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        Path(scratch).unlink(missing_ok=True)
        raise BuildError(f"compiling {name} failed: {shlex.join(command)}\n{done.stderr.strip()}")
    os.chmod(scratch, 0o755)
    os.replace(scratch, target)
    return target
