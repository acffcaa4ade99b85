"""The runtime: `BOOT → SELF_TEST → STANDBY → ACTIVE{FAST, SLOW, SAFE} → FAULT`.

Boots silent: it answers, and never speaks first. Each state gets an answer at once; what is wrong is told
as status flags, never raised. Monotonic clocks only.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from haltere.firmware_bridge.link.messages import (
    Action,
    Fault,
    FaultCode,
    Heartbeat,
    Hello,
    LifeCycle,
    Message,
    Mode,
    ParameterSet,
    ParameterValue,
    Setpoint,
    State,
    Status,
    StatusFlag,
)
from haltere.firmware_bridge.link.transport import Transport
from haltere.firmware_bridge.runtime import safety
from haltere.firmware_bridge.runtime.black_box import BlackBox
from haltere.firmware_bridge.runtime.fast import Reflex, elapsed_us
from haltere.firmware_bridge.runtime.latency import LatencyHistogram
from haltere.firmware_bridge.runtime.session import Session
from haltere.policies.contract import NATIVE_RATE_HZ, Policy
from haltere.policies.errors import LinkError, LinkUriError

_STALE = int(StatusFlag.STALE_STATE)
_LATE = int(StatusFlag.DEADLINE_MISSED)
_STATUS_PERIOD_S = 1.0
_HEARTBEAT_PERIOD_S = 0.1
_IDLE_S = 0.02
_GAP_US = 100_000
_REOPEN_S = 0.1

PARAMETERS = {
    "state_timeout": (0.001, 1.0),
    "setpoint_timeout": (0.01, 5.0),
    "deadline": (0.0001, 1.0),
    "link_timeout": (0.05, 60.0),
}
"""Parameters that the flight controller may set for its session, with their allowed ranges, in seconds."""
_ROUNDING = 1e-6  # of float32 on the wire


@dataclass(frozen=True)
class Limits:
    """Time limits of the runtime, in seconds; see `PARAMETERS`.

    Attributes:
      state_timeout: a state that was this old when it was sent is not flown.
      setpoint_timeout: a setpoint is extrapolated this long, then held.
      deadline: an answer that takes longer is flagged.
      link_timeout: after this silence the session ends.
    """

    state_timeout: float = 0.03
    setpoint_timeout: float = 0.2
    deadline: float = 0.005
    link_timeout: float = 0.5


class Runtime:
    """Serves one flight controller at a time over one line.

    Attributes:
      life_cycle: where the runtime is in its life.
      mode: who computed the last action.
      limits: of the session.
      inference: histogram of the session's answers by the policy.
      states, actions: counts of the session.
      failure: what ended it in FAULT.

    Args:
      policy: checked against its golden vectors (`load_policy`), ready to be stepped.
      transport: an open line.
      name: of the policy, told in the hello.
      black_box: where answers are recorded.
    """

    def __init__(self, policy: Policy, transport: Transport, name: str = "", black_box: BlackBox | None = None) -> None:
        self.life_cycle = LifeCycle.SELF_TEST
        self.mode = Mode.FAST
        self.limits = Limits()
        self.inference = LatencyHistogram()
        self.states = 0
        self.actions = 0
        self._session = Session(transport, name, NATIVE_RATE_HZ)
        self._reflex = Reflex(policy)
        self._black_box = black_box or BlackBox(records=1024)
        self.failure: Exception | None = None
        self._newest: tuple[State, int, int] | None = None
        self._answered_us: int | None = None
        self._dropped_before = 0
        self._next_status_s = 0.0
        self._next_heartbeat_s = 0.0
        self.life_cycle = LifeCycle.STANDBY

    @property
    def session(self) -> Session:
        """The session, for counts and tests."""
        return self._session

    def run(self, stop: Callable[[], bool]) -> None:
        """Serves until `stop()` is true.

        Raises:
          LinkError: the line has closed.
        """
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not stop():
                self.turn(_IDLE_S)
        finally:
            gc.enable()
            gc.unfreeze()

    def turn(self, timeout_s: float) -> None:
        """Waits for messages at most `timeout_s`, and answers them.

        Of several states that came at once only the newest is answered; the others are too old to fly.

        Raises:
          LinkError: the line has closed.
        """
        data = self._session.transport.read(timeout_s)
        arrived_ns = time.monotonic_ns()
        self._newest = None
        for message, sequence, time_us in self._session.decode(data):
            if not isinstance(message, State):
                self._handle(message, arrived_ns * 1e-9)
            elif self._session.peer is not None:
                self.states += 1
                self._newest = (message, sequence, time_us)
        if self._newest is not None:
            self._answer(*self._newest, arrived_ns)
        self._housekeep(arrived_ns * 1e-9)

    def _handle(self, message: Message, now_s: float) -> None:
        if isinstance(message, Hello):
            if self.life_cycle == LifeCycle.FAULT:
                self._session.send(Fault(FaultCode.INTERNAL, 0, "the runtime has stopped; restart it"))
            elif self._session.greet(message, now_s):
                self._begin()
            return
        if self._session.peer is None:
            return
        self._session.heard(now_s)
        if isinstance(message, Setpoint):
            self._reflex.set_setpoint(message)
        elif isinstance(message, ParameterSet):
            self._set_parameter(message)

    def _begin(self) -> None:
        self._reflex.reset()
        self._newest = None  # came before this session
        self._answered_us = None
        self.states = self.actions = 0
        self.inference = LatencyHistogram()
        self._dropped_before = self._session.decoder.counts.dropped
        self._limit(Limits())
        self.mode = Mode.FAST
        self.life_cycle = LifeCycle.STANDBY

    def _answer(self, state: State, sequence: int, sent_us: int, arrived_ns: int) -> None:
        self._session.heard(arrived_ns * 1e-9)
        self.life_cycle = LifeCycle.ACTIVE
        begun_ns = time.monotonic_ns()
        if elapsed_us(sent_us, state.valid_us) > self.limits.state_timeout * 1e6:
            status = _STALE
        else:
            try:
                if self._answered_us is not None and abs(elapsed_us(state.valid_us, self._answered_us)) > _GAP_US:
                    self._reflex.forget()
                status = self._reflex.answer(state)
            except Exception as error:  # a broken backend must not take the runtime down in flight
                self._fail(error)
                return
        done_ns = time.monotonic_ns()
        if done_ns - arrived_ns > self.limits.deadline * 1e9:
            status |= _LATE
        if status & safety.UNUSABLE:
            self.mode = Mode.SAFE
        else:
            self.mode = Mode.FAST
            self._answered_us = state.valid_us
            self.inference.add(done_ns - begun_ns)
        self._session.send(
            Action(
                sequence,
                state.valid_us,
                (done_ns - arrived_ns) // 1000,
                self.mode,
                status,
                self._reflex.motor,
            )
        )
        self.actions += 1
        self._black_box.write(
            done_ns,
            state.valid_us,
            done_ns - begun_ns,
            self.mode,
            self.life_cycle,
            status,
            self._session.decoder.counts.dropped,
            self._reflex.observation,
            self._reflex.motor,
        )

    def _set_parameter(self, request: ParameterSet) -> None:
        allowed = PARAMETERS.get(request.name)
        if allowed is None:
            self._session.send(Fault(FaultCode.BAD_PARAMETER, 0, f"no parameter {request.name}"))
            return
        low, high = allowed
        accepted = low * (1 - _ROUNDING) <= request.value <= high * (1 + _ROUNDING)
        if accepted:
            self._limit(replace(self.limits, **{request.name: request.value}))
        value = getattr(self.limits, request.name)
        self._session.send(ParameterValue(request.name, value, int(accepted)))

    def _limit(self, limits: Limits) -> None:
        self.limits = limits
        self._reflex.setpoint_timeout_us = round(limits.setpoint_timeout * 1e6)

    def _housekeep(self, now_s: float) -> None:
        if self._session.peer is None:
            return
        if self._session.silent_s(now_s) > self.limits.link_timeout:
            self._session.end()
            if self.life_cycle == LifeCycle.ACTIVE:
                self.life_cycle = LifeCycle.STANDBY
            return
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + _HEARTBEAT_PERIOD_S
            self._session.send(Heartbeat(self.life_cycle))
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + _STATUS_PERIOD_S
            self._session.send(self.status())

    def status(self) -> Status:
        """Telemetry of the session so far."""
        return Status(
            self.life_cycle,
            self.mode,
            self.states,
            self.actions,
            self._session.decoder.counts.dropped - self._dropped_before,
            self.inference.percentile_us(50),
            self.inference.percentile_us(99),
            self.inference.max_us,
        )

    def _fail(self, error: Exception) -> None:
        self.life_cycle = LifeCycle.FAULT
        self.failure = error
        self._session.send(Fault(FaultCode.INTERNAL, 0, f"{type(error).__name__}: {error}"))
        self._session.end()


def serve(
    policy: Policy,
    open_line: Callable[[], Transport],
    name: str,
    stop: Callable[[], bool],
    black_box: BlackBox | None = None,
    on_event: Callable[[str], None] = lambda text: None,
) -> Runtime | None:
    """Serves over a line that is opened again whenever it closes.

    Args:
      policy: ready to be stepped.
      open_line: opens the transport.
      name: of the policy.
      stop: asked between messages.
      black_box: where answers are recorded.
      on_event: told about opening and closing; never called while a session is active.
    Returns:
      The last runtime, or None if the line never opened.
    """
    runtime = None
    waiting = False
    while not stop():
        try:
            transport = open_line()
        except LinkUriError:
            raise
        except LinkError as error:
            if not waiting:
                on_event(f"{error}; trying again")
                waiting = True
            time.sleep(_REOPEN_S)
            continue
        waiting = False
        policy.reset()
        runtime = Runtime(policy, transport, name, black_box)
        on_event(f"serving {name} on {transport.description}")
        try:
            runtime.run(stop)
        except LinkError as error:
            on_event(str(error))
            time.sleep(_REOPEN_S)
        finally:
            transport.close()
            if runtime.failure is not None:
                on_event(f"the policy failed in flight: {runtime.failure!r}")
    return runtime
