"""The serial classifier behind its registers against the golden model; hysteresis and the unsure answer."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

from haltere.fpga.paths import ALL_PATHS
from haltere.fpga.registers import offset
from haltere.fpga.tb.common import PERIOD_NS, pack, random_word, repetitions
from haltere.fpga.tb.design import Design


async def _load(design: Design, weight_bits: int, shift: int) -> None:
    for word in range(256):
        lanes = [random.choice((-128, 127)) if weight_bits > 8 else random_word(weight_bits) for _ in range(4)]
        await design.write("WEIGHT", pack(lanes, 8), word)
    for unit in range(48):
        await design.write("BIAS", random_word(random.choice((4, 12, 24))), unit)
    await design.write("REQUANTISE", shift << 16 | random.getrandbits(16))


async def _features(design: Design, features: list[int]) -> None:
    for word in range(4):
        await design.write("FEATURE", pack(features[4 * word : 4 * word + 4], 8), word)


async def _classify(design: Design) -> None:
    done = RisingEdge(design.dut.classified)
    await design.write("CLASSIFY", 1)
    await with_timeout(done, 3000 * PERIOD_NS, "ns")
    for name in ("BEST", "MARGIN", "SUGGESTION", "CLASSIFIED"):
        assert await design.read(name) == design.model.read(offset(name)), name


@cocotb.test()
async def bit_for_bit(dut: Any) -> None:
    """Class, margin and suggestion are the model's for weights, biases and features of every size."""
    design = Design(dut)
    await design.begin()
    for trial in range(repetitions(2, 40)):
        await _load(design, weight_bits=(8, 9, 5)[trial % 3], shift=random.choice((0, 1, 8, 14, 20, 31)))
        for context in range(16):
            await design.write("MASK", random.getrandbits(5), context)
        await design.write("HYSTERESIS", random.choice((0, 1, 2)))
        for _ in range(repetitions(3, 20)):
            await design.write("MARGIN_MIN", random.choice((0, 0, random.getrandbits(20))))
            await _features(design, [max(-128, min(127, random_word(8))) for _ in range(16)])
            await _classify(design)


@cocotb.test()
async def ties_go_to_the_lowest_class(dut: Any) -> None:
    """Of equal scores the lowest class wins, with no margin; an unused class does not."""
    design = Design(dut)
    await design.begin()
    for word in range(256):
        await design.write("WEIGHT", 0, word)
    for unit in range(48):
        await design.write("BIAS", 0, unit)
    await _classify(design)
    assert await design.read("BEST") == await design.read("MARGIN") == 0
    for unit in range(32, 48):
        await design.write("BIAS", -(2**23), unit)
    for best, second in ((15, 0), (3, 9), (0, 15)):
        await design.write("BIAS", 70, 32 + best)
        await design.write("BIAS", 30, 32 + second)
        await _classify(design)
        assert (await design.read("BEST"), await design.read("MARGIN")) == (best, 40)
        await design.write("BIAS", -(2**23), 32 + best)
        await design.write("BIAS", -(2**23), 32 + second)


@cocotb.test()
async def a_context_must_win_several_times_and_doubt_wins_at_once(dut: Any) -> None:
    """Hysteresis on the way in; an unsure answer asks for every path with no delay."""
    design = Design(dut)
    await design.begin()
    for word in range(256):
        await design.write("WEIGHT", 0, word)
    for unit in range(48):
        await design.write("BIAS", 0, unit)
    await design.write("HYSTERESIS", 3)
    await design.write("MARGIN_MIN", 10)
    await design.write("MASK", 0b00101, 7)
    await design.write("MASK", 0b10001, 2)
    # Class that wins and the suggestion after it.
    for best, margin, expected in (
        (7, 50, ALL_PATHS),
        (7, 50, ALL_PATHS),
        (7, 50, 0b00101),
        (2, 50, 0b00101),
        (7, 50, 0b00101),
        (2, 50, 0b00101),
        (2, 50, 0b00101),
        (2, 50, 0b10001),
        (2, 9, ALL_PATHS),
        (2, 50, ALL_PATHS),
        (2, 50, ALL_PATHS),
        (2, 10, 0b10001),
    ):
        await design.write("BIAS", margin, 32 + best)
        await _classify(design)
        assert await design.read("SUGGESTION") & 0x1F == expected
        await design.write("BIAS", 0, 32 + best)


@cocotb.test()
async def a_second_start_while_busy_is_ignored(dut: Any) -> None:
    """One classification at a time."""
    design = Design(dut)
    await design.begin()
    await _load(design, 8, 12)
    done = RisingEdge(dut.classified)
    await design.write("CLASSIFY", 1)
    assert await design.read("STATUS") >> 10 & 1 == 1
    await design.master.write_dword(offset("CLASSIFY"), 1)
    await with_timeout(done, 3000 * PERIOD_NS, "ns")
    assert await design.read("CLASSIFIED") == 1
    assert await design.read("STATUS") >> 10 & 1 == 0
