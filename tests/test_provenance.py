"""The command that a result names is one that a person would type."""

from __future__ import annotations

import sys

import pytest

from haltere.tools import provenance


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["/somewhere/bin/haltere", "train", "car", "--seed", "1"], "haltere train car --seed 1"),
        (["/somewhere/tools/__main__.py", "train", "car"], "haltere train car"),
        (["haltere", "train", "car", "--output", "/tmp/x", "--scale", "2"], "haltere train car --scale 2"),
        (["haltere", "train", "car", "--output=/tmp/x"], "haltere train car"),
        (["haltere", "train", "car", "--output"], "haltere train car"),
    ],
)
def test_a_command_without_its_folder(typed: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", typed)
    assert provenance.command(without="--output") == told


def test_a_whole_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["haltere", "bench", "hybrid", "--json", "a b.json"])
    assert provenance.command() == "haltere bench hybrid --json 'a b.json'"
