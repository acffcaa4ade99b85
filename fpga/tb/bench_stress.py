"""The whole design against the golden model: random samples, random gating, random faults, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from haltere.fpga.golden.filter import FilterState
from haltere.fpga.paths import ALL_PATHS, PATHS, QUEUE_DEPTH
from haltere.fpga.tb.common import PERIOD_NS, pack, random_sample, repetitions, unpack
from haltere.fpga.tb.design import STOPPED, Design

LONG_TICK = 1280
"""Cycles that are enough for a tick in which every queue is full."""
BACK_TO_BACK = 1
"""TICK_CYCLES with which a tick begins as soon as the last one is done."""
SHORTEST_TICK = 340
"""Cycles of a tick without a sample."""
RESERVE_CYCLES = 60
"""Before the next tick: no access begins that might not be over by then."""


class Stress:
    """Drives the design tick by tick with the timer running, and compares at each tick."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.dut = design.dut
        self.offered = 0
        self.due_ns = 0.0
        self.tick_cycles = LONG_TICK
        self.in_work = [0] * len(PATHS)

    async def next_tick(self) -> None:
        """Waits for the tick, compares all that the last one left behind, and has the model work this one."""
        await RisingEdge(self.dut.tick)
        await FallingEdge(self.dut.s_axi_aclk)
        self.compare()
        self.in_work = [len(path.queue) for path in self.design.model.core.paths]
        self.design.model.advance(1)
        await RisingEdge(self.dut.s_axi_aclk)
        self.due_ns = get_sim_time("ns") + max(self.tick_cycles, SHORTEST_TICK) * PERIOD_NS

    async def resume(self, tick_cycles: int) -> None:
        """Starts the timer, whose first tick is due at once, and has the model work that tick."""

        async def first() -> float:
            await RisingEdge(self.dut.tick)
            return get_sim_time("ns")

        tick = cocotb.start_soon(first())
        self.tick_cycles = tick_cycles
        await self.design.write("TICK_CYCLES", tick_cycles)
        self.due_ns = (await tick) + max(tick_cycles, SHORTEST_TICK) * PERIOD_NS
        self.in_work = [len(path.queue) for path in self.design.model.core.paths]
        self.design.model.advance(1)

    def cycles_left(self) -> int:
        """Returns the cycles until the next tick, less the reserve."""
        return int((self.due_ns - get_sim_time("ns")) / PERIOD_NS) - RESERVE_CYCLES

    def compare(self) -> None:
        """Compares every word that a tick computes."""
        dut, core = self.dut, self.design.model.core
        states = [path.state for path in core.paths]
        fused = core.fuser
        expected = {
            "awake": core.governor.awake,
            "expired": int(core.governor.expired),
            "valid": sum(1 << path for path in range(5) if states[path].valid),
            "age": pack((int(state.age) for state in states), 16),
            "nis": pack((int(state.nis) for state in states), 24),
            "usable": sum(1 << path for path in range(5) if fused.usable[path]),
            "consistent": sum(1 << path for path in range(5) if fused.consistent[path]),
            "path_position": self._around(states, "position"),
            "path_velocity": self._around(states, "velocity"),
            "position": pack(fused.position.tolist(), 32),
            "velocity": pack(fused.velocity.tolist(), 32),
        }
        differ = {
            name: f"{int(getattr(dut, name).value):#x}, model {value:#x}"
            for name, value in expected.items()
            if int(getattr(dut, name).value) != value
        }
        # The IMU, lowest, has no displacement.
        moved, expected_moved = int(dut.displacement.value) >> 96, fused.displacement[1:].ravel().tolist()
        if moved != pack(expected_moved, 32):
            differ["displacement"] = f"{unpack(moved, 32, 12)}, model {expected_moved}"
        assert not differ, f"at tick {core.ticks}"

    @staticmethod
    def _around(states: list[FilterState], name: str) -> int:
        words = [0] * 15
        for index, (path, state) in enumerate(zip(PATHS, states, strict=True)):
            for axis, value in zip(path.axes, getattr(state, name), strict=True):
                words[3 * index + axis] = int(value)
        return pack(words, 32)

    async def gate(self) -> None:
        """Does some of what software does, in random order."""
        design = self.design
        actions = (
            ("GATE", random.getrandbits(5)),
            ("FORCE", random.choice((0, 0, 0, random.getrandbits(5)))),
            ("HEARTBEAT", 1),
            ("HEARTBEAT", 1),
            ("DWELL", random.randint(0, 4)),
            ("BURST", random.getrandbits(5) & random.getrandbits(5)),
            ("BURST_TICKS", random.randint(0, 9) << 16 | random.randint(0, 6)),
            ("WATCHDOG", random.choice((0, 2, 10, 10, 50, 50))),
            ("RELOAD", random.getrandbits(9) & random.getrandbits(9)),
        )
        for name, value in random.sample(actions, random.randint(0, 3)):
            if self.cycles_left() > 0:
                await design.write(name, value)

    async def idle(self) -> None:
        """Waits until the tick's work is done."""
        await ClockCycles(self.dut.s_axi_aclk, 2)
        while int(self.dut.tick_busy.value):
            await ClockCycles(self.dut.s_axi_aclk, 20)
        self.in_work = [0] * len(PATHS)

    def has_room(self, path: int) -> bool:
        """Returns whether the model knows what becomes of a sample that is offered now.

        While a tick is in work its samples still take up room in the RTL's queues, which the model has cleared.
        """
        core, before = self.design.model.core, self.in_work[path]
        asleep = not core.governor.awake >> path & 1
        return asleep or before == 0 or before + len(core.paths[path].queue) < QUEUE_DEPTH

    async def inject(self) -> None:
        """Hands one sample over by registers, if that can be done before the next tick."""
        if self.cycles_left() < RESERVE_CYCLES:
            return
        path = random.randrange(len(PATHS))
        raw = random_sample(PATHS[path].channels)
        vector = pack(raw, 16)
        for word in range((len(raw) + 1) // 2):
            await self.design.write("SAMPLE", vector >> (32 * word), word)
        if self.has_room(path):
            self.offered += 1
            await self.design.write("PUSH", path)

    async def work(self, most: int) -> None:
        """Offers up to `most` samples to each path, in bursts at random moments of the tick."""
        if self.tick_cycles == LONG_TICK and random.random() < 0.5:
            await self.idle()
        counts = [random.choice((0, 1, 3, 5, most)) for _ in PATHS]
        while any(counts) and self.cycles_left() > 0:
            samples = {}
            for path in range(len(PATHS)):
                if counts[path] and random.random() < 0.8:
                    counts[path] -= 1
                    if self.has_room(path):
                        samples[path] = random_sample(PATHS[path].channels)
            if samples:
                self.offered += len(samples)
                await self.design.offer(samples)
            if random.random() < 0.3:
                await ClockCycles(self.dut.s_axi_aclk, random.randint(1, 9))

    async def check_accounts(self) -> None:
        """Stops the timer, compares all registers, and accounts for every sample that was offered."""
        design = self.design
        await design.write("TICK_CYCLES", STOPPED)
        await self.idle()
        await design.check_registers()
        total = 0
        for path in range(len(PATHS)):
            for name in ("SAMPLES", "DROPPED", "OVERFLOWS", "REJECTED"):
                total += await design.read(name, 0, path)
            total += (await design.read("STATE", 0, path) >> 16) & 0xF
        assert total == self.offered


@cocotb.test()
async def bit_for_bit_with_random_gating(dut: Any) -> None:
    """RTL and model agree in every word, tick for tick, and no sample is lost unaccounted for."""
    design = Design(dut)
    await design.begin()
    stress = Stress(design)
    wanted = repetitions(300, 100_000)
    while stress.offered < wanted:
        await design.configure()
        overruns = await design.read("OVERRUNS")
        cycles = random.choice((LONG_TICK, BACK_TO_BACK, BACK_TO_BACK))
        await stress.resume(cycles)
        for _ in range(repetitions(15, 200)):
            await stress.next_tick()
            await stress.gate()
            if random.random() < 0.1:
                await stress.inject()
            await stress.work(most=random.choice((2, 6, 11)))
        await stress.next_tick()
        await stress.check_accounts()
        assert cycles == BACK_TO_BACK or await design.read("OVERRUNS") == overruns
        dut._log.info(f"{stress.offered} samples, {int(dut.ticks.value)} ticks")
    # The short form may end before the watchdog has.
    assert int(dut.expiries.value) > 0 or wanted < 100_000


@cocotb.test()
async def watchdog_brings_everything_back(dut: Any) -> None:
    """Without a heartbeat everything is on within the watchdog's time, and an old mask does not come back."""
    design = Design(dut)
    await design.begin()
    await design.write("DWELL", 0)
    await design.write("WATCHDOG", 5)
    await design.write("GATE", 0b00011)
    await design.write("HEARTBEAT", 1)
    for tick in range(1, 9):
        await design.tick()
        assert await design.read("STATUS") == (0b00011 if tick < 6 else 0x11F)
    assert await design.read("GATE") == ALL_PATHS
    assert await design.read("EXPIRIES") == 1
    await design.write("HEARTBEAT", 1)
    await design.tick()
    assert await design.read("STATUS") == ALL_PATHS


@cocotb.test()
async def dwell_holds_and_force_does_not_wait(dut: Any) -> None:
    """GATE waits for the minimum dwell in both directions; FORCE never."""
    design = Design(dut)
    await design.begin()
    await design.write("DWELL", 3)
    await design.write("WATCHDOG", 100)
    await design.write("GATE", 0b00001)
    seen = []
    for tick in range(14):
        await design.write("HEARTBEAT", 1)
        if tick == 5:
            await design.write("GATE", 0b11111)
        if tick == 9:
            await design.write("GATE", 0b00001)
        if tick == 12:
            await design.write("FORCE", 0b01000)
        await design.tick()
        seen.append(await design.read("STATUS") & 0x1F)
        assert seen[-1] == design.model.core.governor.awake
    on, off = 0b11111, 0b00001
    assert seen == [on] * 3 + [off] * 4 + [on] * 4 + [off] + [off | 0b01000] * 2


@cocotb.test()
async def bursts_keep_their_rhythm(dut: Any) -> None:
    """A path in BURST runs for the first ticks of each period, without dwell; FORCE and the watchdog go before."""
    design = Design(dut)
    await design.begin()
    await design.write("DWELL", 100)
    await design.write("WATCHDOG", 6)
    await design.write("BURST_TICKS", 5 << 16 | 2)
    await design.write("BURST", 0b00100)
    seen = []
    for tick in range(24):
        if tick < 14:
            await design.write("HEARTBEAT", 1)
        if tick == 9:
            await design.write("FORCE", 0b00100)
        if tick == 11:
            await design.write("FORCE", 0)
        await design.tick()
        seen.append(await design.read("STATUS") >> 2 & 1)
        assert await design.read("STATUS") & 0x1F == design.model.core.governor.awake
    rhythm = [1, 1, 0, 0, 0] * 4
    assert seen[:9] == rhythm[:9]
    assert seen[9:11] == [1, 1]
    assert seen[11:19] == rhythm[11:19]
    assert seen[19:] == [1] * 5
    assert await design.read("BURST") == 0


@cocotb.test()
async def overrun_is_counted_and_survived(dut: Any) -> None:
    """A timer too short for the work loses ticks, counts them, and harms nothing else."""
    design = Design(dut)
    await design.begin()
    await design.configure()
    await design.write("TICK_CYCLES", 100)
    for _ in range(20):
        await design.offer({path: random_sample(shape.channels) for path, shape in enumerate(PATHS)})
        await ClockCycles(dut.s_axi_aclk, random.randint(50, 300))
    await design.write("TICK_CYCLES", STOPPED)
    while int(dut.tick_busy.value):
        await ClockCycles(dut.s_axi_aclk, 20)
    ticks, overruns = await design.read("TICKS"), await design.read("OVERRUNS")
    assert ticks > 0
    assert overruns > ticks
    for path in range(len(PATHS)):
        counts = [await design.read(name, 0, path) for name in ("SAMPLES", "DROPPED", "OVERFLOWS", "REJECTED")]
        assert sum(counts) + ((await design.read("STATE", 0, path) >> 16) & 0xF) == 20


@cocotb.test()
async def reset_in_the_middle_of_a_tick(dut: Any) -> None:
    """A reset at any moment of a tick, with paths gated, leaves the design as after power-up."""
    for index in range(repetitions(3, 40)):
        design = Design(dut)
        await design.begin(first=index == 0)
        await design.write("DWELL", 0)
        await design.write("GATE", random.getrandbits(5))
        await design.write("HEARTBEAT", 1)
        await design.tick()
        await design.offer({path: random_sample(shape.channels) for path, shape in enumerate(PATHS)})
        await design.write("TICK_CYCLES", 1)
        await ClockCycles(dut.s_axi_aclk, random.randint(1, 300))
        dut.s_axi_aresetn.value = 0
        await ClockCycles(dut.s_axi_aclk, random.randint(1, 3))
    design = Design(dut)
    await design.begin(first=False)
    await design.check_registers()
    await design.write("HEARTBEAT", 1)
    for _ in range(3):
        await design.offer({path: random_sample(shape.channels) for path, shape in enumerate(PATHS)})
        await design.tick()
    await design.check_registers()


@cocotb.test()
async def active_cycles_are_the_gated_clock_s_edges(dut: Any) -> None:
    """While a path sleeps its clock has no edge, and its counter counts the edges it has while awake."""
    design = Design(dut)
    await design.begin()
    stress = Stress(design)
    edges = {path: 0 for path in range(1, 5)}

    async def count() -> None:
        while True:
            await FallingEdge(dut.s_axi_aclk)
            # Sampled before the clock falls in the gate: a pulse that was let through is still high.
            await RisingEdge(dut.s_axi_aclk)
            await cocotb.triggers.ReadOnly()
            vector = int(dut.gated_clk.value)
            for path in edges:
                edges[path] += vector >> path & 1

    counters = {1: dut.flow.active, 2: dut.lidar.active, 3: dut.gps.active, 4: dut.radar.active}
    await design.write("DWELL", 0)
    await FallingEdge(dut.s_axi_aclk)
    before = {path: int(counter.count.value) for path, counter in counters.items()}
    cocotb.start_soon(count())
    await design.write("TICK_CYCLES", 600)
    for _ in range(repetitions(8, 60)):
        await RisingEdge(dut.tick)
        design.model.advance(1)
        await design.write("GATE", random.getrandbits(5))
        await design.write("HEARTBEAT", 1)
    await FallingEdge(dut.s_axi_aclk)
    for path, counter in counters.items():
        assert abs(int(counter.count.value) - before[path] - edges[path]) <= 1
    assert stress.offered == 0
