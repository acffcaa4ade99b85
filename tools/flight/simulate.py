"""The simulator's side of a flight: physics, sensors, setpoints; motor setpoints come from the stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from haltere.firmware_bridge.link.frame import encode
from haltere.firmware_bridge.link.messages import Action, Mode, Motors, MotorSource, Setpoint, State
from haltere.policies.errors import LinkTimeout
from haltere.sim.flight import Flight
from haltere.sim.recorder import Recorder
from haltere.sim.setpoint import Setpoint as Reference
from haltere.sim.setpoint import Trajectory
from haltere.sim.state import State as TrueState
from haltere.sim.world import Status, World
from haltere.tools.flight.gating_log import GatingLog
from haltere.tools.flight.link_uri import LinkUri
from haltere.tools.flight.stack import START_TIMEOUT_S, Stack

CLOCK_START_US = 1_000_000
COMPUTE_S = 0.0005
"""What an answer costs besides the wire, in lockstep: the median of a pty round trip, rounded up."""
ANSWER_TIMEOUT_S = 5.0
FALLBACK = "FALLBACK"

Event = Callable[[float, World, Stack], None]


@dataclass
class Outcome:
    """How a flight ended.

    Attributes:
      flight: what was recorded.
      status: of the vehicle.
      frames_dropped: bad frames that the flight controller received.
      answers: how many motor setpoints came.
      gating: of a flight on the simulated FPGA.
    """

    flight: Flight
    status: Status
    frames_dropped: int
    answers: int
    gating: GatingLog | None = None


def clock_us(time_s: float) -> int:
    """Simulated time (s) on the flight controller's clock, µs."""
    return CLOCK_START_US + round(time_s * 1e6)


def state_message(state: TrueState, motor: np.ndarray) -> State:
    """A measured state, and the motor setpoints in force, as they go to the flight controller."""
    return State(
        clock_us(state.time_s) & 0xFFFFFFFF,
        state.position_world_m.tolist(),
        state.quat_wxyz.tolist(),
        state.velocity_world_m_s.tolist(),
        state.angular_velocity_body_rad_s.tolist(),
        motor.tolist(),
    )


def setpoint_message(reference: Reference, time_s: float) -> Setpoint:
    """A setpoint as it goes to the flight controller."""
    return Setpoint(
        clock_us(time_s) & 0xFFFFFFFF,
        reference.position_world_m.tolist(),
        reference.velocity_world_m_s.tolist(),
        reference.acceleration_world_m_s2.tolist(),
        reference.yaw_rad,
    )


def mode_name(motors: Motors) -> str:
    """The mode that flew, for people."""
    return Mode(motors.mode).name if motors.source == MotorSource.POLICY else FALLBACK


def wire_delay_s(link: LinkUri) -> float:
    """Time from measurement to action in lockstep: frames on the wire, and the answer itself."""
    zero3, zero4 = (0.0,) * 3, (0.0,) * 4
    size = len(encode(State(0, zero3, zero4, zero3, zero3, zero4), 0, 0))
    size += len(encode(Action(0, 0, 0, 0, 0, zero4), 0, 0))
    if link.setpoint_period_us == 0:
        size += len(encode(Setpoint(0, zero3, zero3, zero3, 0.0), 0, 0))
    return link.wire_s(size) + COMPUTE_S


class Senses(Protocol):
    """What measures the state: `haltere.sim.sensors.Sensors`, or an estimator of its own."""

    def reset(self) -> None:
        """Forgets the past."""

    def measure(self, state: TrueState) -> TrueState:
        """Takes the true state of now and returns the measured one."""


class Simulation:
    """Flies one world through the stack.

    Args:
      world: reset, at its start.
      sensors: measure its state.
      trajectory: what to follow.
      stack: flight controller and runtime.
      recorder: records each control period.
      events: each is called with the time (s) before each control period, for faults and blows.
    """

    def __init__(
        self,
        world: World,
        sensors: Senses,
        trajectory: Trajectory,
        stack: Stack,
        recorder: Recorder,
        events: Sequence[Event] = (),
    ) -> None:
        self._world = world
        self._sensors = sensors
        self._trajectory = trajectory
        self._stack = stack
        self._recorder = recorder
        self._events = events
        self._dropped = 0
        self._answers = 0

    def wait_for_runtime(self) -> None:
        """Shows the first state until the runtime answers it; the vehicle is held meanwhile.

        Raises:
          LinkError: a process has ended.
          LinkTimeout: the runtime does not answer.
        """
        state = self._sensors.measure(self._world.state())
        self._sensors.reset()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self._stack.check_runtime()
            self._send(state, 0.0)
            for motors in self._stack.receive(0.1):
                self._dropped = motors.frames_dropped
                if motors.source == MotorSource.POLICY:
                    while self._stack.receive(0.05):
                        pass
                    return
        raise LinkTimeout(
            f"the runtime did not answer within {START_TIMEOUT_S:g} s, and {self._dropped} bad frames came from it: "
            f"is the speed (baud) the same at both ends of the line? {self._stack.printed()}"
        )

    def _begin_period(self) -> TrueState:
        state = self._world.state()
        for event in self._events:
            event(state.time_s, self._world, self._stack)
        return state

    def _send(self, measured: TrueState, time_s: float) -> None:
        setpoint = setpoint_message(self._trajectory.at(time_s), time_s)
        state = state_message(measured, 2 * self._world.rotor_command - 1)
        self._stack.send([setpoint, state], clock_us(time_s))

    def _record(self, state: TrueState, motors: Motors | None, action: np.ndarray) -> None:
        trip = motors.round_trip_us * 1e-6 if motors is not None and motors.round_trip_us else None
        mode = FALLBACK if motors is None else mode_name(motors)
        self._recorder.record(state, self._trajectory.at(state.time_s), action, mode, trip)
        if motors is not None:
            self._dropped = motors.frames_dropped
            self._answers += 1

    def lockstep(self, duration_s: float, delay_s: float, progress: Callable[[float], None]) -> Outcome:
        """Physics waits for each answer; the answer takes effect `delay_s` after its state.

        The load of this computer does not change the flight.
        """
        world = self._world
        steps = round(duration_s / world.config.control_period_s)
        for _ in range(steps):
            state = self._begin_period()
            measured = self._sensors.measure(state)
            self._send(measured, state.time_s)
            motors = self._stack.answer(clock_us(measured.time_s), ANSWER_TIMEOUT_S)
            action = np.array(motors.motor)
            self._record(state, motors, action)
            progress(state.time_s)
            if world.step(action, delay_s).over:
                break
        return self._outcome()

    def real_time(self, duration_s: float, state_period_s: float, progress: Callable[[float], None]) -> Outcome:
        """Physics follows the wall clock; answers take effect when they come."""
        world = self._world
        period = world.config.control_period_s
        every = round(state_period_s / period)
        steps = round(duration_s / period)
        begun = time.monotonic()
        newest: Motors | None = None
        action = 2 * world.rotor_command - 1
        for index in range(steps):
            state = self._begin_period()
            measured = self._sensors.measure(state)
            if index % every == 0:
                if index:
                    self._record(state, newest, action)
                self._send(measured, state.time_s)
                progress(state.time_s)
            while True:
                left = begun + (index + 1) * period - time.monotonic()
                got = self._stack.receive(left)
                if got:
                    newest = got[-1]
                    action = np.array(newest.motor)
                if left <= 0:
                    break
            if world.step(action).over:
                break
        return self._outcome()

    def _outcome(self) -> Outcome:
        return Outcome(self._recorder.flight(), self._world.status, self._dropped, self._answers)
