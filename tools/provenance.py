"""Where a result came from: command, commit, machine, date."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path


def commit() -> str:
    """The checkout's commit, with `+` when files but the records were changed; `unknown` outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)tests/records")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def command(without: str | None = None) -> str:
    """The command line, as a person would type it.

    Args:
      without: an option that is left out with its value, as `--output` where the folder says nothing of the result.
    """
    name, words = Path(sys.argv[0]).name, iter(sys.argv[1:])
    kept = []
    for word in words:
        if word == without:
            next(words, None)
        elif without is None or not word.startswith(f"{without}="):
            kept.append(word)
    return shlex.join(["haltere" if name == "__main__.py" else name, *kept])


def machine() -> str:
    """Processor and cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def today() -> str:
    """Today's date, ISO 8601."""
    return datetime.date.today().isoformat()
