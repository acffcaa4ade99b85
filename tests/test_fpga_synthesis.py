"""Counting resources, and the whole design through yosys (slow)."""

from pathlib import Path

import pytest

from haltere.fpga import synthesis
from haltere.fpga.coverage import summarise
from haltere.fpga.synthesis import Resources, resources

CELLS = {"LUT2": 10, "LUT6": 20, "INV": 1, "RAM64X1D": 3, "FDRE": 40, "FDSE": 2, "DSP48E1": 5, "RAMB18E1": 1}


def test_resources_are_counted_by_kind() -> None:
    found = resources({**CELLS, "BUFG": 1, "BUFGCE": 4})
    assert (found.lut, found.ff, found.dsp, found.bram36, found.bufgce) == (37, 42, 5, 0.5, 4)
    assert found.faults() == []


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ({"BUFGCE": 3}, "3 BUFGCE"),
        ({"BUFGCE": 4, "LDCE": 1}, "1 latches"),
        ({"BUFGCE": 4, "LUT6": 20_000}, "LUT"),
        ({"BUFGCE": 4, "DSP48E1": 45}, "DSP"),
    ],
)
def test_what_is_wrong_is_said(cells: dict[str, int], word: str) -> None:
    faults = resources(cells).faults()
    assert len(faults) == 1
    assert word in faults[0]


def test_coverage_adds_up_over_instances_and_runs(tmp_path: Path) -> None:
    def point(file: str, line: int, page: str, what: str, count: int) -> str:
        fields = {"f": file, "l": str(line), "page": page, "o": what}
        return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}\n"

    first, second = tmp_path / "a.dat", tmp_path / "b.dat"
    first.write_text("# header\n" + point("x/a.v", 3, "v_line/a", "block", 0) + point("x/a.v", 4, "v_toggle/a", "q", 0))
    second.write_text(point("x/a.v", 3, "v_branch/a", "block", 2) + point("x/b.v", 1, "v_line/b", "if", 1))
    found = {(each.module, each.kind): (each.hit, each.points) for each in summarise([first, second])}
    assert found == {("a", "line"): (1, 1), ("a", "toggle"): (0, 1), ("b", "line"): (1, 1)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_design_fits_and_its_gates_are_the_only_cells_on_the_clock() -> None:
    lack = synthesis.missing()
    if lack:
        pytest.skip(lack)
    found: Resources = synthesis.synthesise()
    assert (found.bufgce, found.latches) == (synthesis.GATES, 0)
    # Half a block RAM for each path's configuration and one for reading back, where look-up tables would take 350.
    assert found.bram36 <= 5
    assert found.faults() == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_simulated_form_has_no_latch_but_the_gates() -> None:
    lack = synthesis.missing()
    if lack:
        pytest.skip(lack)
    assert synthesis.simulated_latches() == synthesis.GATES
