"""Text fields: ASCII in a fixed number of bytes, padded with NUL."""

from __future__ import annotations

from haltere.policies.errors import FrameError


def pack_text(text: str, size: int, cut: bool) -> bytes:
    """Returns text as at most `size` bytes; what is not ASCII becomes a question mark.

    Args:
      text: the text.
      size: size of the field, in bytes.
      cut: shorten text that is too long.
    Raises:
      FrameError: the text is too long, and may not be cut.
    """
    raw = text.encode("ascii", "replace")
    if len(raw) > size and not cut:
        raise FrameError(f"{text!r} has {len(raw)} bytes, and its field {size}: use a shorter name")
    return raw[:size]


def unpack_text(raw: bytes) -> str:
    """Returns the text of a field, up to its first NUL."""
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")
