"""The whole design on the bench: AXI4-Lite master, sensors, and the golden model beside it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.paths import PATHS
from haltere.fpga.registers import MAP, PATH_BASE, PATH_MAP, offset
from haltere.fpga.tb.common import PERIOD_NS, pack, random_word

STOPPED = 0xFFFFFFFF
"""TICK_CYCLES with which no tick falls due within a bench."""
ACCESS_TIMEOUT_NS = 200 * PERIOD_NS
IN_CYCLES = ("CYCLES_LO", "CYCLES_HI", "ACTIVE_LO", "ACTIVE_HI")
"""Registers that count cycles, which the model knows by whole ticks only."""


def random_pauses() -> Iterator[bool]:
    """Yields for each cycle whether a bus channel pauses."""
    while True:
        busy = random.random() < 0.5
        yield from itertools.repeat(busy, random.randint(1, 6))


# The memories outlive a reset, in the RTL and so in its model: one model for all tests of a simulation.
_MODEL = GoldenDevice()


async def _edge(signal: Any) -> None:
    await RisingEdge(signal)


class Design:
    """Drives RTL and model with the same accesses and samples."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.model = _MODEL
        self.model.write(offset("CONTROL"), 1)
        dut.s_axi_aresetn.value = 0
        for path in PATHS:
            getattr(dut, f"s_axis_{path.name}_tvalid").value = 0
        self.ports = [
            (getattr(dut, f"s_axis_{path.name}_tdata"), getattr(dut, f"s_axis_{path.name}_tvalid")) for path in PATHS
        ]

    async def begin(self, first: bool = True, pauses: bool = False) -> None:
        """Starts clock and bus master and ends the reset. The timer is stopped."""
        dut = self.dut
        if first:
            Clock(dut.s_axi_aclk, PERIOD_NS, unit="ns").start()
        bus = AxiLiteBus.from_prefix(dut, "s_axil")
        self.master = AxiLiteMaster(bus, dut.s_axi_aclk, dut.s_axi_aresetn, reset_active_level=False)
        self.master.write_if.log.setLevel("WARNING")
        self.master.read_if.log.setLevel("WARNING")
        if pauses:
            write, read = self.master.write_if, self.master.read_if
            for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
                channel.set_pause_generator(random_pauses())
        await ClockCycles(dut.s_axi_aclk, 5)
        dut.s_axi_aresetn.value = 1
        await ClockCycles(dut.s_axi_aclk, 2)
        await self.write("TICK_CYCLES", STOPPED)

    async def write_at(self, address: int, value: int) -> None:
        """Writes a word to both."""
        await with_timeout(self.master.write_dword(address, value & 0xFFFFFFFF), ACCESS_TIMEOUT_NS, "ns")
        self.model.write(address, value & 0xFFFFFFFF)

    async def read_at(self, address: int) -> int:
        """Reads a word from the RTL."""
        word = await with_timeout(self.master.read_dword(address), ACCESS_TIMEOUT_NS, "ns")
        return int(word)

    async def write(self, name: str, value: int, index: int = 0, path: int = 0) -> None:
        """Writes a register of both by name."""
        await self.write_at(offset(name, index, path), value)

    async def read(self, name: str, index: int = 0, path: int = 0) -> int:
        """Reads a register of the RTL by name."""
        return await self.read_at(offset(name, index, path))

    async def offer(self, samples: dict[int, tuple[int, ...]]) -> None:
        """Offers at most one sample to each path's port, all in one cycle."""
        for path, raw in samples.items():
            self.ports[path][0].value = pack(raw, 16)
            self.ports[path][1].value = 1
            self.model.push(path, raw)
        await RisingEdge(self.dut.s_axi_aclk)
        for path in samples:
            self.ports[path][1].value = 0

    async def configure(self) -> None:
        """Writes a random configuration of paths and fuser: gains of all sizes, delays, limits."""
        for index, path in enumerate(PATHS):
            for axis in range(len(path.axes)):
                for channel in range(path.channels):
                    await self.write("CALIBRATION", random_word(25), 8 * axis + channel, index)
                await self.write("OFFSET", random_word(32), axis, index)
                await self.write("GAIN_POSITION", random_word(random.choice((14, 25))), axis, index)
                await self.write("GAIN_VELOCITY", random_word(random.choice((14, 25))), axis, index)
                await self.write("PRECISION", random_word(random.choice((8, 25))), axis, index)
            for column in range(6):
                weight = random.choice((0, random.getrandbits(16), random.getrandbits(4), 0xFFFF))
                await self.write("FUSION", random.getrandbits(16) << 16 | weight, 8 * index + column)
            await self.write("FUSION", random.choice((0, random.randint(0, 130), 0xFFFFFFFF)), 8 * index + 6)
            age, nis = random.choice((2, 20, 0xFFFF)), random.choice((0, random.getrandbits(16), 0xFFFF, 0xFFFF))
            await self.write("FUSION", nis << 16 | age, 8 * index + 7)
        for axis in range(3):
            await self.write("SEED_POSITION", random_word(32), axis)
            await self.write("SEED_VELOCITY", random_word(32), axis)

    async def tick(self) -> None:
        """Works one tick in both, with the timer stopped before and after."""
        dut = self.dut
        due = cocotb.start_soon(_edge(dut.tick))
        await self.write("TICK_CYCLES", 1)
        await due
        self.model.advance(1)
        await self.write("TICK_CYCLES", STOPPED)
        while await self.read("STATUS") >> 9 & 1:
            pass

    async def check_registers(self) -> None:
        """Compares every register that can be read and does not count cycles."""
        names: dict[int, str] = {}
        for register in MAP:
            if register.access != "w" and register.name not in (*IN_CYCLES, "OVERRUNS"):
                names |= {register.offset + 4 * index: register.name for index in range(register.count)}
        for path, shape in enumerate(PATHS):
            for register in PATH_MAP:
                if register.name not in IN_CYCLES:
                    first = offset(register.name, 0, path)
                    names |= {first + 4 * index: f"{shape.name} {register.name}" for index in range(register.count)}
        differ = {}
        for address, name in names.items():
            got, expected = await self.read_at(address), self.model.read(address)
            if got != expected:
                differ[f"{name} at {address:#x}"] = f"{got:#x}, model {expected:#x}"
        assert not differ


def writable() -> list[int]:
    """Returns the addresses of all registers that can be written and read back."""
    found = [r.offset + 4 * index for r in MAP if r.access == "rw" for index in range(r.count)]
    for path in range(len(PATHS)):
        base = offset("CALIBRATION", 0, path)
        found += [base + r.offset + 4 * index for r in PATH_MAP if r.access == "rw" for index in range(r.count)]
    assert PATH_BASE in found
    return found
