"""Writes `PROTOCOL.md` from the schema."""

from __future__ import annotations

from collections.abc import Iterator

from haltere.firmware_bridge.link.schema import Enum, Message, Schema

BAUDS = (115_200, 921_600)
_BITS_PER_BYTE = 10

_PREAMBLE = """# The link's protocol

Generated from `schema.toml` by `python -m haltere.firmware_bridge.link.generate`; do not edit.

Protocol version (schema hash): `0x{hash:08X}`, the first 32 bits of SHA-256 of the schema without its texts.

## Frame

```
COBS( id u8 · sequence u8 · time_us u32 · payload · crc32 u32 ) 0x00
```

- Little-endian, packed without padding. `f32` is IEEE 754 single precision, text is ASCII padded with NUL.
- `sequence` counts every frame that one end sends, and wraps; a gap is a lost frame. A hello restarts it.
- `time_us` is the sender's monotonic clock when it sends, in microseconds; it wraps after 71.6 minutes.
- `crc32` is zlib's CRC-32 of everything before it.
- A frame that fails COBS, length or CRC, or has an unknown id, is dropped and counted; nothing is answered.
- World frame: ENU-like, z up. Body frame: FLU (x forward, y left, z up). Quaternions are wxyz, body → world.

## Session

The flight controller sends `hello` until the runtime answers with its own. Both compare `schema_hash`: if it
differs, the answer is a `fault` VERSION_MISMATCH and no state or action is used. `hello` and `fault` keep
their ids and layouts for ever. A `hello` with another `session_id` means that its sender has restarted: the
flight controller then opens the session anew.

## Messages

Wire time is for 8N1, ten bits a byte, delimiter included.
"""


def protocol_page(schema: Schema) -> str:
    """Returns the protocol page, in Markdown."""
    lines = [_PREAMBLE.format(hash=schema.hash)]
    lines += _overview(schema)
    for message in schema.messages:
        lines += _message(message)
    lines.append("## Enums\n")
    for enum in schema.enums:
        lines += _enum(enum)
    return "\n".join(lines)


def _overview(schema: Schema) -> Iterator[str]:
    yield "| id | message | direction | payload, bytes | frame, bytes |" + "".join(f" ms at {baud} |" for baud in BAUDS)
    yield "|---|---|---|---|---|" + "---|" * len(BAUDS)
    for message in schema.messages:
        times = "".join(f" {1e3 * message.wire_size * _BITS_PER_BYTE / baud:.2f} |" for baud in BAUDS)
        yield (
            f"| {message.id} | `{message.name}` | {message.direction} | {message.size} | {message.wire_size} |{times}"
        )
    yield ""


def _message(message: Message) -> Iterator[str]:
    yield f"### `{message.name}` ({message.id})\n"
    yield f"{message.doc}\n"
    yield "| field | type | unit | frame | |"
    yield "|---|---|---|---|---|"
    for field in message.fields:
        size = f"[{field.count}]" if field.count else ""
        enum = f" `{field.enum}`" if field.enum else ""
        yield f"| `{field.name}` | {field.scalar}{size}{enum} | {field.unit} | {field.frame} | {field.doc} |"
    yield ""


def _enum(enum: Enum) -> Iterator[str]:
    yield f"### `{enum.name}` ({enum.type}{', flags' if enum.flags else ''})\n"
    yield f"{enum.doc}\n"
    yield "| value | name |"
    yield "|---|---|"
    for name, value in enum.values:
        yield f"| {f'0x{value:04X}' if enum.flags else value} | {name} |"
    yield ""
