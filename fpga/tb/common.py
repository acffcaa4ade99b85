"""What the benches share: the length of a run, clock and reset."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from haltere.fpga.golden.fixed import signed
from haltere.fpga.simulation import FULL

PERIOD_NS = 10


def repetitions(quick: int, full: int) -> int:
    """Returns how often a random test repeats itself in the form that is run."""
    return full if os.environ.get(FULL) else quick


async def start(dut: Any, clock: bool = True) -> None:
    """Takes the design through a reset of four cycles, and starts its clock first if it has none yet."""
    if clock:
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
    dut.reset.value = 1
    await ClockCycles(dut.clk, 4)
    dut.reset.value = 0
    await RisingEdge(dut.clk)


def random_word(bits: int) -> int:
    """Returns a signed number whose size is as often small as large, and sometimes an extreme."""
    if random.random() < 0.05:
        return random.choice((0, -1, 1, (1 << (bits - 1)) - 1, -(1 << (bits - 1))))
    return random.getrandbits(random.randint(1, bits)) - (1 << (bits - 1)) * random.getrandbits(1) >> random.randint(
        0, bits - 1
    )


def random_sample(channels: int) -> tuple[int, ...]:
    """Returns a raw sample, sometimes with the code that says that the sensor has nothing."""
    if random.random() < 0.03:
        return tuple(random.choice((-32768, 1)) for _ in range(channels))
    return tuple(max(-32768, min(32767, random_word(16))) for _ in range(channels))


def pack(values: Iterable[int], bits: int) -> int:
    """Packs signed numbers into one vector, the first lowest."""
    return sum((value & ((1 << bits) - 1)) << (bits * place) for place, value in enumerate(values))


def unpack(vector: int, bits: int, count: int) -> list[int]:
    """Returns the signed numbers of a vector, the lowest first."""
    return [signed(vector >> (bits * place), bits) for place in range(count)]
