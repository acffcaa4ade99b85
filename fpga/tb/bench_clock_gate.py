"""The clock gate: whole pulses only, none while disabled, and the enable follows reset."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer
from cocotb.utils import get_sim_time

from haltere.fpga.tb.common import PERIOD_NS, repetitions


def _begin(dut: Any) -> None:
    dut.enable.value = 0
    dut.reset.value = 0
    Clock(dut.clk, PERIOD_NS, unit="ns").start()


async def _record(signal: Any, edges: list[tuple[float, int]]) -> None:
    while True:
        await signal.value_change
        edges.append((get_sim_time("ns"), int(signal.value)))


@cocotb.test()
async def whole_pulses_under_a_wild_enable(dut: Any) -> None:
    """However `enable` moves within the cycle, every pulse is a whole pulse of the clock."""
    _begin(dut)
    await ClockCycles(dut.clk, 2)
    clock: list[tuple[float, int]] = []
    gated: list[tuple[float, int]] = []
    cocotb.start_soon(_record(dut.clk, clock))
    cocotb.start_soon(_record(dut.gated_clk, gated))
    for _ in range(repetitions(800, 20_000)):
        await Timer(random.randint(1, 17) * 900 + 50, unit="ps")
        dut.enable.value = random.getrandbits(1)
    dut.enable.value = 0
    await ClockCycles(dut.clk, 2)
    rises = {time for time, value in clock if value}
    falls = {time for time, value in clock if not value}
    assert len(gated) > 100
    assert [value for _, value in gated] == [1, 0] * (len(gated) // 2)
    for time, value in gated:
        assert time in (rises if value else falls), f"an edge of the gated clock at {time} ns is not the clock's"


@cocotb.test()
async def no_edge_while_disabled(dut: Any) -> None:
    """The gated clock has as many edges as there were cycles with `enable` high at their end, no more, no fewer."""
    _begin(dut)
    await RisingEdge(dut.clk)
    gated: list[tuple[float, int]] = []
    cocotb.start_soon(_record(dut.gated_clk, gated))
    expected = 0
    for _ in range(repetitions(200, 5_000)):
        enable = random.getrandbits(1)
        dut.enable.value = enable
        await RisingEdge(dut.clk)
        expected += enable
    dut.enable.value = 0
    await FallingEdge(dut.clk)
    await ReadOnly()
    assert sum(value for _, value in gated) == expected


@cocotb.test()
async def enable_follows_reset(dut: Any) -> None:
    """A reset opens the gate, so that a synchronous reset behind it is seen; afterwards it closes again."""
    _begin(dut)
    await ClockCycles(dut.clk, 3)
    gated: list[tuple[float, int]] = []
    cocotb.start_soon(_record(dut.gated_clk, gated))
    for cycles in (1, 2, 7):
        gated.clear()
        dut.reset.value = 1
        await ClockCycles(dut.clk, cycles)
        dut.reset.value = 0
        await ClockCycles(dut.clk, 4)
        assert sum(value for _, value in gated) == cycles
