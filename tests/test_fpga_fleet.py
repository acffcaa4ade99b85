"""The golden model of many devices is that of each, word for word."""

from __future__ import annotations

import numpy as np

from haltere.fpga.configuration import configure
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.golden.fleet import Fleet
from haltere.fpga.paths import PATHS
from haltere.fpga.registers import offset

COUNT, TICKS = 4, 400


def _configure(device: GoldenDevice) -> None:
    configure(device)
    device.write(offset("DWELL"), 7)
    device.write(offset("WATCHDOG"), 12)
    device.write(offset("BURST_TICKS"), 11 << 16 | 4)


def test_a_fleet_is_its_devices() -> None:
    random = np.random.default_rng(5)
    devices = [GoldenDevice() for _ in range(COUNT)]
    for device in devices:
        _configure(device)
    fleet = Fleet(devices[0].core.memory, COUNT)
    start = random.integers(-(2**21), 2**21, (2, COUNT, 3))
    fleet.seed(*start)
    for index, device in enumerate(devices):
        for axis in range(3):
            device.write(offset("SEED_POSITION", axis), int(start[0, index, axis]) & 0xFFFFFFFF)
            device.write(offset("SEED_VELOCITY", axis), int(start[1, index, axis]) & 0xFFFFFFFF)
        device.write(offset("RELOAD"), 0x11F)
    for tick in range(TICKS):
        if tick == 200:
            fleet.reset(np.arange(COUNT) == 1)
            devices[1].write(offset("CONTROL"), 1)
            _configure(devices[1])
        if tick % 300 < 250:
            fleet.heartbeat()
            for device in devices:
                device.write(offset("HEARTBEAT"), 1)
        if random.random() < 0.2:
            fleet.gate, fleet.force, fleet.burst = random.random((3, COUNT, 5)) < [[[0.5]], [[0.1]], [[0.3]]]
            for index, device in enumerate(devices):
                for name, mask in (("GATE", fleet.gate), ("FORCE", fleet.force), ("BURST", fleet.burst)):
                    device.write(offset(name), int((mask[index] << np.arange(5)).sum()))
        for number, path in enumerate(PATHS):
            for _ in range(random.integers(0, 3) if random.random() < 0.9 else 10):
                codes = random.integers(-3000, 3000, (COUNT, path.channels))
                codes[random.random(COUNT) < 0.05, 0] = -32768
                where = random.random(COUNT) < 0.6
                fleet.push(number, codes, where)
                for index in np.flatnonzero(where):
                    devices[index].push(number, tuple(int(code) for code in codes[index]))
        fleet.advance()
        for index, device in enumerate(devices):
            device.advance(1)
            core = device.core
            for name in ("position", "velocity", "displacement", "usable", "consistent"):
                np.testing.assert_array_equal(getattr(fleet.fuser, name)[index], getattr(core.fuser, name), name)
            for number in range(len(PATHS)):
                for name in (
                    "position",
                    "velocity",
                    "valid",
                    "age",
                    "nis",
                    "nis_sum",
                    "samples",
                    "rejected",
                    "repeats",
                ):
                    mine, its = getattr(fleet.paths[number], name)[index], getattr(core.paths[number].state, name)
                    np.testing.assert_array_equal(mine, its, f"{tick} {PATHS[number].name} {name}")
            assert (fleet.awake[index] << np.arange(5)).sum() == core.governor.awake
    cycles = devices[0].read(offset("TICK_CYCLES"))
    for index, device in enumerate(devices):
        core = device.core
        np.testing.assert_array_equal(fleet.active[index] * cycles, core.active)
        np.testing.assert_array_equal(fleet.switches[index], core.governor.switches)
        np.testing.assert_array_equal(fleet.dropped[index], [path.dropped for path in core.paths])
        np.testing.assert_array_equal(fleet.overflows[index], [path.overflows for path in core.paths])
    assert fleet.overflows.sum() > 0
    assert fleet.switches.min(axis=0)[1:].min() > 5
