"""Writes `haltere_messages.h` from the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator

from haltere.firmware_bridge.link.python_module import description
from haltere.firmware_bridge.link.schema import CRC_SIZE, HEADER_SIZE, Enum, Field, Message, Schema

_PREAMBLE = """/* The link's messages. Generated from schema.toml by `link.generate`; do not edit. */
#ifndef HALTERE_MESSAGES_H
#define HALTERE_MESSAGES_H

#include <stdint.h>
#include <string.h>

/** Protocol version: the first 32 bits of SHA-256 of the schema. */
#define HALTERE_SCHEMA_HASH 0x{hash:08X}u

#define HALTERE_FRAME_HEADER_SIZE {header}u
#define HALTERE_FRAME_CRC_SIZE {crc}u
/** Bytes of the longest payload. */
#define HALTERE_MAX_PAYLOAD_SIZE {payload}u
/** Bytes of the longest frame on the wire, delimiter included. */
#define HALTERE_MAX_WIRE_SIZE {wire}u
"""
_PRIMITIVES = """
static inline uint8_t *haltere_put_u8(uint8_t *out, uint8_t value)
{
    out[0] = value;
    return out + 1;
}

static inline uint8_t *haltere_put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    return out + 2;
}

static inline uint8_t *haltere_put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
    return out + 4;
}

static inline uint8_t *haltere_put_f32(uint8_t *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return haltere_put_u32(out, bits);
}

/* Text of at most `size` bytes, padded with NUL. */
static inline uint8_t *haltere_put_text(uint8_t *out, const char *text, size_t size)
{
    size_t i = 0;
    for (; i < size && text[i] != '\\0'; i++) {
        out[i] = (uint8_t)text[i];
    }
    memset(out + i, 0, size - i);
    return out + size;
}

static inline const uint8_t *haltere_get_u8(const uint8_t *in, uint8_t *value)
{
    *value = in[0];
    return in + 1;
}

static inline const uint8_t *haltere_get_u16(const uint8_t *in, uint16_t *value)
{
    *value = (uint16_t)(in[0] | (in[1] << 8));
    return in + 2;
}

static inline const uint8_t *haltere_get_u32(const uint8_t *in, uint32_t *value)
{
    *value = (uint32_t)in[0] | ((uint32_t)in[1] << 8) | ((uint32_t)in[2] << 16) | ((uint32_t)in[3] << 24);
    return in + 4;
}

static inline const uint8_t *haltere_get_f32(const uint8_t *in, float *value)
{
    uint32_t bits;
    in = haltere_get_u32(in, &bits);
    memcpy(value, &bits, sizeof bits);
    return in;
}

/* `text` has room for `size` bytes and a NUL. */
static inline const uint8_t *haltere_get_text(const uint8_t *in, char *text, size_t size)
{
    memcpy(text, in, size);
    text[size] = '\\0';
    return in + size;
}
"""
_C_TYPES = {"u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "f32": "float", "char": "char"}


def c_header(schema: Schema) -> str:
    """Returns the C header: enums, one struct a message, and their packing."""
    lines = [
        _PREAMBLE.format(
            hash=schema.hash,
            header=HEADER_SIZE,
            crc=CRC_SIZE,
            payload=max(message.size for message in schema.messages),
            wire=max(message.wire_size for message in schema.messages),
        )
    ]
    for enum in schema.enums:
        lines += _enum(enum)
    lines.append("enum haltere_message_id {")
    lines += [f"    HALTERE_ID_{message.name.upper()} = {message.id}," for message in schema.messages]
    lines.append("};\n")
    lines += [f"#define HALTERE_SIZE_{message.name.upper()} {message.size}u" for message in schema.messages]
    lines.append("")
    lines.append("/** Calls X(name, NAME) for every message. */")
    entries = [f"X({message.name}, {message.name.upper()})" for message in schema.messages]
    lines += _macro("HALTERE_MESSAGES(X)", entries)
    for message in schema.messages:
        lines += _struct(message)
    lines.append("/** Returns the payload size of a message, or -1 if the id is unknown. */")
    lines.append("static inline int haltere_payload_size(uint8_t id)\n{\n    switch (id) {")
    for message in schema.messages:
        lines.append(f"    case HALTERE_ID_{message.name.upper()}:")
        lines.append(f"        return HALTERE_SIZE_{message.name.upper()};")
    lines.append("    default:\n        return -1;\n    }\n}")
    lines.append(_PRIMITIVES)
    for message in schema.messages:
        lines += _functions(message)
    lines.append("#endif\n")
    return "\n".join(lines)


def _enum(enum: Enum) -> Iterator[str]:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).lower()
    yield f"/** {enum.doc} */"
    yield f"enum haltere_{name} {{"
    for key, value in enum.values:
        number = f"0x{value:04X}" if enum.flags else str(value)
        yield f"    HALTERE_{name.upper()}_{key} = {number},"
    yield "};\n"


def _macro(name: str, entries: list[str]) -> Iterator[str]:
    yield "/* clang-format off */"
    yield f"#define {name} \\"
    yield from (f"    {entry} \\" for entry in entries[:-1])
    yield f"    {entries[-1]}"
    yield "/* clang-format on */\n"


def _struct(message: Message) -> Iterator[str]:
    yield f"/** {message.doc} */"
    yield f"typedef struct haltere_{message.name} {{"
    for field in message.fields:
        size = field.count + 1 if field.scalar == "char" else field.count
        array = f"[{size}]" if size else ""
        yield f"    /** {description(field)} */"
        yield f"    {_C_TYPES[field.scalar]} {field.name}{array};"
    yield f"}} haltere_{message.name};\n"


def _functions(message: Message) -> Iterator[str]:
    name = f"haltere_{message.name}"
    yield f"/** Packs into HALTERE_SIZE_{message.name.upper()} bytes. */"
    yield f"static inline void {name}_pack(const {name} *message, uint8_t *out)\n{{"
    for i, field in enumerate(message.fields):
        yield from _call("put", field, "" if i == len(message.fields) - 1 else "out = ", "out", "")
    yield "}\n"
    yield f"/** Unpacks HALTERE_SIZE_{message.name.upper()} bytes. */"
    yield f"static inline void {name}_unpack({name} *message, const uint8_t *in)\n{{"
    for i, field in enumerate(message.fields):
        yield from _call("get", field, "" if i == len(message.fields) - 1 else "in = ", "in", "&")
    yield "}\n"


def _call(verb: str, field: Field, assign: str, cursor: str, address: str) -> Iterator[str]:
    if field.scalar == "char":
        yield f"    {assign}haltere_{verb}_text({cursor}, message->{field.name}, {field.count});"
    elif field.count:
        yield f"    for (int i = 0; i < {field.count}; i++) {{"
        call = f"haltere_{verb}_{field.scalar}({cursor}, {address}message->{field.name}[i])"
        yield f"        {cursor} = {call};"
        yield "    }"
    else:
        yield f"    {assign}haltere_{verb}_{field.scalar}({cursor}, {address}message->{field.name});"
