"""Line and toggle coverage of the RTL, added up over the benches from Verilator's coverage files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KINDS = ("line", "toggle")


@dataclass(frozen=True)
class Coverage:
    """How much of one RTL module was exercised.

    Attributes:
      module: the file's name without its suffix.
      kind: `line` (blocks and branches) or `toggle` (bits, each way).
      hit: points that were reached at least once.
      points: all.
      missed: names of the points that were not reached.
    """

    module: str
    kind: str
    hit: int
    points: int
    missed: tuple[str, ...]


def _fields(record: str) -> dict[str, str]:
    """Returns the fields of a coverage point: key and value between the control characters 1 and 2."""
    pairs = (part.split("\x02", 1) for part in record.split("\x01") if "\x02" in part)
    return {pair[0]: pair[1] for pair in pairs}


def summarise(files: Iterable[Path]) -> list[Coverage]:
    """Adds coverage files up, a point counting as reached if it was in any of them, in any instance of its module.

    Args:
      files: `coverage.dat` of each run.
    """
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for file in files:
        for line in file.read_text().splitlines():
            if not line.startswith("C '"):
                continue
            record, count = line[3:].rsplit("' ", 1)
            fields = _fields(record)
            # The pages of branches and of lines are both of lines to a reader.
            kind = "toggle" if fields.get("page", "").startswith("v_toggle") else "line"
            point = f"{fields.get('l', '?')}: {fields.get('o', '')}"
            counts[Path(fields.get("f", "?")).stem, kind][point] += int(count)
    return [
        Coverage(
            module=module,
            kind=kind,
            hit=sum(count > 0 for count in points.values()),
            points=len(points),
            missed=tuple(name for name, count in points.items() if not count),
        )
        for (module, kind), points in sorted(counts.items())
    ]
