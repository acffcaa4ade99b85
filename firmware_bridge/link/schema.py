"""The link's schema: read from `schema.toml`, checked, and hashed into the protocol version."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haltere.policies.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_FILE = Path(__file__).with_name("schema.toml")
SCALARS = {"u8": "B", "u16": "H", "u32": "I", "f32": "f", "char": "s"}
"""Scalar types of the wire, with their `struct` codes."""

HEADER_SIZE = 6
CRC_SIZE = 4
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TYPE = re.compile(r"(u8|u16|u32|f32|char)(?:\[(\d+)\])?")


@dataclass(frozen=True)
class Enum:
    """A set of named values.

    Attributes:
      name: CamelCase name.
      type: the unsigned type that carries it.
      flags: the values are bits that can be set together.
      values: (name, value), in the schema's order.
      doc: one sentence.
    """

    name: str
    type: str
    flags: bool
    values: tuple[tuple[str, int], ...]
    doc: str


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
      name: snake_case name, unit and frame included.
      scalar: key of `SCALARS`.
      count: how many; 0 for a single scalar, the size in bytes for text.
      unit: SI unit, or "-".
      frame: frame of reference, or "-".
      enum: name of the enum that its values come from, or "".
      cut: text that is too long is cut rather than refused.
      doc: what it is.
    """

    name: str
    scalar: str
    count: int
    unit: str
    frame: str
    enum: str
    cut: bool
    doc: str

    @property
    def code(self) -> str:
        """The field's `struct` code."""
        return f"{self.count or ''}{SCALARS[self.scalar]}"


@dataclass(frozen=True)
class Message:
    """One message: id, direction and fields, packed in order without padding."""

    name: str
    id: int
    direction: str
    fields: tuple[Field, ...]
    doc: str

    @property
    def size(self) -> int:
        """Bytes of the packed payload."""
        return struct.calcsize("<" + "".join(field.code for field in self.fields))

    @property
    def wire_size(self) -> int:
        """Most bytes that the whole frame takes on the wire, delimiter included."""
        body = HEADER_SIZE + self.size + CRC_SIZE
        return body + body // 254 + 2


@dataclass(frozen=True)
class Schema:
    """The whole protocol, and its version."""

    name: str
    hash: int
    enums: tuple[Enum, ...]
    messages: tuple[Message, ...]


def load(path: Path = SCHEMA_FILE) -> Schema:
    """Reads and checks a schema.

    Args:
      path: the TOML file.
    Raises:
      ConfigError: an enum or message breaks the rules; the message names it.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    enums = tuple(_enum(name, entry) for name, entry in document["enums"].items())
    messages = tuple(_message(entry, {enum.name: enum for enum in enums}) for entry in document["messages"])
    for attribute in ("id", "name"):
        values = [getattr(message, attribute) for message in messages]
        if len(set(values)) != len(values):
            raise ConfigError(f"schema: the {attribute} of every message must be its own, found {values}")
    return Schema(document["protocol"]["name"], _hash(document), enums, messages)


def _enum(name: str, entry: dict[str, Any]) -> Enum:
    values = tuple(entry["values"].items())
    limit = 1 << 8 * struct.calcsize(SCALARS[entry["type"]])
    if not all(0 <= value < limit for _, value in values):
        raise ConfigError(f"schema: enum {name} has a value that does not fit into {entry['type']}")
    return Enum(name, entry["type"], entry.get("flags", False), values, entry["doc"])


def _message(entry: dict[str, Any], enums: dict[str, Enum]) -> Message:
    name, identifier = entry["name"], entry["id"]
    if not _NAME.fullmatch(name) or not 1 <= identifier <= 255:
        raise ConfigError(f"schema: message {name!r} needs a snake_case name and an id in 1 … 255")
    fields = tuple(_field(name, field, enums) for field in entry["fields"])
    return Message(name, identifier, entry["direction"], fields, entry["doc"])


def _field(message: str, entry: dict[str, Any], enums: dict[str, Enum]) -> Field:
    where = f"schema: field {message}.{entry['name']}"
    match = _TYPE.fullmatch(entry["type"])
    if not match or not _NAME.fullmatch(entry["name"]):
        raise ConfigError(f"{where} needs a snake_case name and a type of {', '.join(SCALARS)}, or [n]")
    scalar, count = match[1], int(match[2] or 0)
    if scalar == "char" and not count:
        raise ConfigError(f"{where} is text and needs a size, such as char[16]")
    enum = entry.get("enum", "")
    if enum and (enum not in enums or enums[enum].type != entry["type"]):
        raise ConfigError(f"{where}: enum {enum!r} is unknown or is not of type {entry['type']}")
    return Field(
        entry["name"],
        scalar,
        count,
        entry.get("unit", "-"),
        entry.get("frame", "-"),
        enum,
        entry.get("cut", False),
        entry["doc"],
    )


def _hash(document: dict[str, Any]) -> int:
    """Returns the first 32 bits of SHA-256 of the schema as compact JSON, without its `doc` entries."""
    canonical = json.dumps(_without_docs(document), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:4], "big")


def _without_docs(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: _without_docs(value) for key, value in entry.items() if key != "doc"}
    if isinstance(entry, list):
        return [_without_docs(value) for value in entry]
    return entry
