"""One driver, unmodified, on the golden model and on the verilated RTL, through PYNQ's own classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pynq = pytest.importorskip("pynq", reason="PYNQ, which needs NumPy 1, has an environment of its own")

from haltere.fpga.configuration import configure  # noqa: E402
from haltere.fpga.golden.device import GoldenDevice  # noqa: E402
from haltere.fpga.overlay import CarmaGate  # noqa: E402
from haltere.fpga.paths import ALL_PATHS, FLOW, GPS, IMU, LIDAR, PATHS, RADAR  # noqa: E402
from haltere.fpga.registers import offset  # noqa: E402
from haltere.fpga.simulated import BASE, SimulatedBoard  # noqa: E402
from haltere.fpga.simulation import verilator_missing  # noqa: E402
from haltere.fpga.verilated import VerilatedDevice, build  # noqa: E402
from haltere.policies.errors import ConfigError, LinkTimeout, VersionMismatch  # noqa: E402

BUILDS = Path(__file__).parent.parent / "build" / "fpga" / "verilated"
IMU_ONLY = 1 << IMU


@pytest.fixture(scope="session")
def library() -> Path:
    lack = verilator_missing()
    if lack:
        pytest.skip(lack)
    return build(BUILDS)


@pytest.fixture(params=["golden", "verilated"])
def board(request: pytest.FixtureRequest) -> SimulatedBoard:
    if request.param == "golden":
        return SimulatedBoard(GoldenDevice())
    return SimulatedBoard(VerilatedDevice(request.getfixturevalue("library")))


def load(board: SimulatedBoard, folder: Path) -> CarmaGate:
    bitfile = folder / "carma.bit"
    bitfile.touch()
    overlay = pynq.Overlay(str(bitfile), device=board)
    driver: Any = overlay.carma_gate
    assert type(driver) is CarmaGate
    driver.sleep = board.sleep
    return driver


@pytest.fixture
def driver(board: SimulatedBoard, tmp_path: Path) -> CarmaGate:
    found = load(board, tmp_path)
    found.start()
    configure(found)
    return found


def beat(driver: CarmaGate, ticks: int) -> None:
    for _ in range(ticks):
        driver.heartbeat()
        driver.advance(1)


def test_the_clock_is_read_and_the_tick_made_of_it(board: SimulatedBoard, tmp_path: Path) -> None:
    driver = load(board, tmp_path)
    assert driver.clock_hz == pytest.approx(1e6)
    pynq.Clocks.fclk0_mhz = 2.0
    assert driver.clock_hz == pytest.approx(2e6)
    driver.start()
    assert driver.register_map.TICK_CYCLES[31:0] == 4000
    pynq.Clocks.fclk0_mhz = 0.5
    with pytest.raises(ConfigError, match=r"FCLK0 is 0\.5 MHz; it must be 0\.64 MHz"):
        driver.start()


def test_ticks_pass_and_cycles_are_counted(driver: CarmaGate) -> None:
    before = driver.cycles()
    beat(driver, 10)
    assert 9 * 2000 <= driver.cycles() - before <= 11 * 2000


def test_a_gated_path_stops_and_counts_what_it_turns_away(driver: CarmaGate) -> None:
    driver.write(offset("DWELL"), 0)
    driver.gate(IMU_ONLY)
    beat(driver, 2)
    assert driver.status().awake == IMU_ONLY
    before = driver.activity(GPS)
    driver.push(GPS, (1, 2, 3, 4))
    beat(driver, 5)
    after = driver.activity(GPS)
    assert after.active_cycles == before.active_cycles
    assert after.dropped == before.dropped + 1
    assert not after.awake
    driver.force(1 << GPS)
    beat(driver, 2)
    assert driver.status().awake == IMU_ONLY | 1 << GPS
    assert driver.activity(GPS).active_cycles > after.active_cycles


def test_a_path_runs_in_bursts(driver: CarmaGate) -> None:
    driver.write(offset("DWELL"), 0)
    driver.gate(IMU_ONLY | 1 << LIDAR)
    driver.burst(1 << LIDAR, 5, 20)
    beat(driver, 40)
    before, cycles = driver.activity(LIDAR).active_cycles, driver.cycles()
    beat(driver, 80)
    share = (driver.activity(LIDAR).active_cycles - before) / (driver.cycles() - cycles)
    assert share == pytest.approx(0.25, abs=0.02)
    driver.burst(0, 5, 20)
    beat(driver, 2)
    assert driver.status().awake == IMU_ONLY | 1 << LIDAR
    with pytest.raises(ConfigError, match="on_ticks is 21, period_ticks 20"):
        driver.burst(1 << LIDAR, 21, 20)
    with pytest.raises(ConfigError, match="paths"):
        driver.burst(1 << len(PATHS), 5, 20)


def test_every_register_answers_while_everything_is_gated(driver: CarmaGate) -> None:
    driver.write(offset("DWELL"), 0)
    driver.gate(0)
    beat(driver, 2)
    assert driver.status().awake == IMU_ONLY
    for address in range(0, 0x1400, 4):
        driver.read(address)
    driver.write(offset("CALIBRATION", 0, LIDAR), 0x1234)
    assert driver.read(offset("CALIBRATION", 0, LIDAR)) == 0x1234


def test_samples_move_the_fused_state(driver: CarmaGate) -> None:
    driver.seed((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    beat(driver, 1)
    for _ in range(50):
        driver.push(IMU, (0, 0, 0))
        driver.push(RADAR, (400,))
        beat(driver, 2)
    position, _velocity = driver.state()
    assert position[0] == pytest.approx(1.0, abs=1e-3)
    assert 3.5 < position[2] < 4.2
    assert driver.activity(RADAR).samples == 50


def test_both_models_count_the_same(library: Path, tmp_path: Path) -> None:
    seen = []
    for model in (GoldenDevice(), VerilatedDevice(library)):
        board = SimulatedBoard(model)
        driver = load(board, tmp_path)
        driver.start()
        configure(driver)
        driver.seed((0.0, 0.0, 2.0), (0.1, 0.0, 0.0))
        for step in range(60):
            if step == 20:
                driver.gate(IMU_ONLY | 1 << LIDAR)
            driver.push(IMU, (step, -step, 3))
            driver.push(FLOW, (10 * step, 5, 2000))
            driver.push(LIDAR, tuple(range(4800, 5600, 100)))
            beat(driver, 3)
        found = [driver.activity(path) for path in range(len(PATHS))]
        seen.append(
            (driver.state(), driver.status(), [(a.samples, a.dropped, a.switches, a.age_ticks, a.nis) for a in found])
        )
    assert seen[0] == seen[1]


def test_a_driver_that_died_leaves_everything_on(board: SimulatedBoard, driver: CarmaGate, tmp_path: Path) -> None:
    driver.write(offset("DWELL"), 0)
    driver.gate(IMU_ONLY)
    beat(driver, 3)
    assert driver.status().awake == IMU_ONLY
    del driver
    # Nobody is left: the default watchdog is 50 ticks.
    board.sleep(0.2)
    successor = load(board, tmp_path)
    status = successor.status()
    assert (status.awake, status.expired, status.expiries) == (ALL_PATHS, True, 1)
    beat(successor, 3)
    assert successor.status().awake == ALL_PATHS, "the dead driver's mask does not come back"


def test_a_bus_that_does_not_answer_is_a_timeout(board: SimulatedBoard, driver: CarmaGate) -> None:
    board.alive = False
    with pytest.raises(LinkTimeout, match="does its clock run"):
        driver.status()
    board.alive = True
    assert driver.status().awake == ALL_PATHS


def test_ticks_that_do_not_come_are_a_timeout(driver: CarmaGate) -> None:
    driver.sleep = lambda time_s: None
    with pytest.raises(LinkTimeout, match="3 of 3 ticks did not come"):
        driver.advance(3)


@pytest.mark.parametrize(("name", "word", "says"), [("ID", 0xDEADBEEF, "0xdeadbeef"), ("VERSION", 0x00020003, "2.3")])
def test_another_design_is_refused(board: SimulatedBoard, tmp_path: Path, name: str, word: int, says: str) -> None:
    honest = board.read_registers
    wrong = word.to_bytes(4, "little")
    board.read_registers = lambda at, length: wrong if at == BASE + offset(name) else honest(at, length)  # type: ignore[method-assign]
    with pytest.raises(VersionMismatch, match=says):
        load(board, tmp_path)


def test_codes_that_say_nothing_are_rejected(driver: CarmaGate) -> None:
    driver.push(RADAR, (-32768,))
    beat(driver, 2)
    found = driver.activity(RADAR)
    assert (found.rejected, found.samples, found.valid) == (1, 0, False)


def test_a_queue_that_runs_over_counts_what_is_lost(driver: CarmaGate) -> None:
    driver.advance(1)
    for code in range(11):
        driver.push(RADAR, (code,))
    assert driver.activity(RADAR).overflows == 3
    beat(driver, 2)
    assert driver.activity(RADAR).samples == 8


def test_a_reset_opens_everything(driver: CarmaGate) -> None:
    driver.write(offset("DWELL"), 0)
    driver.gate(IMU_ONLY)
    beat(driver, 3)
    driver.reset()
    assert driver.status().awake == ALL_PATHS
    assert driver.read(offset("GATE")) == ALL_PATHS


def test_a_reset_in_the_middle_of_a_write_opens_everything(library: Path, tmp_path: Path) -> None:
    model = VerilatedDevice(library)
    driver = load(board := SimulatedBoard(model), tmp_path)
    driver.start()
    driver.write(offset("DWELL"), 0)
    driver.gate(IMU_ONLY)
    beat(driver, 3)
    model.half_write(offset("GATE"))
    model.reset(3)
    assert driver.status().awake == ALL_PATHS
    driver.start()
    beat(driver, 2)
    assert driver.read(offset("GATE")) == ALL_PATHS
    assert board.alive


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda driver: driver.gate(32), "paths is 0x20; it must be a mask"),
        (lambda driver: driver.push(5, (1,)), "path is 5; it must be 0 to 4"),
        (lambda driver: driver.push(RADAR, (40000,)), "radar is 1 codes of -32768 to 32767"),
        (lambda driver: driver.push(GPS, (1, 2)), "gps is 4 codes"),
        (lambda driver: driver.seed((0, 0, 4000.0), (0, 0, 0)), r"SEED_POSITION\[2\] is 4000"),
    ],
)
def test_bad_input_is_refused(driver: CarmaGate, call: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        call(driver)


def test_the_verilated_model_is_fast_enough_for_flights(library: Path) -> None:
    model = VerilatedDevice(library)
    model.write(offset("TICK_CYCLES"), 2000)
    rates = []
    for _ in range(3):
        started = time.process_time()
        model.run(200_000)
        rates.append(200_000 / (time.process_time() - started))
    assert max(rates) > 0.5e6
