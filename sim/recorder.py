"""Records a flight, into memory and into an MCAP log that survives the end of the process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from mcap.exceptions import InvalidMagic, McapError
from mcap.records import Channel, Footer, McapRecord, Metadata
from mcap.records import Message as McapMessage
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC, Writer

from haltere.policies.errors import ConfigError
from haltere.sim.flight import Flight
from haltere.sim.log import SCHEMAS, Message, decode, encode
from haltere.sim.setpoint import Setpoint
from haltere.sim.state import State

_METADATA = "haltere.flight"
_FLUSH_PERIOD_S = 0.05
_LARGEST_RECORD = 2**28

Row = tuple[State, Setpoint, Any, str, float]


class Recorder:
    """Records one row for each control period. Close it, or use it as a context manager.

    What is older than 50 ms of flight has been handed to the operating system, so that a killed process
    loses no more than that.
    """

    def __init__(
        self, path: str | Path | None = None, vehicle: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        """Args:
          path: the log to write (`.mcap`); None keeps the flight in memory only.
          vehicle: name of the vehicle.
          metadata: whatever else belongs to the flight (seed, policy, command), as text.

        Raises:
          ConfigError: the file cannot be written.
        """
        self._vehicle = vehicle
        self._rows: list[Row] = []
        self._file: IO[bytes] | None = None
        self._flushed_s = -math.inf
        if path is None:
            return
        try:
            self._file = Path(path).open("wb")  # noqa: SIM115 - closed in `close`
        except OSError as error:
            raise ConfigError(f"log {path}: cannot be written ({error.strerror})") from None
        self._writer: Any = Writer(self._file)
        self._writer.start(profile="", library="haltere")
        self._writer.add_metadata(_METADATA, {**(metadata or {}), "vehicle": vehicle})
        self._channel: dict[str, int] = {}
        for topic, schema in SCHEMAS.items():
            number = self._writer.register_schema(schema["title"], "jsonschema", json.dumps(schema).encode())
            self._channel[topic] = self._writer.register_channel(topic, "json", number)

    def __enter__(self) -> Recorder:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the log."""
        self.close()

    def record(
        self,
        state: State,
        setpoint: Setpoint,
        action: Any,
        mode: str = "FAST",
        round_trip_s: float | None = None,
    ) -> None:
        """Records one control period.

        Args:
          state: true state.
          setpoint: reference at that time.
          action: (4,) normalised motor setpoints given in answer.
          mode: mode that gave it.
          round_trip_s: from state sent to action received, s; None: unknown.
        """
        action = np.array(action, np.float64)
        self._rows.append((state, setpoint, action, mode, math.nan if round_trip_s is None else round_trip_s))
        if self._file is None:
            return
        stamp_ns = round(state.time_s * 1e9)
        for topic, data in encode(state, setpoint, action, mode, round_trip_s):
            self._writer.add_message(self._channel[topic], stamp_ns, data, stamp_ns, len(self._rows))
        if not 0 <= state.time_s - self._flushed_s < _FLUSH_PERIOD_S - 1e-9:
            self._flushed_s = state.time_s
            self._writer.flush()

    def flight(self) -> Flight:
        """Returns what has been recorded so far."""
        return _flight(self._vehicle, self._rows, finished=True)

    def close(self) -> None:
        """Writes the log's index and closes it; a second call does nothing."""
        if self._file is not None:
            self._writer.finish()
            self._file.close()
            self._file = None


def read_log(path: str | Path) -> Flight:
    """Reads a log, also one that was never closed or whose end is torn.

    Args:
      path: an MCAP log of `Recorder`.
    Returns:
      The flight; `finished` tells whether the log was closed.
    Raises:
      ConfigError: the file cannot be read, is not MCAP, or holds no Haltere flight.
    """
    periods: dict[int, dict[str, Message]] = {}
    channels: dict[int, str] = {}
    vehicle, finished = "", False
    try:
        for record in _records(Path(path)):
            if isinstance(record, Channel):
                channels[record.id] = record.topic
            elif isinstance(record, McapMessage):
                messages = periods.setdefault(record.sequence, {"time": {"ns": record.log_time}})
                messages[channels[record.channel_id]] = json.loads(record.data)
            elif isinstance(record, Metadata) and record.name == _METADATA:
                vehicle = record.metadata.get("vehicle", "")
            finished = finished or isinstance(record, Footer)
    except OSError as error:
        raise ConfigError(f"log {path}: cannot be read ({error.strerror})") from None
    except (McapError, ValueError, KeyError) as error:
        raise ConfigError(f"log {path}: not an MCAP log of Haltere ({error})") from None
    rows: list[Row] = []
    for messages in periods.values():
        try:
            row = decode(messages["time"]["ns"] / 1e9, messages)
        except KeyError:
            continue
        rows.append((*row[:4], math.nan if row[4] is None else row[4]))
    if not rows:
        raise ConfigError(
            f"log {path}: holds no Haltere flight; expected an MCAP file with the topics {', '.join(SCHEMAS)}"
        )
    return _flight(vehicle, rows, finished)


def _records(path: Path) -> Iterator[McapRecord]:
    """Yields a file's records until its end, or until one is torn."""
    with path.open("rb") as stream:
        records = StreamReader(stream, record_size_limit=_LARGEST_RECORD).records
        while True:
            try:
                record = next(records, None)
            except InvalidMagic:
                # At the start it is another kind of file; at the end, a footer without its last bytes.
                if stream.tell() > len(MCAP0_MAGIC):
                    return
                raise
            except Exception:
                # A torn record fails in many ways inside the reader (end of file, zstd, struct, ...).
                return
            if record is None:
                return
            yield record


def _flight(vehicle: str, rows: list[Row], finished: bool) -> Flight:
    def stack(values: list[Any], width: int) -> Any:
        return np.array(values, np.float64).reshape((-1, width) if width > 1 else (-1,))

    return Flight(
        vehicle=vehicle,
        time_s=stack([row[0].time_s for row in rows], 1),
        position_world_m=stack([row[0].position_world_m for row in rows], 3),
        quat_wxyz=stack([row[0].quat_wxyz for row in rows], 4),
        velocity_world_m_s=stack([row[0].velocity_world_m_s for row in rows], 3),
        angular_velocity_body_rad_s=stack([row[0].angular_velocity_body_rad_s for row in rows], 3),
        rotor_speed=stack([row[0].rotor_speed for row in rows], 4),
        reference_position_world_m=stack([row[1].position_world_m for row in rows], 3),
        reference_velocity_world_m_s=stack([row[1].velocity_world_m_s for row in rows], 3),
        reference_yaw_rad=stack([row[1].yaw_rad for row in rows], 1),
        action=stack([row[2] for row in rows], 4),
        mode=tuple(row[3] for row in rows),
        round_trip_s=stack([row[4] for row in rows], 1),
        finished=finished,
    )
