"""Flights through the street: on the golden model of many devices, and by `haltere fly`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Haltere

from haltere.fpga.energy import CONSTANTS, load_constants
from haltere.fpga.gate import Orders, View
from haltere.fpga.objective import EVERYTHING, SUBSETS, bursts_of, paths_of, subset_of
from haltere.fpga.paths import FLOW, GPS, IMU, LIDAR, PATHS, RADAR
from haltere.fpga.power import power_w, subset_energy, subset_power_w
from haltere.fpga.street import STREET_BURST_DUTY, STREET_RING_PART, STREET_SENSORS
from haltere.fpga.waking import timely
from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.trajectory import make_trajectory
from haltere.tools.flight.plan import FlightPlan, fly_plan
from haltere.tools.flight.region import Region
from haltere.tools.flight.street import RTL_TICK_CYCLES, StreetSenses, check_room, open_board, weather_plan
from haltere.tools.gating.comparison import the_flights
from haltere.tools.gating.faults import DRIVER, FLOOD, KINDS, NOTHING, RESET, STUCK, Faults
from haltere.tools.gating.reference import reference
from haltere.tools.gating.ring import RING_TICKS, Ring
from haltere.tools.gating.scenarios import KNOWN, NAMES, every_context, scenarios
from haltere.tools.gating.strategies import KNOWLEDGE, Strategy, build
from haltere.tools.gating.tiled import Tiled

BARE = NAMES.index("bare ground")


def test_copies_of_a_flight_have_the_same_chance() -> None:
    tiled, alone = Tiled(np.random.default_rng(0), 3), np.random.default_rng(0)
    np.testing.assert_array_equal(tiled.standard_normal((6, 2)), np.tile(alone.standard_normal((2, 2)), (3, 1)))
    np.testing.assert_array_equal(tiled.random(6), np.tile(alone.random(2), 3))


def test_flights_visit_every_context() -> None:
    flown = every_context(2, 0, (1.0, 2.0, 3.0), (KNOWN,))
    assert flown.context[:, 1].tolist() == [number for number in range(KNOWN + 1) for _ in range(2)]
    assert np.all(flown.context[:, 0] != flown.context[:, 1])
    assert np.all(flown.context[:, 1] != flown.context[:, 2])
    assert [flown.stretch_at(time) for time in (0.5, 1.0, 2.9, 3.5, 99.0)] == [0, 1, 1, 2, 2]


def test_the_reference_s_velocity_is_its_slope() -> None:
    phase, pace = np.array([[0.3, 1.0, 2.0]]), np.array([2.0])
    before, _ = reference(np.array([1.0]), phase, pace)
    after, velocity = reference(np.array([1.0 + 1e-5 * pace[0]]), phase, pace)
    np.testing.assert_allclose((after - before) / 1e-5, velocity, rtol=1e-3, atol=1e-4)


def test_more_paths_take_more() -> None:
    constants = load_constants()
    for power in (subset_power_w(constants, STREET_SENSORS, 1e8), subset_energy(constants, STREET_SENSORS, 1e8)):
        every = np.arange(SUBSETS)
        paths, bursts = paths_of(every), bursts_of(every)
        for path in range(1, len(PATHS)):
            added = paths | (np.arange(len(PATHS)) == path)
            more = subset_of(added, bursts)[~paths[:, path]]
            assert np.all(power[more] > power[every[~paths[:, path]]])
        assert np.all(power[bursts.any(axis=1)] < power[subset_of(paths, np.zeros_like(bursts))[bursts.any(axis=1)]])
    assert subset_energy(constants, STREET_SENSORS, 1e8)[EVERYTHING] == pytest.approx(1.0)
    assert set(KNOWLEDGE.values()) <= set(range(SUBSETS))


def test_the_policy_flies_on_the_estimate_and_the_gate_sees_the_weather() -> None:
    flown = scenarios([(0, BARE)], (2.0, 3.0), 0)
    gate = build(Strategy("gate", "int8"), 0, load_constants())
    log = the_flights().fly(flown, gate)
    assert np.isinf(log.crashed_s).all()
    assert log.error_m[log.time_s > 1].max() < 0.5
    late = log.time_s > 3.5
    assert (np.array(gate.contexts)[late] == BARE).mean() > 0.95
    assert not log.awake[late][..., FLOW].any()
    assert log.running[late][..., LIDAR].mean() == pytest.approx(STREET_BURST_DUTY, abs=0.05)
    assert log.running[log.time_s < 1.5][..., LIDAR].min() == 1


def test_a_path_sleeps_until_its_sensor_is_about_to_speak() -> None:
    gate, force, nothing = np.ones((2, 5), np.bool_), np.zeros((2, 5), np.bool_), np.zeros((2, 5), np.bool_)
    force[1, GPS] = True
    awake = np.ones((2, 5), np.bool_)
    awake[:, FLOW:] = False
    quiet_s = np.zeros(5)
    early = timely(Orders(gate, nothing, force), awake, quiet_s)
    np.testing.assert_array_equal(early.gate, [[True, True, True, False, True]] * 2)
    assert not early.force.any()
    quiet_s[GPS] = 0.06
    due = timely(Orders(gate, nothing, force), awake, quiet_s)
    assert due.gate.all()
    assert due.force[1, GPS]
    awake[:, GPS], quiet_s[GPS] = True, 0.0
    assert timely(Orders(gate, nothing, force), awake, quiet_s).gate.all()


class Alternating:
    """Everything on and almost nothing, in turns."""

    def decide(self, view: View) -> Orders:
        """See `Gate.decide`."""
        gate = np.ones(view.awake.shape, np.bool_)
        gate[:, IMU + 1 :] = round(view.time_s / 0.05) // 7 % 2 == 0
        return Orders(gate, np.zeros_like(gate), np.zeros_like(gate))


def test_every_path_is_valid_soon_after_its_clock_starts() -> None:
    log = the_flights().fly(scenarios([(0,)], (3.0,), 0), Alternating())
    for path, longest_s in ((FLOW, 0.02), (LIDAR, 0.04), (GPS, 0.05), (RADAR, 0.05)):
        waking_s = log.waking_s[path][:, 1]
        assert len(waking_s) >= 3
        assert waking_s.max() <= longest_s + 1e-9, PATHS[path].name


def test_the_ring_is_whole_while_everything_is_on() -> None:
    ring, awake = Ring(3), np.ones((3, 5), np.bool_)
    awake[1, GPS] = awake[2, LIDAR] = False
    for _ in range(RING_TICKS):
        ring.tick(awake)
    np.testing.assert_array_equal(ring.lit, [RING_TICKS, STREET_RING_PART * RING_TICKS, 0])
    np.testing.assert_array_equal(ring.measures, [True, True, False])
    np.testing.assert_array_equal(ring.whole, [True, False, False])
    ring.tick(np.ones((3, 5), np.bool_))
    np.testing.assert_array_equal(ring.whole, [True, False, False])


def test_half_a_ring_takes_half() -> None:
    constants, share = load_constants(), np.eye(5)[LIDAR]
    none, half, whole = (power_w(constants, STREET_SENSORS, 1e8, share, True, np.array(part)) for part in (0.0, 0.5, 1))
    assert whole == pytest.approx(power_w(constants, STREET_SENSORS, 1e8, share))
    assert constants.sensors[LIDAR] is not None
    assert whole - none == pytest.approx(constants.sensors[LIDAR].measure_w.value)
    assert half == pytest.approx((none + whole) / 2)


def test_faults_are_survived_and_counted() -> None:
    flown = scenarios([(0,)], (4.5,), 0).repeated(len(KINDS))
    gate = build(Strategy("gate", "int8"), 0, load_constants())
    log = the_flights().fly(flown, gate, times=len(KINDS), faults=Faults(KINDS, 1.5))
    assert np.isinf(log.crashed_s).all()
    assert log.awake[log.time_s > 2.0][:, KINDS.index(DRIVER)].all()
    assert not log.awake[log.time_s > 2.2][:, KINDS.index(STUCK), LIDAR].any()
    assert log.overflows[KINDS.index(FLOOD), 2] > 0
    assert log.rejected[KINDS.index(NOTHING), FLOW] > 200
    assert log.active[KINDS.index(RESET), IMU] < log.ticks <= log.active[KINDS.index(STUCK), IMU]
    assert log.estimate_m[:, KINDS.index(RESET)].max() < 0.2
    with pytest.raises(ConfigError, match="'rust'"):
        Faults(("rust",), 0.0)


def test_fly_in_the_street(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "haltere.tools", "fly", "--world", "street", "--fpga", "sim", "--vehicle", "x500"]
    command += ["--weather", "clear,night", "--trajectory", "hover:position_m=0.5/0/1.5", "--duration", "6"]
    command += ["--reset-fpga", "2.5"]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "summary.json").read_text())
    assert numbers["context_right_percent"] > 90
    assert numbers["tracking_rmse_m"] < 0.3
    assert 0 < numbers["fabric_saved_percent"] < 100
    assert 1 <= numbers["switches"] <= 4, "bursts are no switches"
    assert numbers["fpga_resets"] == 1
    assert 0 < numbers["lyapunov_over_level_max"] < 1, "a calm flight is inside the policy's region"
    assert (tmp_path / "gates.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--world", "street", "--fpga", "board"], "sim or rtl"),
        (["--world", "moon"], "field and street"),
        (["--weather", "fog"], "belong to --world street"),
        (["--reset-fpga", "3"], "belongs to --world street"),
        (["--world", "street", "--fpga", "sim", "--weather", "hail"], "the contexts are clear, fog"),
        (["--world", "street", "--fpga", "sim", "--realtime"], "not real-time"),
        (["--world", "street", "--fpga", "sim", "--trajectory", "hover:position_m=5/0/1"], "within ±4.80 m"),
        (["--world", "street", "--fpga", "sim", "--constants", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_cannot_be_flown_is_refused(haltere: Haltere, options: list[str], says: str, tmp_path: Path) -> None:
    done = haltere("fly", *options, "--output", str(tmp_path))
    assert done.returncode == 2
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_one_context_comes_between_clear_ones() -> None:
    assert weather_plan("fog") == ("clear", "fog", "clear")
    assert weather_plan("clear") == ("clear",)
    assert weather_plan("night, dust") == ("night", "dust")
    with pytest.raises(ConfigError, match="no-GPS"):
        weather_plan("no-GPS")
    check_room(make_trajectory("figure-eight"), 5.0)
    assert open_board("sim")[1] > RTL_TICK_CYCLES


def test_a_house_is_hard(tmp_path: Path) -> None:
    from haltere.sim.vehicle import load_vehicle
    from haltere.sim.world import Status, World

    with World(load_vehicle("crazyflie")) as world:
        world.build((1.0, -1.0, 0.0), (2.0, 1.0, 3.0))
        world.reset(position_world_m=(0.0, 0.0, 1.5), velocity_world_m_s=(3.0, 0.0, 0.0))
        hover = np.full(4, world.vehicle.hover_action)
        for _ in range(100):
            if world.step(hover).over:
                break
        assert world.status is Status.CRASHED


def test_the_estimate_starts_where_the_vehicle_is() -> None:
    from haltere.sim.state import State

    trajectory = make_trajectory("hover:position_m=1/0.5/1.5")
    senses = StreetSenses(("clear",), 1.0, trajectory, FOUNDATION, np.random.default_rng(0), "sim", CONSTANTS)
    try:
        place = np.array([1.0, 0.5, 1.5])
        for step in range(3):
            state = State(0.01 * step, place, np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3), np.zeros(4))
            np.testing.assert_allclose(senses.measure(state).position_world_m, place, atol=0.01)
    finally:
        senses.close()


def test_a_thrown_vehicle_is_outside_the_region() -> None:
    from haltere.sim.state import State

    region, setpoint = Region(FOUNDATION), make_trajectory("hover").at(0.0)
    level, zero3 = np.array([1.0, 0, 0, 0]), np.zeros(3)
    for quat_wxyz, spin, inside in ((level, 0.0, True), (np.array([0.0, 1.0, 0, 0]), 15.0, False)):
        region.reset()
        state = State(0.0, setpoint.position_world_m, quat_wxyz, zero3, np.full(3, spin), np.zeros(4))
        over_level = region.over_level(state, setpoint)
        assert over_level is not None
        assert (over_level <= 1) == inside
    region.known = False  # as of a file of another policy
    assert region.over_level(state, setpoint) is None


def test_a_plan_in_real_time_is_refused_in_the_street(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not real-time"):
        fly_plan(FlightPlan(street=("clear",), real_time=True), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_bench_has_its_rows(tmp_path: Path) -> None:
    from haltere.tools.bench.gating import OURS, GatingBench

    rows = GatingBench(workers=1)(True, 3, tmp_path / "gating.png", lambda text: None)
    measures = {row.measure for row in rows.rows if row.method == OURS and row.asked}
    for word in ("sensors and fabric", "clocks and data", "worst context", "right", "switches", "unknown", "killed"):
        assert any(word in measure for measure in measures), word
    assert (tmp_path / "gating.png").stat().st_size > 10_000
