"""A board that is not there: a `pynq.Device` whose registers are a model's, so that PYNQ's own classes run on it.

It is a Zynq-7000 with one design at `BASE`, and with the clock registers from which PYNQ reads frequencies.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from pynq import Clocks
from pynq.pl_server.device import Device as PynqDevice

from haltere.fpga.device import Device
from haltere.fpga.paths import TICK_RATE_HZ
from haltere.policies.errors import ConfigError, LinkTimeout

VLNV = "haltere:user:carma_gate:1.0"
BASE = 0x43C0_0000
RANGE = 0x2000
_SLCR = 0xF800_0000
_IO_PLL, _FCLK0 = _SLCR + 0x108, _SLCR + 0x170
_REFERENCE_HZ, _FEEDBACK = 50_000_000, 20
"""PYNQ takes the reference of a Zynq-7000 for 50 MHz; the PLL makes 1 GHz of it."""
_numbers = itertools.count()


class SimulatedBoard(PynqDevice):  # type: ignore[misc]
    """One board with one design.

    Attributes:
      model: the design behind the bus.
      alive: whether the bus answers; cleared, every access ends in a timeout.
    """

    _probe_priority_ = 10_000

    @classmethod
    def _probe_(cls) -> list[PynqDevice]:
        return []

    def __init__(self, model: Device, clock_hz: int = 1_000_000) -> None:
        """Puts a design on a board.

        Args:
          model: the golden model, or the verilated design.
          clock_hz: of FCLK0: 1 GHz over two divisors of 1 to 63. A slow clock makes a tick cheap to simulate.
        Raises:
          ConfigError: the clock cannot be had.
        """
        super().__init__(f"haltere-simulated-{next(_numbers)}")
        self.capabilities = {"REGISTER_RW": True}
        self.arch = "armv7l"
        self.name = "simulated"
        self.model = model
        self.alive = True
        self._owed_ticks = 0.0
        first, second = _divisors(clock_hz)
        self._words = {_IO_PLL: _FEEDBACK << 12, _FCLK0: second << 20 | first << 8}
        # PYNQ keeps the clock registers of the first device that it has seen; this one is to be asked from now on.
        Clocks.set_device(self)
        Clocks._real_instance = None
        del Clocks._real_instance

    def has_capability(self, cap: str) -> bool:
        """Returns whether the device can do this."""
        return bool(self.capabilities.get(cap))

    def read_registers(self, address: int, length: int) -> bytes:
        """Returns the words at a physical address.

        Raises:
          LinkTimeout: the bus does not answer.
        """
        words = [self._read(at) for at in range(address, address + length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Writes words at a physical address.

        Raises:
          LinkTimeout: the bus does not answer.
        """
        data = bytes(data)
        for place in range(0, len(data), 4):
            word = int.from_bytes(data[place : place + 4], "little")
            if BASE <= address + place < BASE + RANGE:
                self._answer(address + place)
                self.model.write(address + place - BASE, word)
            else:
                self._words[address + place] = word

    def sleep(self, time_s: float) -> None:
        """Lets simulated time pass, in whole ticks; what is left over is owed to the next call."""
        self._owed_ticks += time_s * TICK_RATE_HZ
        whole = int(self._owed_ticks + 1e-9)
        self._owed_ticks -= whole
        if whole:
            self.model.advance(whole)

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """Returns what a board reads from the .hwh beside the bitstream."""
        gate = {"type": VLNV, "phys_addr": BASE, "addr_range": RANGE, "fullpath": "carma_gate", "parameters": {}}
        return SimpleNamespace(
            ip_dict={"carma_gate": {**gate, "mem_id": "s_axil", "state": None, "interrupts": {}, "gpio": {}}},
            gpio_dict={},
            interrupt_controllers={},
            interrupt_pins={},
            hierarchy_dict={},
            mem_dict={},
            clock_dict={},
            systemgraph=None,
            refresh_hierarchy_dict=lambda: None,
        )

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Loads nothing, and says that it is done."""
        self.post_download(bitstream, parser, self.name)

    def _read(self, address: int) -> int:
        if not BASE <= address < BASE + RANGE:
            return self._words.get(address, 0)
        self._answer(address)
        return self.model.read(address - BASE)

    def _answer(self, address: int) -> None:
        if not self.alive:
            raise LinkTimeout(f"nothing answers at {address:#x}; is the bitstream loaded, and does its clock run?")


def _divisors(clock_hz: int) -> tuple[int, int]:
    source = _REFERENCE_HZ * _FEEDBACK
    for first, second in itertools.product(range(1, 64), repeat=2):
        if first * second * clock_hz == source:
            return first, second
    raise ConfigError(f"clock_hz is {clock_hz}; it must be {source} over two divisors of 1 to 63")
