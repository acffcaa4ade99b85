"""One sensing path against its golden model, bit for bit, gated at random; every sample accounted for."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge

from haltere.fpga.golden.filter import FilterConfig
from haltere.fpga.golden.path import GoldenPath
from haltere.fpga.paths import PATHS, Path
from haltere.fpga.registers import PATH_BASE, offset
from haltere.fpga.simulation import NAME
from haltere.fpga.tb.common import pack, random_sample, random_word, repetitions, start, unpack

STATUS_WORDS = ("SAMPLES", "DROPPED", "OVERFLOWS", "REJECTED", "NIS", "NIS_SUM", "REPEATS")


class PathBench:
    """Drives a path and its model with the same input."""

    def __init__(self, dut: Any, path: Path) -> None:
        self.dut = dut
        self.path = path
        self.model = GoldenPath(path)
        self.awake = True
        self.pushed = 0
        self.active_edges = 0
        for name in ("s_axis_tvalid", "inject", "tick", "start", "reload", "bus_write", "bus_read", "bus_address"):
            getattr(dut, name).value = 0
        for name in (
            "seed_position",
            "seed_velocity",
            "velocity_step",
            "displacement",
            "switches",
            "usable",
            "consistent",
        ):
            getattr(dut, name).value = 0
        dut.awake.value = 1

    async def begin(self, first: bool = True) -> None:
        """Takes the path through a reset, and starts the clock if this is the first."""
        await start(self.dut, clock=first)
        await FallingEdge(self.dut.clk)

    async def write(self, word: int, value: int) -> None:
        """Writes a configuration word."""
        self.dut.bus_address.value = word
        self.dut.bus_write_data.value = int(value) & 0xFFFFFFFF
        self.dut.bus_write.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.bus_write.value = 0

    async def read(self, name: str, index: int = 0) -> int:
        """Reads a register of the path by name."""
        self.dut.bus_address.value = (offset(name, index) - PATH_BASE) // 4
        self.dut.bus_read.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.bus_read.value = 0
        return int(self.dut.bus_read_data.value)

    async def configure(self) -> FilterConfig:
        """Writes a random configuration, which the register file, not the path, reads back."""
        axes, channels = len(self.path.axes), self.path.channels
        calibration = np.array([[random_word(25) for _ in range(channels)] for _ in range(axes)], np.int64)
        rows = {
            "OFFSET": [random_word(32) for _ in range(axes)],
            "GAIN_POSITION": [random_word(random.choice((14, 25))) for _ in range(axes)],
            "GAIN_VELOCITY": [random_word(random.choice((14, 25))) for _ in range(axes)],
            "PRECISION": [random_word(25) for _ in range(axes)],
        }
        for axis in range(axes):
            for channel in range(channels):
                await self.write(
                    (offset("CALIBRATION", 8 * axis + channel) - PATH_BASE) // 4, calibration[axis, channel]
                )
            for name, values in rows.items():
                await self.write((offset(name, axis) - PATH_BASE) // 4, values[axis])
        arrays = [np.array(rows[name], np.int64) for name in rows]
        return FilterConfig(calibration, *arrays)

    async def push(self, raw: tuple[int, ...]) -> None:
        """Offers one sample at one of the two doors."""
        self.pushed += 1
        self.model.push(raw, self.awake)
        if random.getrandbits(1):
            self.dut.inject_data.value = pack(raw, 16)
            self.dut.inject.value = 1
        else:
            self.dut.s_axis_tdata.value = pack(raw, 16)
            self.dut.s_axis_tvalid.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.inject.value = 0
        self.dut.s_axis_tvalid.value = 0

    def _around(self, values: Any) -> int:
        """Packs the path's axes among the vehicle's three, the others at random."""
        words = [random_word(32) for _ in range(3)]
        for axis, value in zip(self.path.axes, values, strict=True):
            words[axis] = int(value)
        return pack(words, 32)

    async def tick(self, config: FilterConfig, awake: bool, reload: bool) -> None:
        """Works one tick in both."""
        dut, axes = self.dut, len(self.path.axes)
        woken = awake and not self.awake
        self.awake = awake
        words = {
            name: np.array([random_word(32) for _ in range(axes)], np.int64)
            for name in ("seed_position", "seed_velocity", "velocity_step", "displacement")
        }
        dut.tick.value = 1
        await FallingEdge(dut.clk)
        dut.tick.value = 0
        # As the governor's register does, the mask changes with the edge that ends the tick's cycle.
        dut.awake.value = int(awake)
        for name, value in words.items():
            getattr(dut, name).value = self._around(value)
        await ClockCycles(dut.clk, 2)
        await FallingEdge(dut.clk)
        if not awake:
            return
        dut.start.value = 1
        dut.reload.value = int(woken or reload)
        await FallingEdge(dut.clk)
        dut.start.value = 0
        while dut.busy.value == 1:
            await FallingEdge(dut.clk)
        if woken or reload:
            self.model.reload(words["seed_position"], words["seed_velocity"])
        else:
            fused = words["seed_position"], words["seed_velocity"]
            self.model.work(config, words["velocity_step"], fused, words["displacement"])

    def _axes(self, name: str) -> list[int]:
        words = unpack(int(getattr(self.dut, name).value), 32, 3)
        assert all(words[axis] == 0 for axis in range(3) if axis not in self.path.axes)
        return [words[axis] for axis in self.path.axes]

    def check(self) -> None:
        """Compares what the fuser sees."""
        state, dut = self.model.state, self.dut
        assert self._axes("state_position") == state.position.tolist()
        assert self._axes("state_velocity") == state.velocity.tolist()
        assert int(dut.valid.value) == state.valid
        assert int(dut.age.value) == state.age
        assert int(dut.nis.value) == state.nis

    async def check_registers(self) -> None:
        """Compares what software sees, and that no sample is unaccounted for."""
        state, model = self.model.state, self.model
        read = {name: await self.read(name) for name in STATUS_WORDS}
        assert read == {
            "SAMPLES": int(state.samples),
            "DROPPED": model.dropped,
            "OVERFLOWS": model.overflows,
            "REJECTED": int(state.rejected),
            "NIS": int(state.nis),
            "NIS_SUM": int(state.nis_sum),
            "REPEATS": int(state.repeats),
        }
        queued = (await self.read("STATE") >> 16) & 0xF
        assert queued == len(model.queue)
        accounted = sum(read[name] for name in ("SAMPLES", "DROPPED", "OVERFLOWS", "REJECTED"))
        assert accounted + queued == self.pushed
        for place, axis in enumerate(self.path.axes):
            assert await self.read("INNOVATION", axis) == int(state.innovation[place]) & 0xFFFFFFFF


def _bench(dut: Any) -> PathBench:
    name = os.environ[NAME].removeprefix("path_")
    return PathBench(dut, next(path for path in PATHS if path.name == name))


@cocotb.test()
async def bit_for_bit_while_gated_at_random(dut: Any) -> None:
    """Random configurations, samples, motions, gates and reloads: every word that can be seen is the model's."""
    bench = _bench(dut)
    await bench.begin()
    for _ in range(repetitions(2, 40)):
        config = await bench.configure()
        for _ in range(repetitions(25, 100)):
            for _ in range(random.choice((0, 0, 1, 1, 2, 3, 9, 12))):
                await bench.push(random_sample(bench.path.channels))
                if random.random() < 0.1:
                    await bench.push(bench.model.queue[-1] if bench.model.queue else random_sample(bench.path.channels))
                if random.random() < 0.3:
                    await ClockCycles(dut.clk, random.randint(1, 3))
                    await FallingEdge(dut.clk)
            stay = random.random() < 0.7
            await bench.tick(config, bench.awake if stay else not bench.awake, random.random() < 0.05)
            bench.check()
        await bench.check_registers()


@cocotb.test()
async def both_doors_at_once(dut: Any) -> None:
    """A sample at the port waits for the one cycle in which software injects, and neither is lost."""
    bench = _bench(dut)
    await bench.begin()
    first, second = random_sample(bench.path.channels), random_sample(bench.path.channels)
    dut.inject_data.value = pack(first, 16)
    dut.s_axis_tdata.value = pack(second, 16)
    dut.inject.value = dut.s_axis_tvalid.value = 1
    await ReadOnly()
    assert dut.s_axis_tready.value == 0
    await FallingEdge(dut.clk)
    dut.inject.value = 0
    await ReadOnly()
    assert dut.s_axis_tready.value == 1
    await FallingEdge(dut.clk)
    dut.s_axis_tvalid.value = 0
    await FallingEdge(dut.clk)
    assert (await bench.read("STATE") >> 16) & 0xF == 2
    assert int(dut.head.value) == pack(first, 16)


@cocotb.test()
async def gated_clock_is_still_and_counted(dut: Any) -> None:
    """No edge while asleep, whatever arrives; the active counter is the number of edges."""
    bench = _bench(dut)
    await bench.begin()
    edges = 0

    async def count() -> None:
        nonlocal edges
        while True:
            await RisingEdge(dut.gated_clk)
            edges += 1

    before = await bench.read("ACTIVE_LO")
    cocotb.start_soon(count())
    config = await bench.configure()
    for _ in range(repetitions(10, 200)):
        awake = bool(random.getrandbits(1))
        await bench.tick(config, awake, False)
        at_sleep = edges
        for _ in range(random.randint(0, 20)):
            await bench.push(random_sample(bench.path.channels))
        if not awake:
            assert edges == at_sleep
    await ReadOnly()
    counted = int(dut.active.count.value)
    # The counter's own edge and the two of the first read stand between the two counts.
    assert 0 <= counted - before - edges <= 2


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """A reset at any moment, asleep or at work, leaves the path as after power-up and able to work."""
    bench = _bench(dut)
    for index in range(repetitions(3, 50)):
        bench = PathBench(dut, bench.path)
        await bench.begin(first=index == 0)
        bench.check()
        config = await bench.configure()
        for _ in range(3):
            await bench.push(random_sample(bench.path.channels))
        await bench.tick(config, True, False)
        bench.check()
        await bench.push(random_sample(bench.path.channels))
        dut.tick.value = 1
        await FallingEdge(dut.clk)
        dut.tick.value = 0
        dut.start.value = 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        await ClockCycles(dut.clk, random.randint(1, 30))
        dut.awake.value = random.getrandbits(1)
