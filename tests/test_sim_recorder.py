"""The log: what is written comes back, also after the process was killed or the file was torn."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from haltere.policies.errors import ConfigError
from haltere.sim.log import SCHEMAS
from haltere.sim.recorder import Recorder, read_log
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State

ROW = """
import itertools, numpy as np, sys, time
from haltere.sim.recorder import Recorder
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State
recorder = Recorder(sys.argv[1], "x500")
for tick in itertools.count():
    state = State(tick * 0.01, np.full(3, tick * 1.0), np.eye(4)[0], np.zeros(3), np.zeros(3), np.zeros(4))
    recorder.record(state, Setpoint(np.zeros(3), np.zeros(3), np.zeros(3), 0.0), np.zeros(4))
    if tick >= 100:
        print(tick, flush=True)
    time.sleep(0.002)
"""


def record(recorder, rows=120):
    generator = np.random.default_rng(0)
    for tick in range(rows):
        number = generator.standard_normal
        state = State(0.01 * tick, number(3), number(4), number(3), number(3), number(4))
        mode = "SLOW" if 40 <= tick < 60 else "FAST"
        trip = None if tick % 10 == 0 else 1e-3 * tick
        recorder.record(state, Setpoint(number(3), number(3), number(3), 0.3), number(4), mode, trip)


def assert_same(a, b, rows=None):
    for name in (
        "position_world_m", "quat_wxyz", "velocity_world_m_s", "angular_velocity_body_rad_s",
        "rotor_speed", "reference_position_world_m", "reference_velocity_world_m_s", "reference_yaw_rad",
        "action", "round_trip_s",
    ):  # fmt: skip
        assert np.array_equal(getattr(a, name)[:rows], getattr(b, name)[:rows], equal_nan=True), name
    assert a.time_s[:rows] == pytest.approx(b.time_s[:rows], abs=1e-9)
    assert a.mode[:rows] == b.mode[:rows]


def test_what_is_written_comes_back(tmp_path):
    with Recorder(tmp_path / "flight.mcap", "x500", {"seed": "3"}) as recorder:
        record(recorder)
    flight = read_log(tmp_path / "flight.mcap")
    assert flight.finished
    assert flight.vehicle == "x500"
    assert len(flight) == 120
    assert_same(flight, recorder.flight())
    assert flight.spans() == [
        (0.0, pytest.approx(0.4), "FAST"),
        (pytest.approx(0.4), pytest.approx(0.6), "SLOW"),
        (pytest.approx(0.6), pytest.approx(1.19), "FAST"),
    ]


def test_the_log_is_indexed_and_follows_its_own_schemas(tmp_path):
    with Recorder(tmp_path / "flight.mcap", "x500", {"seed": "3"}) as recorder:
        record(recorder)
    with (tmp_path / "flight.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert {channel.topic for channel in summary.channels.values()} == set(SCHEMAS)
        assert summary.statistics.message_count == 120 * 7 + 108
        assert len(summary.chunk_indexes) > 10
        assert [m.metadata for m in reader.iter_metadata()] == [{"seed": "3", "vehicle": "x500"}]
        for schema, channel, message in reader.iter_messages():
            assert channel.message_encoding == "json"
            properties = json.loads(schema.data)["properties"]
            content = json.loads(message.data, parse_constant=pytest.fail)
            assert list(content) == list(properties)
            for name, value in content.items():
                if isinstance(value, dict):
                    assert list(value) == list(properties[name]["properties"])


def test_a_number_that_is_not_finite_stays_valid_json(tmp_path):
    with Recorder(tmp_path / "flight.mcap") as recorder:
        record(recorder, 1)
        state = State(0.01, np.zeros(3), np.eye(4)[0], np.zeros(3), np.zeros(3), np.zeros(4))
        hold = Setpoint(np.zeros(3), np.zeros(3), np.zeros(3), 0.0)
        recorder.record(state, hold, [np.nan, np.inf, 0.0, 1.0], "SAFE")
    action = read_log(tmp_path / "flight.mcap").action[1]
    assert np.isnan(action[:2]).all()
    assert action[2:].tolist() == [0.0, 1.0]


def test_a_killed_process_loses_at_most_100_ms(tmp_path):
    path = tmp_path / "killed.mcap"
    process = subprocess.Popen([sys.executable, "-c", ROW, path], stdout=subprocess.PIPE, text=True)
    for _ in range(25):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    printed = process.stdout.read().split()
    process.stdout.close()
    last = int(printed[-1]) if printed else last
    flight = read_log(path)
    assert not flight.finished
    assert flight.time_s[-1] >= 0.01 * last - 0.1
    assert np.array_equal(flight.position_world_m[:, 0], np.arange(len(flight)))
    assert flight.vehicle == "x500"


def test_a_log_torn_anywhere_gives_what_is_whole(tmp_path):
    with Recorder(tmp_path / "whole.mcap", "x500") as recorder:
        record(recorder, 40)
    whole = (tmp_path / "whole.mcap").read_bytes()
    torn = tmp_path / "torn.mcap"
    read = []
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        torn.write_bytes(whole[:length])
        try:
            flight = read_log(torn)
        except ConfigError:
            read.append(0)
            continue
        assert_same(flight, recorder.flight(), len(flight))
        read.append(len(flight))
    assert read == sorted(read)
    assert read[-1] == 40


@pytest.mark.parametrize("content", [b"", b"t,x,y,z\n0,0,0,1\n", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n" + b"\xff" * 99])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"other\.mcap"):
        read_log(path)


def test_paths_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_log(tmp_path / "none.mcap")
    with pytest.raises(ConfigError, match="cannot be written"):
        Recorder(Path(tmp_path / "no folder" / "flight.mcap"))


def test_without_a_path_it_only_remembers():
    recorder = Recorder(vehicle="x500")
    record(recorder, 5)
    recorder.close()
    assert len(recorder.flight()) == 5
