"""Writes `messages.py` from the schema."""

from __future__ import annotations

from collections.abc import Iterator

from haltere.firmware_bridge.link.schema import Enum, Field, Message, Schema

_PREAMBLE = '''"""The link's messages. Generated from schema.toml by `link.generate`; do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import ClassVar, Union

from haltere.firmware_bridge.link.text import pack_text, unpack_text

SCHEMA_HASH = 0x{hash:08X}
"""Protocol version: the first 32 bits of SHA-256 of the schema."""

MAX_WIRE_SIZE = {size}
"""Bytes of the longest frame on the wire, delimiter included."""

Buffer = bytes | bytearray | memoryview
'''
_PYTHON_TYPES = {"f32": "float", "char": "str"}


def python_module(schema: Schema) -> str:
    """Returns the source of `messages.py`."""
    size = max(message.wire_size for message in schema.messages)
    parts = [_PREAMBLE.format(hash=schema.hash, size=size)]
    parts += ["\n".join(_enum(enum)) for enum in schema.enums]
    parts += ["\n".join(_message(message)) for message in schema.messages]
    names = [class_name(message) for message in schema.messages]
    # A trailing comma keeps the formatter, whatever its line length, from laying this out in another way.
    union = ["Message = Union[  # noqa: UP007", *(f"    {name}," for name in names), "]", '"""Any message."""', ""]
    listed = ["MESSAGES: dict[int, type[Message]] = {", *(f"    {name}.ID: {name}," for name in names), "}"]
    return "\n\n".join(parts) + "\n\n" + "\n".join([*union, *listed, '"""Message class of each id."""', ""])


def class_name(message: Message) -> str:
    """Returns the CamelCase name of a message."""
    return "".join(word.capitalize() for word in message.name.split("_"))


def _enum(enum: Enum) -> Iterator[str]:
    yield f"class {enum.name}({'IntFlag' if enum.flags else 'IntEnum'}):"
    yield f'    """{enum.doc}"""'
    yield ""
    for name, value in enum.values:
        yield f"    {name} = {f'0x{value:04X}' if enum.flags else value}"
    yield ""


def _message(message: Message) -> Iterator[str]:
    code = "<" + "".join(field.code for field in message.fields)
    yield "@dataclass(slots=True)"
    yield f"class {class_name(message)}:"
    yield f'    """{message.doc}'
    yield ""
    yield "    Attributes:"
    for field in message.fields:
        yield f"      {field.name}: {description(field)}."
    yield '    """'
    yield ""
    yield f"    ID: ClassVar[int] = {message.id}"
    yield f'    STRUCT: ClassVar[Struct] = Struct("{code}")'
    yield ""
    for field in message.fields:
        yield f"    {field.name}: {_annotation(field)}"
    yield ""
    yield "    def pack_into(self, buffer: bytearray, offset: int) -> None:"
    yield '        """Packs the payload into a buffer, little-endian."""'
    yield "        self.STRUCT.pack_into("
    yield "            buffer,"
    yield "            offset,"
    for field in message.fields:
        yield f"            {_packed(field)},"
    yield "        )"
    yield ""
    yield "    @classmethod"
    yield f"    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> {class_name(message)}:"
    yield '        """Unpacks a payload of exactly this message\'s size."""'
    yield "        values = cls.STRUCT.unpack_from(buffer, offset)"
    if len(message.fields) == 1:
        yield f"        return cls({_unpacked(message.fields[0], 0)})"
    else:
        yield "        return cls("
        at = 0
        for field in message.fields:
            yield f"            {_unpacked(field, at)},"
            at += _slots(field)
        yield "        )"
    yield ""


def description(field: Field) -> str:
    """Returns what a field is, with its enum, unit and frame."""
    notes = (f"`{field.enum}`" if field.enum else "-", field.unit, field.frame)
    kept = [note for note in notes if note != "-"]
    return field.doc + (f" ({', '.join(kept)})" if kept else "")


def _slots(field: Field) -> int:
    return 1 if field.scalar == "char" else max(field.count, 1)


def _annotation(field: Field) -> str:
    kind = _PYTHON_TYPES.get(field.scalar, "int")
    return f"Sequence[{kind}]" if _slots(field) > 1 else kind


def _packed(field: Field) -> str:
    if field.scalar == "char":
        return f"pack_text(self.{field.name}, {field.count}, cut={field.cut})"
    return f"{'*' if _slots(field) > 1 else ''}self.{field.name}"


def _unpacked(field: Field, at: int) -> str:
    if field.scalar == "char":
        return f"unpack_text(values[{at}])"
    return f"values[{at}:{at + field.count}]" if _slots(field) > 1 else f"values[{at}]"
