"""Fixed-point helpers: int64 arrays that hold Q12.20 words, and the two ways in which the RTL shortens a result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.int64]

FRACTION_BITS = 20
TICK_S = 33554
"""1/500 s, Q24."""

_LOWEST, _HIGHEST = -(2**31), 2**31 - 1


def saturate(value: Words) -> Words:
    """Clamps to 32 bits."""
    return np.minimum(np.maximum(value, _LOWEST), _HIGHEST)


def round_shift(value: Words, bits: int) -> Words:
    """Shifts right and rounds half upwards."""
    return (value + ((1 << bits) >> 1)) >> bits


def signed(word: int, bits: int = 32) -> int:
    """Returns the low bits of a word as a two's complement number."""
    word &= (1 << bits) - 1
    return word - (1 << bits) if word >> (bits - 1) else word
