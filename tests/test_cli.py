"""The command line: help that teaches, errors that help, a record that can be read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import Haltere

from haltere.policies.zoo.shipped import CAR, FOUNDATION, QUADROTOR
from haltere.tools.bench.table import Rows, as_markdown, write_record


@pytest.mark.parametrize(
    ("arguments", "code", "says"), [(["--version"], 0, "haltere 0."), (["fly", "--day"], 2, "--day")]
)
def test_the_command_itself(arguments: list[str], code: int, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haltere.tools", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "teaches"),
    [
        ([], "fly"),
        (["fly"], "--payload-drop"),
        (["serve"], "serial:/dev/NAME"),
        (["train", "foundation"], "two cores"),
        (["train", "car"], "Lyapunov"),
        (["train", "pogobot"], "apex"),
        (["train", "walker"], "impact"),
        (["train", "quadrotor"], "foundation"),
        (["bench", "hybrid"], "icy"),
        (["bench", "hybrid"], "Hamilton-Jacobi"),
        (["bench", "quadrotor"], "Lyapunov"),
        (["certify"], "contracts"),
        (["run"], "springy"),
        (["export"], "--raptor"),
        (["bench", "foundation"], "--check"),
        (["bench", "runtime"], "--json"),
        (["info"], "golden"),
        (["fpga", "test"], "--coverage"),
        (["fpga", "synth"], "XC7Z020"),
        (["fpga", "build"], "--board"),
        (["fpga", "energy"], "--constants"),
        (["fpga", "train"], "--seeds"),
        (["bench", "gating"], "--constants"),
    ],
)
def test_help_teaches(haltere: Haltere, command: list[str], teaches: str) -> None:
    done = haltere(*command, "--help")
    assert done.returncode == 0
    assert teaches in done.stdout


@pytest.mark.parametrize("name", ["car", "pogobot", "walker", "quadrotor"])
def test_info_shows_a_hybrid_controller(haltere: Haltere, name: str) -> None:
    done = haltere("info", str(FOUNDATION.with_name(f"{name}.onnx")))
    assert done.returncode == 0, done.stderr
    assert "golden vectors: 64 states" in done.stdout
    assert "haltere.hybrid/1" in done.stdout


def test_info_shows_the_card(haltere: Haltere) -> None:
    done = haltere("info")
    assert done.returncode == 0
    for text in ("haltere.quadrotor/5", "position_error", "front-right", "golden vectors", "seed"):
        assert text in done.stdout


def test_export_writes_c(haltere: Haltere, tmp_path: Path) -> None:
    done = haltere("export", "-o", str(tmp_path / "c"))
    assert done.returncode == 0
    assert (tmp_path / "c" / "haltere_policy.h").exists()


def test_raptor_can_be_exported_and_loaded(haltere: Haltere, tmp_path: Path) -> None:
    path = tmp_path / "raptor.onnx"
    assert haltere("export", "--raptor", "-o", str(path)).returncode == 0
    assert "foundation-policy" in haltere("info", str(path)).stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["info", "nowhere.onnx"], "cannot read nowhere.onnx"),
        (["serve", "nonsense:"], "unknown kind of link"),
        (["fpga", "test", "nonsense"], "the benches are clock_gate"),
        (["serve", "tcp://127.0.0.1"], "port is missing"),
        (["fly", "--vehicle", "x5000"], "x500"),
        (["fly", "--trajectory", "figure-nine"], "did you mean 'figure-eight'"),
        (["fly", "--link", "usb:1"], "serial:/dev/ttyUSB0"),
        (["fly", "--worn-propeller", "two"], "ROTOR:EFFICIENCY"),
        (["fly", "--worn-propeller", "7:0.5"], "numbered 0 to 3"),
        (["certify", "nowhere.onnx"], "cannot read nowhere.onnx"),
        (["certify", str(CAR), "--configuration", "1,10"], "expected three numbers"),
        (["certify", str(QUADROTOR)], "is of quadrotor: expected a file of car, pogobot, walker or policy"),
        (["certify", "quadrotor", "--configuration", "x501"], "neither a TOML file nor a shipped vehicle"),
        (["certify", "toy", "--configuration", "-1"], "dwell_s is -1: expected more than 0"),
        (["train", "foundation", "--recipe", "nowhere.toml"], "cannot read the recipe"),
        (["train", "foundation", "--seed", str(2**32)], "4294967295"),
        (["fpga", "energy", "--constants", "/dev/null"], "[flip_flops] is missing"),
    ],
)
def test_errors_say_what_to_do(haltere: Haltere, command: list[str], says: str, tmp_path: Path) -> None:
    extra = ["--output", str(tmp_path)] if command[0] == "fly" else []
    done = haltere(*command, *extra)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_slow_switching_is_proved_and_fast_switching_is_not(haltere: Haltere) -> None:
    done = haltere("certify", "toy")
    assert done.returncode == 0
    assert "25: proved" in done.stdout
    done = haltere("certify", "toy", "--configuration", "0.1")
    assert done.returncode == 1
    assert "a switch lands disproved" in done.stdout


def test_bench_rows_know_what_was_asked(tmp_path: Path) -> None:
    rows = Rows()
    rows.at_most("error", "ours", 0.5, "m", 1.0)
    rows.at_least("stable", "ours", 90.0, "%", 95.0)
    rows.near("error", "theirs", float("nan"), "m", 1.0, 0.1)
    rows.add("free", "ours", 3.0, "1")
    assert [row.measure for row in rows.failed] == ["stable", "error"]
    assert "**no**" in as_markdown("x", rows)
    write_record("x", rows, 7, tmp_path / "x.json")
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["bench"] == "x"
    assert record["seed"] == 7
    assert {"measure", "method", "value", "unit", "asked", "met"} == record["rows"][0].keys()
