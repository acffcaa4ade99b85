"""Toggles of the netlist: the fit, the file it writes, and the whole of it, gate by gate (slow)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from haltere.fpga import netlist, synthesis, toggles
from haltere.fpga.energy import CONSTANTS, load_constants
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.netlist import Net, Netlist
from haltere.fpga.paths import IMU, PATHS
from haltere.fpga.simulation import verilator_missing
from haltere.policies.errors import BuildError

KINDS = len(toggles.KINDS)


def made_up(windows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truth = random.uniform(10, 500, size=(10, KINDS))
    awake = random.integers(2, size=(windows, 4))
    samples = random.integers(3, size=(windows, 5))
    designed = np.hstack((np.ones((windows, 1)), awake, samples)).astype(np.float64)
    return truth, designed, designed @ truth


def test_the_fit_finds_what_ticks_and_samples_take() -> None:
    truth, designed, counted = made_up(60)
    fit = toggles.fit_windows(designed, counted)
    assert fit.base == pytest.approx(truth[0])
    assert fit.per_tick[1:] == pytest.approx(truth[1:5])
    assert not fit.per_tick[IMU].any()
    assert fit.per_sample == pytest.approx(truth[5:])
    assert fit.r2 == pytest.approx(1.0)


def test_toggles_are_counted_by_driver_and_by_sinks() -> None:
    nets = {"n1_": Net("lut", 3), "n2_": Net("flip_flop", 1)}
    counts = toggles.by_kind({"n1_": 5, "n2_": 2, "s_axi_aclk": 100}, Netlist(Path("none"), nets))
    expected = {"lut": 5.0, "flip_flop": 2.0, "sink": 17.0}
    assert counts == [expected.get(kind, 0.0) for kind in toggles.KINDS]


def test_the_fitted_part_of_the_constants_is_replaced(tmp_path: Path) -> None:
    fit = toggles.fit_windows(*made_up(60)[1:])
    file = tmp_path / "energy.toml"
    file.write_text(toggles.refit(CONSTANTS.read_text(), fit, 3.0))
    before, after = load_constants(), load_constants(file)
    assert after.static_w == before.static_w
    assert after.sensors == before.sensors
    assert after.sample_j != before.sample_j
    assert file.read_text() == toggles.refit(file.read_text(), fit, 3.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Netlist:
    lack = synthesis.missing() or verilator_missing()
    if lack:
        pytest.skip(lack)
    return netlist.build(tmp_path_factory.mktemp("netlist"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_netlist_is_the_golden_model_and_toggles_as_the_constants_say(built: Netlist, tmp_path: Path) -> None:
    fit = toggles.measure(built, tmp_path, masks=16, seed=5, progress=lambda done, total: None)
    found, shipped = tmp_path / "energy.toml", load_constants()
    found.write_text(toggles.refit(CONSTANTS.read_text(), fit, built.sinks_per_net))
    for number, path in enumerate(PATHS):
        assert load_constants(found).sample_j[number].value == pytest.approx(shipped.sample_j[number].value, rel=0.3), (
            path
        )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_netlist_that_computes_something_else_is_found(
    built: Netlist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(GoldenDevice):
        def push(self, path: int, raw: Sequence[int]) -> None:
            pass

    monkeypatch.setattr(toggles, "GoldenDevice", Deaf)
    with pytest.raises(BuildError, match="the golden model's"):
        toggles.measure(built, tmp_path, masks=1, seed=0, progress=lambda done, total: None)
