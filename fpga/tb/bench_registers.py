"""The register file through AXI4-Lite: values, strobes, back-pressure, gates shut, resets in the middle."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiResp

from haltere.fpga.registers import ID, MAP, offset
from haltere.fpga.tb.common import random_sample, repetitions
from haltere.fpga.tb.design import ACCESS_TIMEOUT_NS, STOPPED, Design, writable

UNMAPPED = (0x064, 0x0BC, 0x0FC, 0x150, 0x1FC, 0x4C0 + 0x100, 0xE00, 0xFFC, 0x1400, 0x1FFC)


@cocotb.test()
async def reset_values(dut: Any) -> None:
    """After reset every register reads as the map says, and everything is on."""
    design = Design(dut)
    await design.begin()
    assert await design.read("ID") == ID
    for register in MAP:
        if register.access == "rw" and register.name != "TICK_CYCLES":
            for index in range(register.count):
                assert await design.read(register.name, index) == register.reset, register.name
    assert await design.read("STATUS") == 0x11F
    await design.check_registers()


@cocotb.test()
async def words_read_back_under_back_pressure(dut: Any) -> None:
    """Every writable word keeps what it was given, also while all channels of the bus pause at random."""
    design = Design(dut)
    await design.begin(pauses=True)
    for _ in range(repetitions(1, 4)):
        addresses = writable()
        random.shuffle(addresses)
        for address in addresses[: repetitions(60, len(addresses))]:
            await design.write_at(address, random.getrandbits(32))
        await design.write("TICK_CYCLES", STOPPED)
        await design.check_registers()


@cocotb.test()
async def part_of_a_word_is_refused(dut: Any) -> None:
    """A write with some strobes low answers SLVERR and changes nothing; the next one works."""
    design = Design(dut)
    await design.begin()
    await design.write("MARGIN_MIN", 0x12345678)
    for address, data in ((0xC8, b"\xff"), (0xC9, b"\xff\xff"), (0xC8, b"\xff\xff\xff")):
        response = await design.master.write(address, data)
        assert response.resp == AxiResp.SLVERR
        assert await design.read("MARGIN_MIN") == 0x12345678
    await design.write("MARGIN_MIN", 0x87654321)
    assert await design.read("MARGIN_MIN") == 0x87654321


@cocotb.test()
async def unmapped_addresses_answer(dut: Any) -> None:
    """What is not in the map reads as zero and ignores writes."""
    design = Design(dut)
    await design.begin()
    for address in UNMAPPED:
        await design.write_at(address, 0xFFFFFFFF)
        assert await design.read_at(address) == 0, hex(address)
    await design.check_registers()


@cocotb.test()
async def access_never_hangs_while_gated(dut: Any) -> None:
    """With every clock stopped that can be, each register still answers within its time."""
    design = Design(dut)
    await design.begin(pauses=True)
    await design.write("DWELL", 0)
    await design.write("GATE", 0)
    await design.write("HEARTBEAT", 1)
    await design.tick()
    assert await design.read("STATUS") & 0x1F == 1
    before = [int(dut.flow.fifo.write_reg.value), int(dut.lidar.filter.age.value)]
    addresses = writable()
    random.shuffle(addresses)
    for address in addresses[: repetitions(40, len(addresses))]:
        await design.write_at(address, random.getrandbits(32))
        assert await design.read_at(address) == design.model.read(address)
    await design.write("TICK_CYCLES", STOPPED)
    await design.offer({path: random_sample(count) for path, count in enumerate((3, 3, 8, 4, 1))})
    await design.check_registers()
    assert before == [int(dut.flow.fifo.write_reg.value), int(dut.lidar.filter.age.value)]


async def _cut_short(design: Design, write: bool) -> None:
    # A bus master that is reset has no answer to give, and its client says so by one of these.
    with contextlib.suppress(TypeError, AttributeError):
        if write:
            await design.master.write_dword(offset("DWELL"), 7)
        else:
            await design.master.read_dword(offset("DWELL"))


@cocotb.test()
async def reset_in_the_middle_of_a_transaction(dut: Any) -> None:
    """A reset at any moment of a read or write leaves a bus that works and registers as after power-up."""
    for index in range(repetitions(7, 140)):
        design = Design(dut)
        await design.begin(first=index == 0)
        await design.write("GATE", 0)
        await design.write("HEARTBEAT", 1)
        await design.tick()
        cocotb.start_soon(_cut_short(design, write=bool(index % 2)))
        await ClockCycles(dut.s_axi_aclk, index // 2 % 7)
        dut.s_axi_aresetn.value = 0
        await ClockCycles(dut.s_axi_aclk, 1 + index % 3)
    design = Design(dut)
    await design.begin(first=False)
    # The memories keep what was in them; nothing was written to them here.
    await design.check_registers()


@cocotb.test()
async def soft_reset(dut: Any) -> None:
    """CONTROL resets all but the memories, gated paths too, and the bus goes on."""
    design = Design(dut)
    await design.begin()
    await design.configure()
    await design.write("DWELL", 0)
    for gate in (0b11111, 0b00001, 0b10101):
        await design.write("GATE", gate)
        await design.write("HEARTBEAT", 1)
        await design.offer({path: random_sample(count) for path, count in enumerate((3, 3, 8, 4, 1))})
        await design.tick()
    await design.check_registers()
    await design.write("CONTROL", 1)
    await ClockCycles(dut.s_axi_aclk, 8)
    await design.write("TICK_CYCLES", STOPPED)
    await design.check_registers()


@cocotb.test()
async def counters_are_64_bits(dut: Any) -> None:
    """A carry between the two reads of a counter does not tear it."""
    design = Design(dut)
    await design.begin()
    for counter, name, path in (
        (dut.registers.cycles, "CYCLES", 0),
        (dut.imu.active, "ACTIVE", 0),
        (dut.radar.active, "ACTIVE", 4),
    ):
        for start in (0xFFFFFFF0, 0xFFFFFFFA, 0x7_FFFFFFF8):
            counter.count.value = start
            await ClockCycles(dut.s_axi_aclk, random.randint(1, 4))
            low = await design.read(f"{name}_LO", 0, path)
            await ClockCycles(dut.s_axi_aclk, 20)
            high = await design.read(f"{name}_HI", 0, path)
            assert start < (high << 32 | low) < start + 40


@cocotb.test()
async def reads_and_writes_do_not_starve_each_other(dut: Any) -> None:
    """With both kinds of access outstanding at all times, both come through."""
    design = Design(dut)
    await design.begin(pauses=True)
    for _ in range(repetitions(5, 50)):
        writes = [cocotb.start_soon(design.master.write_dword(offset("MASK", index), index)) for index in range(16)]
        reads = [cocotb.start_soon(design.master.read_dword(offset("ID"))) for _ in range(16)]
        for task in writes:
            await with_timeout(task, 32 * ACCESS_TIMEOUT_NS, "ns")
        for task in reads:
            assert await with_timeout(task, 32 * ACCESS_TIMEOUT_NS, "ns") == ID
        for index in range(16):
            assert await design.read("MASK", index) == index
