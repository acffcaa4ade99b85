"""The `haltere` command in the test's own process: starting one takes seconds."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from haltere.tools import cli


class Done(NamedTuple):
    """What a command left: its exit code, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Haltere:
    """Runs `haltere` with arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capture = monkeypatch, capture

    def __call__(self, *arguments: str) -> Done:
        self.monkeypatch.setattr(sys, "argv", ["haltere", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(int(ended.value.code or 0), *self.capture.readouterr())
