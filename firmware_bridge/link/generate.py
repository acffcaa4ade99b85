"""Writes the C header, the Python messages and the protocol page from `schema.toml`.

Run as `python -m haltere.firmware_bridge.link.generate`, with `--check` to compare only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from haltere.firmware_bridge.link.c_header import c_header
from haltere.firmware_bridge.link.protocol_page import protocol_page
from haltere.firmware_bridge.link.python_module import python_module
from haltere.firmware_bridge.link.schema import load

LINK = Path(__file__).parent
OUTDATED = "out of date: run `python -m haltere.firmware_bridge.link.generate`"
CLIENT = LINK.with_name("client_c")


def generated() -> dict[Path, str]:
    """Returns the text that each generated file should have."""
    schema = load()
    return {
        CLIENT / "haltere_messages.h": c_header(schema),
        LINK / "messages.py": python_module(schema),
        LINK / "PROTOCOL.md": protocol_page(schema),
    }


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the generated files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args(arguments).check
    outdated = [
        path for path, text in generated().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in outdated:
        if not check:
            path.write_text(generated()[path], encoding="utf-8")
        print(f"{path}: {OUTDATED if check else 'written'}")
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
