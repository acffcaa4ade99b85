"""The codec's contract, held by the Python codec and the C codec, and against each other."""

from __future__ import annotations

import ctypes
import math
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.firmware_bridge.client_c import programs
from haltere.firmware_bridge.link import generate, messages
from haltere.firmware_bridge.link.frame import FrameCounts, FrameDecoder, encode
from haltere.firmware_bridge.link.python_module import class_name
from haltere.firmware_bridge.link.schema import Field, Schema, load
from haltere.policies.errors import ConfigError, FrameError
from haltere.policies.native import build

SCHEMA = load()
CLASSES = list(messages.MESSAGES.values())
FIXTURES = Path(__file__).parent / "fixtures"
GOOD = encode(messages.Heartbeat(messages.LifeCycle.ACTIVE), 7, 123)

_SCALARS = {
    "u8": st.integers(0, 0xFF),
    "u16": st.integers(0, 0xFFFF),
    "u32": st.integers(0, 0xFFFFFFFF),
    "f32": st.floats(width=32, allow_nan=False),
}


def field_values(field: Field) -> st.SearchStrategy[object]:
    if field.scalar == "char":
        return st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=field.count)
    scalar = _SCALARS[field.scalar]
    return st.tuples(*[scalar] * field.count) if field.count else scalar


def any_message() -> st.SearchStrategy[messages.Message]:
    return st.one_of(
        st.builds(messages.MESSAGES[entry.id], *map(field_values, entry.fields)) for entry in SCHEMA.messages
    )


any_frame = st.builds(encode, any_message(), st.integers(0, 255), st.integers(0, 0xFFFFFFFF))


class CFrame(ctypes.Structure):
    _fields_ = (
        ("id", ctypes.c_uint8),
        ("sequence", ctypes.c_uint8),
        ("time_us", ctypes.c_uint32),
        ("payload", ctypes.POINTER(ctypes.c_uint8)),
    )


class CDecoder:
    """The C decoder behind the Python one's interface; messages stay packed."""

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(CFrame))

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.decoder = ctypes.create_string_buffer(library.shim_decoder_size())
        self.library.haltere_frame_decoder_init(self.decoder)

    def feed(self, data: bytes) -> list[tuple[messages.Message, int, int]]:
        received: list[tuple[messages.Message, int, int]] = []

        def take(_: object, pointer: ctypes.POINTER(CFrame)) -> None:  # type: ignore[valid-type]
            frame = pointer.contents
            kind = messages.MESSAGES[frame.id]
            payload = ctypes.string_at(frame.payload, kind.STRUCT.size)
            received.append((kind.unpack_from(payload), frame.sequence, frame.time_us))

        self.library.haltere_frame_feed(self.decoder, data, len(data), self.callback(take), None)
        return received

    @property
    def counts(self) -> FrameCounts:
        return FrameCounts(*struct.unpack_from("=7I", self.decoder))


NewDecoder = Callable[[], "FrameDecoder | CDecoder"]


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    sources = [FIXTURES / "client_shim.c", *programs.client_sources()]
    folder = programs.client_sources()[0].parent
    loaded = ctypes.CDLL(str(build("client_shim", sources, ("-O2", f"-I{folder}"), shared=True)))
    for name in ("shim_decoder_size", "shim_client_size", "haltere_frame_encode"):
        getattr(loaded, name).restype = ctypes.c_size_t
    loaded.haltere_frame_feed.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        CDecoder.callback,
        ctypes.c_void_p,
    ]
    return loaded


@pytest.fixture(scope="module", params=["python", "c"])
def new_decoder(request: pytest.FixtureRequest, library: ctypes.CDLL) -> NewDecoder:
    return FrameDecoder if request.param == "python" else lambda: CDecoder(library)


def c_struct(kind: type[messages.Message]) -> type[ctypes.Structure]:
    """Returns the C struct of a message, laid out from the schema."""
    entry = next(entry for entry in SCHEMA.messages if entry.id == kind.ID)
    scalars = {
        "u8": ctypes.c_uint8,
        "u16": ctypes.c_uint16,
        "u32": ctypes.c_uint32,
        "f32": ctypes.c_float,
        "char": ctypes.c_char,
    }
    fields = []
    for field in entry.fields:
        scalar = scalars[field.scalar]
        size = field.count + 1 if field.scalar == "char" else field.count
        fields.append((field.name, scalar * size if size else scalar))
    return type(class_name(entry), (ctypes.Structure,), {"_fields_": fields})


def test_generated_files_are_what_the_schema_gives() -> None:
    assert generate.main(["--check"]) == 0


def test_check_notices_a_changed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = tmp_path / "messages.py"
    stale.write_text("# edited by hand\n")
    monkeypatch.setattr(generate, "generated", lambda: {stale: "# generated\n"})
    assert generate.main(["--check"]) == 1
    assert stale.read_text() == "# edited by hand\n"
    assert generate.main([]) == 0
    assert stale.read_text() == "# generated\n"


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ('doc = "position"', 'doc = "where it is"', False),
        ("# The one truth", "# The truth", False),
        ('type = "f32[4]", unit = "1", frame = "body → world"', 'type = "f32[3]", unit = "1"', True),
        ('unit = "rad/s"', 'unit = "deg/s"', True),
        ("BUSY = 2", "BUSY = 6", True),
    ],
)
def test_version_changes_with_meaning_only(tmp_path: Path, old: str, new: str, changes: bool) -> None:
    assert _edited(tmp_path, old, new).hash == SCHEMA.hash or changes
    assert (_edited(tmp_path, old, new).hash != SCHEMA.hash) == changes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id = 3", "id = 2", "id of every message"),
        ('type = "f32[3]", unit = "m"', 'type = "f64"', "position_world_m"),
        ('enum = "Role"', 'enum = "Rule"', "'Rule' is unknown"),
        ("SAFE = 2", "SAFE = 256", "Mode"),
        ("char[16]", "char", "needs a size"),
    ],
)
def test_bad_schema_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _edited(tmp_path, old, new)


def _edited(folder: Path, old: str, new: str) -> Schema:
    text = (generate.LINK / "schema.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "schema.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return load(path)


def test_frame_layout_is_as_documented() -> None:
    body = cobs.decode(GOOD[:-1])
    assert GOOD[-1] == 0
    assert body[:7] == struct.pack("<BBIB", 5, 7, 123, 3)
    assert body[7:] == struct.pack("<I", zlib.crc32(body[:7]))


@settings(max_examples=200, deadline=None)
@given(any_message(), st.integers(0, 1000), st.integers(0, 2**40))
def test_round_trip(new_decoder: NewDecoder, message: messages.Message, sequence: int, time_us: int) -> None:
    decoder = new_decoder()
    frame = encode(message, sequence, time_us)
    assert len(frame) <= messages.MAX_WIRE_SIZE
    assert decoder.feed(frame) == [(message, sequence % 256, time_us % 2**32)]
    assert decoder.counts == FrameCounts(received=1)


@settings(max_examples=200, deadline=None)
@given(message=any_message(), sequence=st.integers(0, 255), time_us=st.integers(0, 2**32 - 1))
def test_c_and_python_agree_byte_for_byte(
    library: ctypes.CDLL, message: messages.Message, sequence: int, time_us: int
) -> None:
    payload = bytearray(message.STRUCT.size)
    message.pack_into(payload, 0)
    in_c = c_struct(type(message))()
    assert library.shim_unpack(message.ID, ctypes.byref(in_c), bytes(payload)) == ctypes.sizeof(in_c)
    for name in message.__slots__:
        value = getattr(in_c, name)
        if isinstance(value, bytes):
            value = value.decode()
        assert (tuple(value) if isinstance(value, ctypes.Array) else value) == getattr(message, name)
    packed = ctypes.create_string_buffer(len(payload))
    assert library.shim_pack(message.ID, ctypes.byref(in_c), packed) == len(payload)
    assert packed.raw == bytes(payload)
    frame = ctypes.create_string_buffer(messages.MAX_WIRE_SIZE)
    size = library.haltere_frame_encode(message.ID, sequence, ctypes.c_uint32(time_us), packed, frame)
    assert frame.raw[:size] == encode(message, sequence, time_us)


def test_every_message_is_compared() -> None:
    assert {kind.ID for kind in CLASSES} == {entry.id for entry in SCHEMA.messages}
    assert SCHEMA.hash == messages.SCHEMA_HASH


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_never_raise_and_the_next_frame_is_found(new_decoder: NewDecoder, data: bytes) -> None:
    decoder = new_decoder()
    assert decoder.feed(data) == []
    assert [message for message, *_ in decoder.feed(b"\0" + GOOD)] == [messages.Heartbeat(3)]


@settings(max_examples=200, deadline=None)
@given(frame=any_frame, data=st.data())
def test_damage_is_never_accepted(new_decoder: NewDecoder, frame: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(frame) - 9), label="bit")
    flipped = bytearray(frame)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(frame) - 2), label="cut")
    for damaged in (bytes(flipped), frame[:cut] + b"\0", frame[cut + 1 :]):
        decoder = new_decoder()
        assert decoder.feed(damaged) == []
        assert [message for message, *_ in decoder.feed(GOOD)] == [messages.Heartbeat(3)]
        # A flipped bit can turn a byte into a delimiter, and so one frame into two.
        assert sum(vars_of(decoder.counts)[2:]) in (0, 1, 2)
        assert decoder.counts.received == 1


def vars_of(counts: FrameCounts) -> list[int]:
    return [getattr(counts, name) for name in FrameCounts.__slots__]


@settings(max_examples=100, deadline=None)
@given(
    chunks=st.lists(st.one_of(any_frame, st.binary(max_size=120), st.just(b"\0")), max_size=12),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_c_and_python_decode_any_stream_alike(library: ctypes.CDLL, chunks: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(chunks)
    whole, pieces, in_c = FrameDecoder(), FrameDecoder(), CDecoder(library)
    expected = whole.feed(stream)
    assert str(in_c.feed(stream)) == str(expected)
    received, at = [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        received += pieces.feed(stream[at : at + size])
        at += size
    assert str(received) == str(expected)
    assert in_c.counts == whole.counts == pieces.counts


def _raw(body: bytes) -> bytes:
    return bytes(cobs.encode(body + struct.pack("<I", zlib.crc32(body)))) + b"\0"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x09\x01\0", "cobs"),
        (b"\x02\x01\0", "length"),
        (_raw(struct.pack("<BBI", 5, 0, 0)), "length"),
        (_raw(struct.pack("<BBI", 5, 0, 0) + b"\x01\x02"), "length"),
        (_raw(struct.pack("<BBI", 200, 0, 0) + b"\x01"), "unknown"),
        (cobs.encode(struct.pack("<BBIBI", 5, 0, 0, 3, 0)) + b"\0", "crc"),
        (b"\x01" * (messages.MAX_WIRE_SIZE - 1) + b"\0", "crc"),
        (b"\x01" * messages.MAX_WIRE_SIZE + b"\0", "oversize"),
        (b"\x01" * 5000 + b"\0", "oversize"),
    ],
)
def test_each_reason_is_counted(new_decoder: NewDecoder, frame: bytes, reason: str) -> None:
    decoder = new_decoder()
    assert decoder.feed(frame) == []
    assert decoder.counts == FrameCounts(**{reason: 1})
    assert len(decoder.feed(GOOD)) == 1


def test_empty_frames_are_not_errors(new_decoder: NewDecoder) -> None:
    decoder = new_decoder()
    assert len(decoder.feed(b"\0\0\0" + GOOD + b"\0\0")) == 1
    assert decoder.counts == FrameCounts(received=1)


@pytest.mark.parametrize(("sequences", "lost"), [([0, 1, 2], 0), ([254, 255, 0, 2], 1), ([10, 5], 250)])
def test_sequence_gaps_are_lost_frames(new_decoder: NewDecoder, sequences: list[int], lost: int) -> None:
    decoder = new_decoder()
    decoder.feed(b"".join(encode(messages.Heartbeat(3), sequence, 0) for sequence in sequences))
    assert decoder.counts == FrameCounts(received=len(sequences), lost=lost)


def test_a_hello_restarts_the_sequence(new_decoder: NewDecoder) -> None:
    decoder = new_decoder()
    hello = messages.Hello(messages.SCHEMA_HASH, messages.Role.RUNTIME, 1, 100, "policy")
    decoder.feed(encode(messages.Heartbeat(3), 99, 0) + encode(hello, 0, 0) + encode(hello, 1, 0))
    assert decoder.counts == FrameCounts(received=3)


def test_memory_is_bounded() -> None:
    decoder = FrameDecoder()
    generator = random.Random(5)
    for _ in range(200):
        decoder.feed(bytes(generator.randrange(1, 256) for _ in range(500)))
        assert len(decoder._partial) <= messages.MAX_WIRE_SIZE
    assert decoder.counts == FrameCounts(oversize=1)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (messages.Heartbeat(256), "Heartbeat"),
        (messages.Heartbeat(-1), "Heartbeat"),
        (messages.State(0, (1.0, 2.0), (1, 0, 0, 0), (0, 0, 0), (0, 0, 0), (0,) * 4), "State"),
        (messages.ParameterSet("ratio", 1e39), "ParameterSet"),
        (messages.ParameterSet("a_name_of_more_than_16", 1.0), "shorter"),
    ],
)
def test_what_does_not_fit_is_refused(message: messages.Message, text: str) -> None:
    with pytest.raises(FrameError, match=text):
        encode(message, 0, 0)


def test_text_is_cut_and_made_ascii() -> None:
    ((message, *_),) = FrameDecoder().feed(encode(messages.Log(20, "µ" + 100 * "x"), 0, 0))
    assert message == messages.Log(20, "?" + 63 * "x")


def test_nonfinite_numbers_pass_the_wire() -> None:
    parameter = messages.ParameterSet("x", math.nan)
    ((message, *_),) = FrameDecoder().feed(encode(parameter, 0, 0))
    assert isinstance(message, messages.ParameterSet)
    assert math.isnan(message.value)
