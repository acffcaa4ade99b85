"""What the runtime leaves behind: percentiles of its latency, and the black box."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime_line import STEP_US, Line, StandIn, setpoint, state

from haltere.firmware_bridge.link.messages import (
    LifeCycle,
    Mode,
    StatusFlag,
)
from haltere.firmware_bridge.runtime.black_box import RECORD, BlackBox, read_black_box
from haltere.firmware_bridge.runtime.latency import LatencyHistogram
from haltere.policies.errors import ConfigError


@pytest.mark.parametrize("scale", [3.0, 300.0, 50_000.0])
def test_percentiles_are_those_of_numpy(scale: float) -> None:
    values_us = scale * np.random.default_rng(1).lognormal(0, 0.8, 5000)
    histogram = LatencyHistogram()
    for value in values_us:
        histogram.add(round(1000 * value))
    assert histogram.count == 5000
    assert histogram.max_us == pytest.approx(values_us.max(), abs=1e-3)
    for percent in (1, 50, 90, 99, 99.9):
        exact = max(1.0, float(np.percentile(values_us, percent)))
        assert exact * 0.99 <= histogram.percentile_us(percent) <= exact * 1.08
    assert histogram.percentile_us(100) == histogram.max_us


def test_a_histogram_takes_anything() -> None:
    histogram = LatencyHistogram()
    assert histogram.percentile_us(50) == 0.0
    for value_ns in (0, 999, 10**12):
        histogram.add(value_ns)
    assert histogram.count == 3
    assert histogram.max_us == 1e9


def test_the_black_box_holds_each_answer(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "black_box.bin"
    line = Line(StandIn([0.5] * 4), BlackBox(path, 8)).begin(setpoint())
    for i in range(1, 12):
        line.answer(state(i * STEP_US, position_world_m=(1.0 + i, -2.0, math.nan if i == 9 else 3.0)))
        line.give_bytes(b"garbage\0")
    records = read_black_box(path)
    assert list(records["index"]) == list(range(4, 12))
    assert list(records["state_valid_us"]) == [i * STEP_US for i in range(4, 12)]
    assert list(records["mode"]) == [Mode.SAFE if i == 9 else Mode.FAST for i in range(4, 12)]
    assert records["status"][5] & StatusFlag.NONFINITE_STATE
    assert list(records["frames_dropped"]) == list(range(3, 11))
    assert records["observation"][-1] == pytest.approx(line.runtime._reflex.observation)
    assert records["action"][-1] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert set(records["life_cycle"]) == {LifeCycle.ACTIVE}
    assert np.all(np.diff(records["time_ns"].astype(np.int64)) > 0)
    line.close()


def test_a_restart_keeps_the_black_box_of_the_run_before(tmp_path: Path) -> None:
    path = tmp_path / "black_box.bin"
    for valid_us in (1, 2):
        box = BlackBox(path, 4)
        box.write(5, valid_us, 0, 0, 0, 0, 0, np.zeros(22, np.float32), [0.0] * 4)
    assert list(read_black_box(path)["state_valid_us"]) == [2]
    assert list(read_black_box(tmp_path / "black_box.bin.previous")["state_valid_us"]) == [1]


def test_a_black_box_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"black box .*cannot be written"):
        BlackBox(tmp_path / "file" / "black_box.bin")


WRITER = """
import sys
from pathlib import Path
import numpy as np
from haltere.firmware_bridge.runtime.black_box import BlackBox
box = BlackBox(Path(sys.argv[1]), 64)
i = 0
while True:
    i += 1
    box.write(i, i, i, 0, 3, 0, 0, np.full(22, i, np.float32), [float(i)] * 4)
    if i % 100 == 0:
        print(i, flush=True)
"""


def test_the_black_box_survives_the_kill_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "black_box.bin"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(5)][-1]
        writer.kill()
    records = read_black_box(path)
    assert 63 <= len(records) <= 64
    assert records["index"][-1] >= told
    assert np.all(np.diff(records["index"].astype(np.int64)) == 1)
    for name in ("time_ns", "state_valid_us", "inference_ns"):
        assert np.array_equal(records[name], records["index"])
    assert np.array_equal(records["observation"][:, 21], records["index"].astype(np.float32))
    assert path.stat().st_size == 64 * RECORD.itemsize
