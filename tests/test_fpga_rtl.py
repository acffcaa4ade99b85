"""The RTL in simulation, in its short form; `haltere fpga test` runs the long one."""

from pathlib import Path

import pytest

from haltere.fpga import registers, simulation
from haltere.fpga.coverage import summarise
from haltere.fpga.simulation import BENCHES, Bench

BUILDS = Path(__file__).parent.parent / "build" / "fpga"


def require(simulator: str) -> None:
    lack = simulation.missing(simulator)
    if lack:
        pytest.skip(lack)


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_bench_on_icarus(bench: Bench) -> None:
    require("icarus")
    outcomes = simulation.run(bench, "icarus", BUILDS, full=False, seed=1)
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_verilator_tells_what_the_benches_reach(tmp_path: Path) -> None:
    require("verilator")
    registers_bench = next(bench for bench in BENCHES if bench.name == "registers")
    assert simulation.run(registers_bench, "verilator", tmp_path, full=False, seed=1, coverage=True)
    found = {(each.module, each.kind): each for each in summarise(tmp_path.rglob("coverage.dat"))}
    lines = found["carma_registers", "line"]
    assert lines.hit > 0.8 * lines.points
    assert found["carma_registers", "toggle"].hit > 0


def test_lint_is_clean() -> None:
    require("verilator")
    assert simulation.lint() == ""


def test_header_is_the_register_map_s() -> None:
    assert registers.HEADER.read_text() == registers.header()


def test_no_two_registers_share_a_word() -> None:
    for registers_ in (registers.MAP, registers.PATH_MAP):
        words = [register.offset + 4 * index for register in registers_ for index in range(register.count)]
        assert len(words) == len(set(words))
