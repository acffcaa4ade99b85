"""The link's messages. Generated from schema.toml by `link.generate`; do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import ClassVar, Union

from haltere.firmware_bridge.link.text import pack_text, unpack_text

SCHEMA_HASH = 0x47BF0CF3
"""Protocol version: the first 32 bits of SHA-256 of the schema."""

MAX_WIRE_SIZE = 84
"""Bytes of the longest frame on the wire, delimiter included."""

Buffer = bytes | bytearray | memoryview


class Role(IntEnum):
    """Which end of the link speaks."""

    FLIGHT_CONTROLLER = 0
    RUNTIME = 1


class Mode(IntEnum):
    """Who computed the action: the reflex, the deliberate system, or the safety fallback."""

    FAST = 0
    SLOW = 1
    SAFE = 2


class LifeCycle(IntEnum):
    """Life cycle of one end."""

    BOOT = 0
    SELF_TEST = 1
    STANDBY = 2
    ACTIVE = 3
    FAULT = 4


class StatusFlag(IntFlag):
    """What was wrong while an action was computed; 0 is nothing."""

    STALE_STATE = 0x0001
    NONFINITE_STATE = 0x0002
    STATE_OUT_OF_BOUNDS = 0x0004
    NO_SETPOINT = 0x0008
    SETPOINT_STALE = 0x0010
    ACTION_NONFINITE = 0x0020
    ACTION_CLIPPED = 0x0040
    DEADLINE_MISSED = 0x0080


class FaultCode(IntEnum):
    """Why an end refuses or has stopped."""

    NONE = 0
    VERSION_MISMATCH = 1
    BUSY = 2
    SELF_TEST_FAILED = 3
    BAD_PARAMETER = 4
    INTERNAL = 5


class MotorSource(IntEnum):
    """Where the flight controller's motor setpoints came from."""

    POLICY = 0
    FALLBACK = 1
    DISARMED = 2


@dataclass(slots=True)
class Hello:
    """Opens a session. The flight controller repeats it until the runtime answers with its own.

    Attributes:
      schema_hash: protocol version of the sender.
      role: which end speaks (`Role`).
      session_id: changes when the sender restarts.
      native_rate_hz: rate of states (flight controller) or of the policy (runtime) (Hz).
      name: vehicle or policy.
    """

    ID: ClassVar[int] = 1
    STRUCT: ClassVar[Struct] = Struct("<IBIH24s")

    schema_hash: int
    role: int
    session_id: int
    native_rate_hz: int
    name: str

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.schema_hash,
            self.role,
            self.session_id,
            self.native_rate_hz,
            pack_text(self.name, 24, cut=True),
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Hello:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1],
            values[2],
            values[3],
            unpack_text(values[4]),
        )


@dataclass(slots=True)
class State:
    """The vehicle's estimated state; each one asks for an action.

    Attributes:
      valid_us: time of validity on the flight controller's clock, wraps (µs).
      position_world_m: position (m, world).
      quat_wxyz: attitude, unit quaternion (1, body → world).
      velocity_world_m_s: velocity (m/s, world).
      angular_velocity_body_rad_s: angular velocity (rad/s, body).
      motor: normalised motor setpoints in force, whoever set them: what the policy begins from (1).
    """

    ID: ClassVar[int] = 2
    STRUCT: ClassVar[Struct] = Struct("<I3f4f3f3f4f")

    valid_us: int
    position_world_m: Sequence[float]
    quat_wxyz: Sequence[float]
    velocity_world_m_s: Sequence[float]
    angular_velocity_body_rad_s: Sequence[float]
    motor: Sequence[float]

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.valid_us,
            *self.position_world_m,
            *self.quat_wxyz,
            *self.velocity_world_m_s,
            *self.angular_velocity_body_rad_s,
            *self.motor,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> State:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1:4],
            values[4:8],
            values[8:11],
            values[11:14],
            values[14:18],
        )


@dataclass(slots=True)
class Setpoint:
    """A segment of trajectory: the receiver extrapolates it quadratically from its time of validity.

    Attributes:
      valid_us: time of validity on the flight controller's clock, wraps (µs).
      position_world_m: position (m, world).
      velocity_world_m_s: velocity (m/s, world).
      acceleration_world_m_s2: acceleration (m/s², world).
      yaw_rad: heading about world z (rad, world).
    """

    ID: ClassVar[int] = 3
    STRUCT: ClassVar[Struct] = Struct("<I3f3f3ff")

    valid_us: int
    position_world_m: Sequence[float]
    velocity_world_m_s: Sequence[float]
    acceleration_world_m_s2: Sequence[float]
    yaw_rad: float

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.valid_us,
            *self.position_world_m,
            *self.velocity_world_m_s,
            *self.acceleration_world_m_s2,
            self.yaw_rad,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Setpoint:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1:4],
            values[4:7],
            values[7:10],
            values[10],
        )


@dataclass(slots=True)
class Action:
    """The answer to one state.

    Attributes:
      state_sequence: frame sequence of the state answered.
      state_valid_us: `valid_us` of the state answered (µs).
      age_us: from reception of that state to this answer (µs).
      mode: who computed it (`Mode`).
      status: what was wrong (`StatusFlag`).
      motor: normalised motor setpoints in [-1, 1]: front-right, back-right, back-left, front-left (1).
    """

    ID: ClassVar[int] = 4
    STRUCT: ClassVar[Struct] = Struct("<BIIBH4f")

    state_sequence: int
    state_valid_us: int
    age_us: int
    mode: int
    status: int
    motor: Sequence[float]

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.state_sequence,
            self.state_valid_us,
            self.age_us,
            self.mode,
            self.status,
            *self.motor,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Action:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1],
            values[2],
            values[3],
            values[4],
            values[5:9],
        )


@dataclass(slots=True)
class Heartbeat:
    """The sender is alive.

    Attributes:
      life_cycle: life cycle of the sender (`LifeCycle`).
    """

    ID: ClassVar[int] = 5
    STRUCT: ClassVar[Struct] = Struct("<B")

    life_cycle: int

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.life_cycle,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Heartbeat:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(values[0])


@dataclass(slots=True)
class Status:
    """Telemetry of the runtime, since its session began.

    Attributes:
      life_cycle: life cycle of the runtime (`LifeCycle`).
      mode: present mode (`Mode`).
      states_received: states received.
      actions_sent: actions sent.
      frames_dropped: bad frames received.
      inference_p50_us: median time of one inference (µs).
      inference_p99_us: 99th percentile (µs).
      inference_max_us: worst (µs).
    """

    ID: ClassVar[int] = 6
    STRUCT: ClassVar[Struct] = Struct("<BBIIIfff")

    life_cycle: int
    mode: int
    states_received: int
    actions_sent: int
    frames_dropped: int
    inference_p50_us: float
    inference_p99_us: float
    inference_max_us: float

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.life_cycle,
            self.mode,
            self.states_received,
            self.actions_sent,
            self.frames_dropped,
            self.inference_p50_us,
            self.inference_p99_us,
            self.inference_max_us,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Status:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1],
            values[2],
            values[3],
            values[4],
            values[5],
            values[6],
            values[7],
        )


@dataclass(slots=True)
class ParameterSet:
    """Asks for a parameter to be changed; answered by `parameter_value`.

    Attributes:
      name: name of the parameter.
      value: value asked.
    """

    ID: ClassVar[int] = 7
    STRUCT: ClassVar[Struct] = Struct("<16sf")

    name: str
    value: float

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            pack_text(self.name, 16, cut=False),
            self.value,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> ParameterSet:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            unpack_text(values[0]),
            values[1],
        )


@dataclass(slots=True)
class ParameterValue:
    """The value that a parameter has now.

    Attributes:
      name: name of the parameter.
      value: value in force.
      accepted: 1: the value asked was taken; 0: it was refused.
    """

    ID: ClassVar[int] = 8
    STRUCT: ClassVar[Struct] = Struct("<16sfB")

    name: str
    value: float
    accepted: int

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            pack_text(self.name, 16, cut=False),
            self.value,
            self.accepted,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> ParameterValue:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            unpack_text(values[0]),
            values[1],
            values[2],
        )


@dataclass(slots=True)
class Fault:
    """The sender refuses or has stopped.

    Attributes:
      code: why (`FaultCode`).
      detail: number that belongs to the code (version mismatch: the sender's hash).
      text: why, in words.
    """

    ID: ClassVar[int] = 9
    STRUCT: ClassVar[Struct] = Struct("<HI48s")

    code: int
    detail: int
    text: str

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.code,
            self.detail,
            pack_text(self.text, 48, cut=True),
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Fault:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1],
            unpack_text(values[2]),
        )


@dataclass(slots=True)
class Log:
    """A line for people.

    Attributes:
      level: severity as in Python's `logging`: 10 debug to 50 critical.
      text: the line.
    """

    ID: ClassVar[int] = 10
    STRUCT: ClassVar[Struct] = Struct("<B64s")

    level: int
    text: str

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.level,
            pack_text(self.text, 64, cut=True),
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Log:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            unpack_text(values[1]),
        )


@dataclass(slots=True)
class Motors:
    """What the flight controller gives to the motors. Never sent to the runtime.

    Attributes:
      state_valid_us: `valid_us` of the state it is based on (µs).
      motor: normalised motor setpoints in [-1, 1]: front-right, back-right, back-left, front-left (1).
      source: policy or fallback (`MotorSource`).
      mode: mode of the action; SAFE for the fallback (`Mode`).
      status: status of the newest action (`StatusFlag`).
      round_trip_us: wall clock, from writing the state to decoding its action; 0: none (µs).
      frames_dropped: bad frames received from the runtime.
    """

    ID: ClassVar[int] = 11
    STRUCT: ClassVar[Struct] = Struct("<I4fBBHII")

    state_valid_us: int
    motor: Sequence[float]
    source: int
    mode: int
    status: int
    round_trip_us: int
    frames_dropped: int

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        """Packs the payload into a buffer, little-endian."""
        self.STRUCT.pack_into(
            buffer,
            offset,
            self.state_valid_us,
            *self.motor,
            self.source,
            self.mode,
            self.status,
            self.round_trip_us,
            self.frames_dropped,
        )

    @classmethod
    def unpack_from(cls, buffer: Buffer, offset: int = 0) -> Motors:
        """Unpacks a payload of exactly this message's size."""
        values = cls.STRUCT.unpack_from(buffer, offset)
        return cls(
            values[0],
            values[1:5],
            values[5],
            values[6],
            values[7],
            values[8],
            values[9],
        )


Message = Union[  # noqa: UP007
    Hello,
    State,
    Setpoint,
    Action,
    Heartbeat,
    Status,
    ParameterSet,
    ParameterValue,
    Fault,
    Log,
    Motors,
]
"""Any message."""

MESSAGES: dict[int, type[Message]] = {
    Hello.ID: Hello,
    State.ID: State,
    Setpoint.ID: Setpoint,
    Action.ID: Action,
    Heartbeat.ID: Heartbeat,
    Status.ID: Status,
    ParameterSet.ID: ParameterSet,
    ParameterValue.ID: ParameterValue,
    Fault.ID: Fault,
    Log.ID: Log,
    Motors.ID: Motors,
}
"""Message class of each id."""
