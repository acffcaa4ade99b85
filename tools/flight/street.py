"""The vehicle's senses in the street: five sensors, the gated paths of a simulated FPGA, and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from haltere.fpga.device import Device
from haltere.fpga.energy import CONSTANTS, Energy, PathUse, estimate, load_constants
from haltere.fpga.features import DECISION_RATE_HZ
from haltere.fpga.gate import ByContext, Gate, Orders, View
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.golden.fixed import FRACTION_BITS, signed
from haltere.fpga.objective import Objective, paths_of
from haltere.fpga.paths import IMU, LIDAR, PATHS, TICK_RATE_HZ
from haltere.fpga.power import WATCHERS, subset_energy
from haltere.fpga.quantise import Network, load
from haltere.fpga.recognition import read_gate
from haltere.fpga.registers import offset
from haltere.fpga.street import STREET_SENSORS, configure_street
from haltere.fpga.waking import timely
from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import GATE_PERCEPTRON
from haltere.sim.senses.camera import FlowCamera, StreetScene
from haltere.sim.senses.conditions import CONTEXTS, UNKNOWN, Conditions, draw
from haltere.sim.senses.street import ROOM_M, blind_alley
from haltere.sim.senses.suite import PERIOD_S, Suite, Truth
from haltere.sim.sensors import SensorConfig, Sensors
from haltere.sim.setpoint import Trajectory
from haltere.sim.state import State
from haltere.tools.flight.gating_log import GatingLog
from haltere.tools.flight.region import Region
from haltere.tools.gating.observed import Heard, observed
from haltere.tools.gating.ring import LEAD_TICKS, Ring

Array = npt.NDArray[np.float64]

LIBRARY_FOLDER = Path("build/fpga/library")
BOARDS = ("sim", "rtl")
"""The golden model, and the verilated design."""
BOARD_CLOCK_HZ = 100e6
"""Of the board whose energy is reported; the simulated one may be slower."""
RTL_TICK_CYCLES = 4000
"""Of the verilated design: its time passes in bus accesses too, and no tick is to be lost over them."""
EVERY = round(1 / (DECISION_RATE_HZ * PERIOD_S))
_CLEARANCE_M = 0.7
_NAMES = {path.name: number for number, path in enumerate(PATHS)}


class OnDevice:
    """The context classifier in the device, asked through its registers."""

    def __init__(self, device: Device, network: Network) -> None:
        """Args:
        device: with the classifier's words loaded.
        network: gives the features' codes.
        """
        self._device, self._network = device, network

    def reset(self, count: int) -> None:
        """Has no past to forget."""

    def recognise(self, features: Array) -> npt.NDArray[np.int64]:
        """See `haltere.fpga.recognition.Recogniser`; of one flight."""
        for index, word in enumerate(self._network.codes(features[0]).astype(np.int8).view("<u4").tolist()):
            self._device.write(offset("FEATURE", index), word)
        before = self._device.read(offset("CLASSIFIED"))
        self._device.write(offset("CLASSIFY"), 1)
        for _ in range(10_000):
            if self._device.read(offset("CLASSIFIED")) != before:
                break
        return np.array([self._device.read(offset("BEST"))])


def weather_plan(text: str) -> tuple[str, ...]:
    """Reads `--weather`: contexts in turn, as in `clear,fog,night`; of one alone, clear before and after.

    Raises:
      ConfigError: there is no such context.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in (*CONTEXTS, *UNKNOWN):
            raise ConfigError(f"--weather {name!r}: the contexts are {', '.join((*CONTEXTS, *UNKNOWN))}")
    return ("clear", *names, "clear") if len(names) == 1 and names[0] != "clear" else names


def open_board(kind: str) -> tuple[Device, int]:
    """Returns a simulated board and its clock cycles a tick.

    Args:
      kind: `sim` (golden model) or `rtl` (verilated design, built at the first use).
    Raises:
      ConfigError: there is no such board.
    """
    if kind == "sim":
        return GoldenDevice(), round(BOARD_CLOCK_HZ / TICK_RATE_HZ)
    if kind == "rtl":
        from haltere.fpga.verilated import VerilatedDevice, build

        return VerilatedDevice(build(LIBRARY_FOLDER)), RTL_TICK_CYCLES
    raise ConfigError(f"--fpga {kind!r}: the simulated boards are {' and '.join(BOARDS)}")


def check_room(trajectory: Trajectory, length_s: float) -> None:
    """Checks that a trajectory stays clear of the houses.

    Raises:
      ConfigError: it does not.
    """
    for time_s in np.arange(0.0, length_s, 0.05):
        place = trajectory.at(float(time_s)).position_world_m
        for axis, name in enumerate("xy"):
            limit = ROOM_M[axis] / 2 - _CLEARANCE_M
            if abs(place[axis]) > limit:
                raise ConfigError(
                    f"--world street: the trajectory is at {name} = {place[axis]:.2f} m at {time_s:.2f} s; "
                    f"between the houses it must stay within ±{limit:.2f} m"
                )


def _mask(paths: npt.NDArray[np.bool_]) -> int:
    return int((paths << np.arange(len(PATHS))).sum())


class StreetSenses:
    """Takes the place of `haltere.sim.sensors.Sensors`: position and velocity come from the gated paths.

    The attitude is the flight controller's own and comes with its noise. Close it when done.

    Attributes:
      log: of the gates.
    """

    def __init__(
        self,
        weather: Sequence[str],
        length_s: float,
        trajectory: Trajectory,
        policy: Path,
        generator: np.random.Generator,
        board: str = "sim",
        constants: Path | None = None,
        gated: bool = True,
        reset_s: float | None = None,
    ) -> None:
        """Args:
        weather: contexts, each for an equal part of the flight.
        length_s: of the flight.
        trajectory: the gate brings everything on when the estimate is far from it,
        policy: that flies; and when the estimate leaves its region of attraction, where that is known.
        generator: source of all noise.
        board: see `open_board`.
        constants: file of the energy model; default the shipped one.
        gated: False leaves everything on.
        reset_s: the FPGA is reset at this time, s, in the middle of a control period; None: never.
        """
        self._trajectory, self._region = trajectory, Region(policy)
        self._names, self._stretch_s = tuple(weather), length_s / len(weather)
        self._conditions = [draw([name], generator) for name in weather]
        self._random = generator
        self._scene = StreetScene(blind_alley())
        self._attitude = Sensors(SensorConfig(0.0, 0.0, 0.002, 0.01, 0.0), generator)
        self._constants = load_constants(constants or CONSTANTS)
        self._file = read_gate(GATE_PERCEPTRON)
        self._device, self._cycles = open_board(board)
        self._gated, self._reset_s = gated, reset_s
        self.log = GatingLog()
        self.reset()

    def close(self) -> None:
        """Frees the scene."""
        self._scene.close()

    def reset(self) -> None:
        """Begins anew: the next state is known, as at take-off."""
        subsets = self._set_up()
        chooser = ByContext(OnDevice(self._device, self._file.network), subsets)
        self._gate = Gate(chooser, self._file.novelty)
        self._suite = Suite(self._scene, 1, self._random)
        self._camera = FlowCamera(self._scene, self._random)
        self._region.reset()
        self._last: State | None = None
        self._periods, self._ring, self._heard, self._speed = 0, Ring(1), Heard(1), np.zeros(1)
        self._orders: Orders | None = None
        self._quiet_s = np.full(len(PATHS), np.inf)
        self._before = (np.zeros(len(PATHS)), np.zeros(len(PATHS)), 0.0)
        self._counted = (np.zeros(len(PATHS)), np.zeros(len(PATHS)))  # before the FPGA was reset
        self._due_s, self._ticks = self._reset_s, 0
        self.log = GatingLog()

    def _set_up(self) -> npt.NDArray[np.int64]:
        """Resets the device and writes its configuration; returns the subset of paths for each context."""
        device = self._device
        device.write(offset("CONTROL"), 1)
        for _ in range(8):  # the reset lasts some cycles more, in which nothing can be written
            device.write(offset("TICK_CYCLES"), self._cycles)
        configure_street(device)
        load(device, self._file.words)
        power = subset_energy(self._constants, STREET_SENSORS, BOARD_CLOCK_HZ)
        subsets = Objective().choose(self._file.loss, power)
        for context, paths in enumerate(paths_of(subsets)):
            device.write(offset("MASK", context), _mask(paths))
        return subsets

    def measure(self, state: State) -> State:
        """Takes the true state of now, 10 ms after the last; returns the estimated one."""
        seen, last = self._attitude.measure(state), self._last
        if last is None:
            self._start(state.position_world_m, state.velocity_world_m_s, LEAD_TICKS - 1)
        elif state.time_s > last.time_s:
            self._advance(state, last)
        else:
            return seen
        self._last = state
        ticks = self._device.read(offset("TICKS"))
        if ticks < self._ticks:
            self._go_on()
        self._ticks = ticks
        position, velocity = self._estimate = self._read_estimate()
        estimated = replace(seen, position_world_m=position, velocity_world_m_s=velocity)
        over_level = self._region.over_level(estimated, self._trajectory.at(state.time_s))
        if last is not None and self._periods % EVERY == 0:
            self._decide(state, position, velocity, over_level)
        return estimated

    def _read_estimate(self) -> tuple[Array, Array]:
        position, velocity = (
            np.array([signed(self._device.read(offset(name, axis))) for axis in range(3)]) / (1 << FRACTION_BITS)
            for name in ("POSITION", "VELOCITY")
        )
        return position, velocity

    def _go_on(self) -> None:
        """Sets a device up that has been reset in flight, and starts it from where the last estimate leads."""
        self.log.resets += 1
        position, velocity = self._estimate
        # What was counted since the last decision is lost: as if every clock had run.
        lost_s = (self._periods % EVERY or EVERY) * PERIOD_S
        self._counted = self._before[0] + lost_s, self._before[1]
        self._set_up()
        self._start(position + PERIOD_S * velocity, velocity, 0)

    def conditions(self, time_s: float) -> tuple[str, Conditions]:
        """Returns name and conditions of the context at a time."""
        number = min(int(time_s / self._stretch_s), len(self._names) - 1)
        return self._names[number], self._conditions[number]

    def _start(self, position: Array, velocity: Array, lead_ticks: int) -> None:
        for name, values in (("SEED_POSITION", position), ("SEED_VELOCITY", velocity)):
            for axis, value in enumerate(values.tolist()):
                self._device.write(offset(name, axis), round(value * (1 << FRACTION_BITS)) & 0xFFFFFFFF)
        self._device.advance(lead_ticks)
        self._device.write(offset("RELOAD"), 0x11F)
        self._device.write(offset("HEARTBEAT"), 1)
        self._device.advance(1)

    def _awake(self) -> npt.NDArray[np.bool_]:
        status = self._device.read(offset("STATUS"))
        return np.array([status >> path & 1 for path in range(len(PATHS))], np.bool_)

    def _advance(self, state: State, last: State) -> None:
        period_s = state.time_s - last.time_s
        _, conditions = self.conditions(state.time_s)
        truth = Truth(
            state.position_world_m[None],
            state.velocity_world_m_s[None],
            (state.velocity_world_m_s - last.velocity_world_m_s)[None] / period_s,
        )
        rates = self._camera.rates(state.position_world_m, conditions)
        codes = self._suite.measure(truth, conditions, rates)
        self._periods += 1
        self._device.write(offset("HEARTBEAT"), 1)
        self._order()
        self._quiet_s += PERIOD_S
        for tick in range(codes["imu"].shape[1]):
            if tick == 2 and self._due_s is not None and state.time_s >= self._due_s:
                self._due_s = None
                self._device.write(offset("CONTROL"), 1)
            self._device.push(IMU, codes["imu"][0, tick].tolist())
            # At the period's end, so that a sample is as old then as its sensor's delay says.
            if tick == codes["imu"].shape[1] - 1:
                measures = self._ring.measures
                self._readings = self._heard.hear(self._suite.seen(self._ring.whole), measures)
                for name, sample in codes.items():
                    if name != "imu":
                        self._quiet_s[_NAMES[name]] = 0.0
                    if name != "imu" and (name != "lidar" or measures[0]):
                        self._device.push(_NAMES[name], sample[0].tolist())
            self._device.advance(1)
            self._ring.tick(self._awake()[None])

    def _order(self) -> None:
        if self._orders is None:
            return
        asked = timely(self._orders, self._awake()[None], self._quiet_s)
        for name, flags in (("BURST", asked.burst), ("GATE", asked.gate), ("FORCE", asked.force)):
            self._device.write(offset(name), _mask(flags[0]))

    def _decide(self, state: State, position: Array, velocity: Array, over_level: float | None) -> None:
        device, awake = self._device, self._awake()
        self._speed = self._speed + (np.hypot(*velocity[:2]) - self._speed) * PERIOD_S * EVERY / 0.5
        nis = np.array([[device.read(offset("NIS", 0, path)) for path in range(len(PATHS))]]) / 256
        known = observed(self._readings, self._speed, nis, awake[None], self._heard.lately)
        target = self._trajectory.at(state.time_s).position_world_m
        upright = 1 - 2 * float(state.quat_wxyz[1] ** 2 + state.quat_wxyz[2] ** 2)
        off = np.array([float(np.linalg.norm(position - target))])
        repeats = np.array([[device.read(offset("REPEATS", 0, path)) for path in range(len(PATHS))]])
        age = np.array([[device.read(offset("STATE", 0, path)) & 0xFFFF for path in range(len(PATHS))]])
        inside = None if over_level is None else np.array([over_level])
        if over_level is not None:
            self.log.over_level.append(over_level)
        context = np.zeros(1, np.int64)
        orders = self._gate.decide(
            View(state.time_s, known, off, np.array([upright]), awake[None], context, repeats, age, inside)
        )
        if self._gated:
            self._orders = orders
        self._record(state, position, awake, orders)

    def _record(self, state: State, position: Array, awake: npt.NDArray[np.bool_], orders: Orders) -> None:
        log, number = self.log, int(self._gate.context[0])
        log.time_s.append(state.time_s)
        log.context.append(self.conditions(state.time_s)[0])
        known = 0 <= number < len(self._file.contexts)
        log.believed.append("unknown" if self._gate.unknown[0] or not known else self._file.contexts[number])
        log.awake.append(awake.tolist())
        log.asked.append(orders.asked[0].tolist())
        log.forced.append(bool(orders.force[0, 1:].any()))
        log.estimate_error_m.append(float(np.linalg.norm(position - state.position_world_m)))
        time_s = self._periods * PERIOD_S
        active_s = self._counted[0] + [self._active_s(path) for path in range(len(PATHS))]
        samples = self._counted[1] + [self._device.read(offset("SAMPLES", 0, path)) for path in range(len(PATHS))]
        lit_s = float(self._ring.lit[0]) / TICK_RATE_HZ
        past_s, past_samples, past_lit_s = self._before
        span_s = PERIOD_S * EVERY
        now = self._energy(span_s, active_s - past_s, samples - past_samples, lit_s - past_lit_s)
        log.power_w.append((now.sensors.value / span_s, now.fabric().value / span_s))
        self._before = active_s, samples, lit_s
        log.energy = self._energy(time_s, active_s, samples, lit_s)
        every = np.array([round(time_s * sensor.rate_hz) for sensor in STREET_SENSORS])
        log.everything = self._energy(time_s, np.full(len(PATHS), time_s), every, time_s)

    def _active_s(self, path: int) -> float:
        low = self._device.read(offset("ACTIVE_LO", 0, path))
        return (self._device.read(offset("ACTIVE_HI", 0, path)) << 32 | low) / self._cycles / TICK_RATE_HZ

    def _energy(self, time_s: float, active_s: Array, samples: Array, lit_s: float) -> Energy:
        cycles = round(time_s * BOARD_CLOCK_HZ)
        uses = []
        for path in range(len(PATHS)):
            measuring = time_s if path in WATCHERS else min(lit_s, time_s) if path == LIDAR else None
            active = min(max(round(float(active_s[path]) * BOARD_CLOCK_HZ), 0), cycles)
            uses.append(PathUse(active, max(int(samples[path]), 0), measuring))
        return estimate(self._constants, uses, cycles, BOARD_CLOCK_HZ)
