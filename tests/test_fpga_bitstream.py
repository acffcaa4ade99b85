"""What Vivado is given, and what is said without it. Vivado itself is not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from haltere.fpga import bitstream
from haltere.fpga.registers import MAP, PATH_MAP, offset
from haltere.policies.errors import BuildError, ConfigError


def test_every_register_is_described(tmp_path: Path) -> None:
    lines = [line.split("\t") for line in bitstream.register_table().splitlines()]
    assert len(lines) == sum(one.count for one in MAP) + 5 * sum(one.count for one in PATH_MAP)
    table = {name: (int(at, 16), access) for name, at, access, _ in lines}
    assert len({at for at, _ in table.values()}) == len(table)
    assert table["LIDAR_NIS"] == (offset("NIS", 0, 2), "read-only")
    assert table["MASK_3"] == (offset("MASK", 3), "read-write")


@pytest.mark.parametrize("board", bitstream.BOARDS)
def test_the_scripts_get_what_they_read(board: str, tmp_path: Path) -> None:
    package, build = bitstream.commands(board, tmp_path)
    chosen = bitstream.BOARDS[board]
    assert package[-1] == chosen.part
    assert build[-5:] == [chosen.part, chosen.board_part, chosen.processor, "100", "carma"]
    assert (tmp_path / "ip" / "registers.tsv").read_text() == bitstream.register_table()
    for command in (package, build):
        script = Path(command[command.index("-source") + 1])
        assert "NEVER RUN" in script.read_text()
        names = script.read_text().split("lassign $argv ")[1].split("\n")[0].split()
        assert len(names) == len(command) - command.index("-tclargs") - 1
    assert bitstream.commands(board, tmp_path, board_files=False)[1][-4] == "-"


def test_without_vivado_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitstream, "vivado", lambda: None)
    with pytest.raises(BuildError, match=r"Vivado is not on the path.*haltere fpga synth"):
        bitstream.build("kv260", tmp_path)


@pytest.mark.parametrize(("board", "clock", "says"), [("arty", 100.0, "pynq-z2"), ("kv260", 0.1, "0.64 to 250 MHz")])
def test_what_cannot_be_built_is_refused(board: str, clock: float, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        bitstream.commands(board, tmp_path, clock)
