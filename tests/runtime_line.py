"""A runtime with the far end of its line in hand: what the tests of the runtime share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.inproc import pair
from haltere.firmware_bridge.link.messages import (
    SCHEMA_HASH,
    Action,
    Heartbeat,
    Hello,
    Message,
    Role,
    Setpoint,
    State,
    Status,
    StatusFlag,
)
from haltere.firmware_bridge.runtime.black_box import BlackBox
from haltere.firmware_bridge.runtime.loop import Runtime
from haltere.policies.contract import FloatArray, Policy

STEP_US = 10_000
LEVEL = (1.0, 0.0, 0.0, 0.0)
ZERO = (0.0, 0.0, 0.0)
HERE = (1.0, -2.0, 3.0)
MOTOR = (0.4, 0.3, 0.2, 0.1)


def state(valid_us: int = STEP_US, **changes: Sequence[float]) -> State:
    values: dict[str, Sequence[float]] = {
        "position_world_m": HERE,
        "quat_wxyz": LEVEL,
        "velocity_world_m_s": ZERO,
        "angular_velocity_body_rad_s": ZERO,
        "motor": MOTOR,
    }
    return State(valid_us % 2**32, **{**values, **changes})


def setpoint(valid_us: int = STEP_US, position: Sequence[float] = HERE, yaw_rad: float = 0.0, **changes) -> Setpoint:
    values = {"velocity_world_m_s": ZERO, "acceleration_world_m_s2": ZERO, **changes}
    return Setpoint(valid_us % 2**32, position, yaw_rad=yaw_rad, **values)


def hello(session_id: int = 7, schema_hash: int = SCHEMA_HASH) -> Hello:
    return Hello(schema_hash, Role.FLIGHT_CONTROLLER, session_id, 100, f"vehicle {session_id}")


class StandIn:
    """A policy that notes what it is asked, and answers what it is told to."""

    def __init__(self, *answers: Sequence[float] | Exception) -> None:
        self.answers = list(answers)
        self.observations: list[FloatArray] = []
        self.advanced: list[bool] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def step(self, observation: FloatArray, advance: bool = True) -> FloatArray:
        self.observations.append(observation.copy())
        self.advanced.append(advance)
        answer = self.answers.pop(0) if self.answers else (0.1, 0.2, 0.3, 0.4)
        if isinstance(answer, Exception):
            raise answer
        return np.array(answer, np.float32)


class Line:
    """A runtime, and the far end of its line."""

    def __init__(self, policy: Policy | None = None, black_box: BlackBox | None = None) -> None:
        self.far, near = pair()
        self.policy = policy or StandIn()
        self.runtime = Runtime(self.policy, near, "stand-in", black_box)
        self.decoder = FrameDecoder()
        self.sequence = 0
        self.received: list[Message] = []
        self.ignored = StatusFlag.DEADLINE_MISSED  # of a busy machine

    def give(self, *messages: Message, time_us: int | None = None) -> list[Message]:
        """Sends messages in one piece; returns what the runtime says to them, but for its telemetry."""
        data = b""
        for message in messages:
            stamp = getattr(message, "valid_us", 0) if time_us is None else time_us
            data += encode(message, self.sequence, stamp)
            self.sequence += 1
        return self.give_bytes(data)

    def give_bytes(self, data: bytes) -> list[Message]:
        self.far.write(data)
        self.runtime.turn(0.0)
        got = [message for message, *_ in self.decoder.feed(self.far.read(0.0))]
        for message in got:
            if isinstance(message, Action):
                message.status &= ~self.ignored
        self.received += got
        return [message for message in got if not isinstance(message, Heartbeat | Status)]

    def answer(self, *messages: Message, time_us: int | None = None) -> Action:
        (action,) = self.give(*messages, time_us=time_us)
        assert isinstance(action, Action)
        return action

    def begin(self, *messages: Message) -> Line:
        first, *_ = self.give(hello(), *messages)
        assert isinstance(first, Hello)
        return self

    def close(self) -> None:
        self.far.close()
        self.runtime.session.transport.close()
