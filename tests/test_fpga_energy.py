"""Energy from counters: parts apart, bounds kept, every constant with its source."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from haltere.fpga import vivado
from haltere.fpga.energy import CONSTANTS, PathUse, estimate, load_constants, saving
from haltere.fpga.paths import GPS, LIDAR, PATHS, TICK_RATE_HZ
from haltere.policies.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CLOCK_HZ = 100e6
SECOND = 100_000_000
ALL_ON = tuple(PathUse(SECOND, round(500 / (index + 1))) for index in range(len(PATHS)))


def load_table() -> dict[str, Any]:
    return tomllib.loads(CONSTANTS.read_text())


def test_everything_on_for_a_second() -> None:
    constants = load_constants()
    found = estimate(constants, ALL_ON, SECOND, CLOCK_HZ)
    watts = sum(power.measure_w.value for power in constants.sensors if power)
    assert found.sensors.value == pytest.approx(watts)
    assert found.static.value == pytest.approx(constants.static_w.value)
    assert found.clock.value == pytest.approx(constants.clock_j.value * sum(constants.flip_flops) * SECOND)
    assert found.data.low < found.data.value < found.data.high
    assert found.uncounted == ("imu", "radar")


def test_a_sleeping_path_takes_no_clock_and_its_sensor_rests() -> None:
    constants = load_constants()
    uses = list(ALL_ON)
    uses[LIDAR] = PathUse(0, 0)
    gated, full = estimate(constants, uses, SECOND, CLOCK_HZ), estimate(constants, ALL_ON, SECOND, CLOCK_HZ)
    lidar = constants.sensors[LIDAR]
    assert lidar is not None
    assert full.sensors.value - gated.sensors.value == pytest.approx(lidar.measure_w.value - lidar.standby_w.value)
    expected = constants.flip_flops[LIDAR] / sum(constants.flip_flops)
    assert 1 - gated.clock.value / full.clock.value == pytest.approx(expected)
    assert gated.static == full.static
    assert 0 < saving(gated, full, with_sensors=False) < 1
    assert 0 < saving(gated, full, with_sensors=True) < 1


def test_data_are_the_toggles_of_ticks_and_samples() -> None:
    constants = load_constants()
    uses = [PathUse(SECOND if path == GPS else 0, 10 if path == GPS else 0) for path in range(len(PATHS))]
    found = estimate(constants, uses, SECOND, CLOCK_HZ)
    expected = TICK_RATE_HZ * constants.tick_j[GPS].value + 10 * constants.sample_j[GPS].value
    assert found.data.value == pytest.approx(expected)


def test_energies_are_those_of_the_published_reports() -> None:
    """The constants that ship are what `vivado.py` makes of the reports that ship."""
    table = load_table()
    assert load_constants().clock_j.value == pytest.approx(vivado.clock_j().value, rel=0.01)
    sinks = float(re.findall(r"inputs are ([0-9.]+)", table["toggles"]["source"])[0])
    for kind, value in vivado.toggle_j(sinks).items():
        for name in ("value", "low", "high"):
            assert table["toggle_j"][kind][name] == pytest.approx(getattr(value, name), rel=0.01), kind


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("value = 4.55", "value = 5.0", r"static_w: value 5 must lie within low 4\.3 and high 4\.8"),
        ("low = 4.3", "", "static_w needs value, low and high"),
        ("[static_w]", "[static]", r"\[static_w\] is missing"),
        ("[sensors.gps]", "[sensors.sonar]", "sensors.sonar is no path"),
        ("radar = ", "radar = -1 #", "flip_flops.radar is -1"),
        ("\nsource = ", "\nfrom = ", "source is missing"),
        ("imu.per_tick = { lut", "imu.per_tick = { led", "imu.per_tick has led, of which toggle_j tells no energy"),
        ("gps.per_sample = { lut = ", "gps.per_sample = { lut = -", "gps.per_sample.lut is -"),
        ("radar.per_tick", "radar.each_tick", "toggles.radar.per_tick is missing"),
        ("[", "[[", "cannot read the constants"),
    ],
)
def test_bad_constants_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(CONSTANTS.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=says):
        load_constants(file)


def test_impossible_counters_are_refused() -> None:
    constants = load_constants()
    with pytest.raises(ConfigError, match="imu was active for 2 cycles; it must be 0 to 1"):
        estimate(constants, [PathUse(2, 0)] * 5, 1, CLOCK_HZ)
    with pytest.raises(ConfigError, match="4 paths"):
        estimate(constants, ALL_ON[:4], SECOND, CLOCK_HZ)
    with pytest.raises(ConfigError, match="clock_hz is 0"):
        estimate(constants, ALL_ON, SECOND, 0.0)
