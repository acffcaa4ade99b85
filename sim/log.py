"""The log's format: which topics there are, their schemas, and how a row becomes messages and back.

Messages are JSON with a JSON schema, so that Foxglove and PlotJuggler open a log without a plugin. `/tf` is
Foxglove's own frame transform: its 3-D panel shows the frames `vehicle` and `setpoint` in `world`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from haltere.policies.contract import MOTOR_ORDER
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State

_MOTOR_KEYS = tuple(name.replace("-", "_") for name in MOTOR_ORDER)
MODE_NUMBER = {"FAST": 0, "SLOW": 1, "SAFE": 2}
"""For plots, which cannot show words; any other mode is -1."""

Message = dict[str, Any]


def _schema(title: str, properties: Mapping[str, Any]) -> Message:
    return {"title": title, "type": "object", "properties": dict(properties)}


def _numbers(names: Iterable[str], unit: str) -> Message:
    properties = {name: {"type": "number", "description": unit} for name in names}
    return {"type": "object", "description": unit, "properties": properties}


_VECTOR = "xyz"
_STAMP = _numbers(("sec", "nsec"), "time since the start of the flight")

SCHEMAS: Mapping[str, Message] = {
    "/state": _schema(
        "haltere.State",
        {
            "position_world_m": _numbers(_VECTOR, "m"),
            "quat_wxyz": _numbers("wxyz", "body to world"),
            "velocity_world_m_s": _numbers(_VECTOR, "m/s"),
            "angular_velocity_body_rad_s": _numbers(_VECTOR, "rad/s"),
        },
    ),
    "/setpoint": _schema(
        "haltere.Setpoint",
        {
            "position_world_m": _numbers(_VECTOR, "m"),
            "velocity_world_m_s": _numbers(_VECTOR, "m/s"),
            "acceleration_world_m_s2": _numbers(_VECTOR, "m/s²"),
            "yaw_rad": {"type": "number", "description": "rad"},
            "tracking_error_m": {"type": "number", "description": "distance of the vehicle, m"},
        },
    ),
    "/action": _schema("haltere.Action", _numbers(_MOTOR_KEYS, "normalised, -1 to 1")["properties"]),
    "/motors": _schema("haltere.Motors", _numbers(_MOTOR_KEYS, "rotor speed, 0 to 1")["properties"]),
    "/mode": _schema(
        "haltere.Mode",
        {
            "mode": {"type": "string"},
            "mode_number": {"type": "integer", "description": f"{MODE_NUMBER}, any other -1"},
        },
    ),
    "/latency": _schema("haltere.Latency", {"round_trip_s": {"type": "number", "description": "s"}}),
    "/tf": _schema(
        "foxglove.FrameTransform",
        {
            "timestamp": _STAMP | {"format": "time"},
            "parent_frame_id": {"type": "string"},
            "child_frame_id": {"type": "string"},
            "translation": _numbers(_VECTOR, "m"),
            "rotation": _numbers("xyzw", "child to parent"),
        },
    ),
}


def encode(
    state: State, setpoint: Setpoint, action: Any, mode: str, round_trip_s: float | None
) -> list[tuple[str, bytes]]:
    """Turns one control period into (topic, message) pairs, `/state` last.

    A number that is not finite becomes null; an unknown round trip is left out.
    """
    error = float(np.linalg.norm(state.position_world_m - setpoint.position_world_m))
    w, x, y, z = state.quat_wxyz.tolist()
    half = 0.5 * setpoint.yaw_rad
    turned = (0.0, 0.0, math.sin(half), math.cos(half))
    messages: list[tuple[str, Message]] = [
        (
            "/setpoint",
            {
                "position_world_m": _named(_VECTOR, setpoint.position_world_m),
                "velocity_world_m_s": _named(_VECTOR, setpoint.velocity_world_m_s),
                "acceleration_world_m_s2": _named(_VECTOR, setpoint.acceleration_world_m_s2),
                "yaw_rad": _finite(setpoint.yaw_rad),
                "tracking_error_m": _finite(error),
            },
        ),
        ("/action", _named(_MOTOR_KEYS, action)),
        ("/motors", _named(_MOTOR_KEYS, state.rotor_speed)),
        ("/mode", {"mode": mode, "mode_number": MODE_NUMBER.get(mode, -1)}),
        ("/tf", _transform(state.time_s, "vehicle", state.position_world_m, (x, y, z, w))),
        ("/tf", _transform(state.time_s, "setpoint", setpoint.position_world_m, turned)),
    ]
    if round_trip_s is not None and math.isfinite(round_trip_s):
        messages.append(("/latency", {"round_trip_s": round_trip_s}))
    measured = {
        "position_world_m": _named(_VECTOR, state.position_world_m),
        "quat_wxyz": _named("wxyz", state.quat_wxyz),
        "velocity_world_m_s": _named(_VECTOR, state.velocity_world_m_s),
        "angular_velocity_body_rad_s": _named(_VECTOR, state.angular_velocity_body_rad_s),
    }
    messages.append(("/state", measured))
    return [(topic, json.dumps(message).encode()) for topic, message in messages]


def decode(time_s: float, messages: Mapping[str, Message]) -> tuple[State, Setpoint, list[float], str, float | None]:
    """Turns the messages of one control period, by topic, back into what `encode` was given.

    Raises:
      KeyError: a topic or field is missing.
    """
    state, setpoint = messages["/state"], messages["/setpoint"]
    return (
        State(
            time_s,
            np.array(_values(_VECTOR, state["position_world_m"])),
            np.array(_values("wxyz", state["quat_wxyz"])),
            np.array(_values(_VECTOR, state["velocity_world_m_s"])),
            np.array(_values(_VECTOR, state["angular_velocity_body_rad_s"])),
            np.array(_values(_MOTOR_KEYS, messages["/motors"])),
        ),
        Setpoint(
            np.array(_values(_VECTOR, setpoint["position_world_m"])),
            np.array(_values(_VECTOR, setpoint["velocity_world_m_s"])),
            np.array(_values(_VECTOR, setpoint["acceleration_world_m_s2"])),
            _number(setpoint["yaw_rad"]),
        ),
        _values(_MOTOR_KEYS, messages["/action"]),
        str(messages["/mode"]["mode"]),
        _number(messages["/latency"]["round_trip_s"]) if "/latency" in messages else None,
    )


def _transform(time_s: float, child: str, translation: Any, rotation_xyzw: Iterable[float]) -> Message:
    nanoseconds = round(time_s * 1e9)
    return {
        "timestamp": {"sec": nanoseconds // 10**9, "nsec": nanoseconds % 10**9},
        "parent_frame_id": "world",
        "child_frame_id": child,
        "translation": _named(_VECTOR, translation),
        "rotation": _named("xyzw", list(rotation_xyzw)),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _named(names: Iterable[str], values: Any) -> Message:
    return {name: _finite(value) for name, value in zip(names, values, strict=True)}


def _values(names: Iterable[str], message: Message) -> list[float]:
    return [_number(message[name]) for name in names]
