"""What a flight shall be: vehicle, trajectory, world, faults. Checked before anything starts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.sim.recorder import Recorder
from haltere.sim.senses.street import blind_alley
from haltere.sim.sensors import SensorConfig, Sensors
from haltere.sim.setpoint import Trajectory
from haltere.sim.trajectory import make_trajectory
from haltere.sim.vehicle import Vehicle, load_vehicle
from haltere.sim.weather import Weather
from haltere.sim.world import World, WorldConfig
from haltere.tools.flight.fallback import fallback_options
from haltere.tools.flight.link_uri import parse_link
from haltere.tools.flight.simulate import Event, Outcome, Simulation, wire_delay_s
from haltere.tools.flight.stack import BLACK_BOX, Stack, start_stack
from haltere.tools.flight.street import StreetSenses, check_room

REAL_TIME_PERIOD_S = 0.002
STATE_PERIOD_S = 0.01
LOCKSTEP_WAIT_US = 100_000


@dataclasses.dataclass(frozen=True)
class FlightPlan:
    """A flight, with what is broken on purpose.

    Attributes:
      vehicle: name of a shipped vehicle, or a TOML file.
      trajectory: see `haltere.sim.trajectory.make_trajectory`.
      duration_s: of a trajectory that has no end of its own, s.
      link: see `link_uri.parse_link`.
      policy: policy file.
      backend: of the runtime.
      real_time: physics follows the wall clock; otherwise it waits for each answer.
      seed: of gusts and sensor noise.
      wind_m_s: mean wind along world x and y equally; gusts of a third of it.
      payload_drop_s: a payload is carried, and dropped at this time, s; None: no payload.
      payload: mass of the payload over that of the vehicle.
      worn: (rotor, efficiency) or None.
      latency_s: extra age of the measured state, s.
      noise: scale of the sensor noise; 1 is 2 mm, 1 cm/s, 0.1 degrees, 0.01 rad/s.
      poke_s: a blow at this time, s, that changes the velocity by `poke_m_s`; None: none.
      poke_m_s: how hard the blow is, m/s, along world x and y equally.
      throw_m_s: horizontal speed with which the vehicle is let go, m/s.
      throw_tilt_deg: roll with which it is let go, degrees.
      street: contexts of a flight between houses, in turn, on the state that the simulated FPGA estimates; None: an
        open field, and the state with noise.
      board: of the simulated FPGA, `sim` or `rtl`.
      reset_fpga_s: it is reset at this time, s, in the middle of a control period; None: never.
      constants: file of its energy model; None: the shipped one.
      kill_runtime_s: the runtime is killed (SIGKILL) at this time, s; None: never.
    """

    vehicle: str = "crazyflie"
    trajectory: str = "figure-eight:period_s=9,loops=1"
    duration_s: float = 10.0
    link: str = "pty:?baud=921600"
    policy: Path = FOUNDATION
    backend: str = "onnxruntime"
    real_time: bool = False
    seed: int = 0
    wind_m_s: float = 0.0
    payload_drop_s: float | None = None
    payload: float = 0.3
    worn: tuple[int, float] | None = None
    latency_s: float = 0.0
    noise: float = 1.0
    poke_s: float | None = None
    poke_m_s: float = 1.5
    throw_m_s: float = 0.0
    throw_tilt_deg: float = 0.0
    kill_runtime_s: float | None = None
    street: tuple[str, ...] | None = None
    board: str = "sim"
    reset_fpga_s: float | None = None
    constants: Path | None = None

    @property
    def settling_s(self) -> float:
        """Time, s, in which a vehicle that was thrown may be far from its path."""
        return 3.0 if self.throw_m_s or self.throw_tilt_deg else 0.0

    def length_s(self, trajectory: Trajectory) -> float:
        """How long the flight is, s."""
        return float(getattr(trajectory, "duration_s", None) or self.duration_s)

    def world_config(self, vehicle: Vehicle) -> WorldConfig:
        """The world of this plan."""
        efficiency = [1.0] * 4
        if self.worn is not None:
            rotor, factor = self.worn
            if not 0 <= rotor <= 3:
                raise ConfigError(f"worn propeller {rotor}: motors are numbered 0 to 3, front-right to front-left")
            efficiency[rotor] = factor
        mean, gust = self.wind_m_s / 2**0.5, abs(self.wind_m_s) / 3
        return WorldConfig(
            control_period_s=REAL_TIME_PERIOD_S if self.real_time else STATE_PERIOD_S,
            weather=Weather((mean, mean, 0.0), (gust, gust, gust / 2)),
            payload_kg=0.0 if self.payload_drop_s is None else self.payload * vehicle.mass_kg,
            payload_drop_time_s=float("inf") if self.payload_drop_s is None else self.payload_drop_s,
            rotor_efficiency=(efficiency[0], efficiency[1], efficiency[2], efficiency[3]),
        )

    def sensor_config(self) -> SensorConfig:
        """The sensors of this plan."""
        scale = self.noise
        return SensorConfig(0.002 * scale, 0.01 * scale, 0.002 * scale, 0.01 * scale, self.latency_s)


def poke_at(time_s: float, speed_m_s: float) -> Event:
    """An event that hits the vehicle at a time, s, so that its velocity changes by `speed_m_s`."""
    hit = False

    def event(now_s: float, world: World, stack: Stack) -> None:
        nonlocal hit
        if now_s >= time_s and not hit:
            hit = True
            along = speed_m_s * world.mass_kg / 2**0.5
            world.poke((along, along, 0.0))

    return event


def kill_runtime_at(time_s: float) -> Event:
    """An event that kills the runtime (SIGKILL) once a time is reached, s."""

    def event(now_s: float, world: World, stack: Stack) -> None:
        if now_s >= time_s and stack.runtime is not None and stack.runtime.poll() is None:
            stack.runtime.kill()

    return event


def fly_plan(
    plan: FlightPlan,
    output: Path,
    progress: Callable[[float, float], None] = lambda time_s, length_s: None,
    events: Sequence[Event] = (),
) -> tuple[Outcome, Vehicle, float]:
    """Flies a plan; leaves the log `flight.mcap` and the runtime's `black_box.bin` in a folder.

    Args:
      plan: what to fly.
      output: the folder, made if it is not there.
      progress: called with (time flown, whole length), s.
      events: what else happens in flight, besides what the plan breaks.
    Returns:
      Outcome, vehicle, length of the flight in s.
    Raises:
      HaltereError: something in the plan is wrong, or a process did not start.
    """
    vehicle = load_vehicle(plan.vehicle)
    trajectory = make_trajectory(plan.trajectory)
    link = parse_link(plan.link)
    length = plan.length_s(trajectory)
    config, sensor_config = plan.world_config(vehicle), plan.sensor_config()
    if plan.kill_runtime_s is not None:
        if link.kind == "serial":
            raise ConfigError(f"--kill-runtime: with --link {plan.link} the runtime is on a board; kill it there")
        events = (*events, kill_runtime_at(plan.kill_runtime_s))
    if plan.poke_s is not None:
        events = (*events, poke_at(plan.poke_s, plan.poke_m_s))
    if plan.reset_fpga_s is not None and plan.street is None:
        raise ConfigError("--reset-fpga belongs to --world street: the open field has no FPGA")
    output.mkdir(parents=True, exist_ok=True)
    (output / BLACK_BOX).unlink(missing_ok=True)
    if plan.street is not None:
        if plan.real_time:
            raise ConfigError("--world street: the simulated FPGA is not real-time; leave --realtime away")
        check_room(trajectory, length)
    metadata = {key: str(value) for key, value in dataclasses.asdict(plan).items()}
    wait_us = 0 if plan.real_time else LOCKSTEP_WAIT_US
    with (
        World(vehicle, config, plan.seed) as world,
        start_stack(link, plan.policy, plan.backend, fallback_options(vehicle), wait_us, vehicle.name, output) as stack,
        Recorder(output / "flight.mcap", vehicle.name, metadata) as recorder,
        contextlib.ExitStack() as closing,
    ):
        sensors: Sensors | StreetSenses
        if plan.street is None:
            sensors = Sensors(sensor_config, world.spawn_generator())
        else:
            senses = StreetSenses(
                plan.street,
                length,
                trajectory,
                plan.policy,
                world.spawn_generator(),
                plan.board,
                plan.constants,
                reset_s=plan.reset_fpga_s,
            )
            closing.callback(senses.close)
            for low, high in zip(blind_alley().low, blind_alley().high, strict=True):
                world.build(low, high)
            sensors = senses
        simulation = Simulation(world, sensors, trajectory, stack, recorder, events)
        half = np.deg2rad(plan.throw_tilt_deg) / 2
        world.reset(
            position_world_m=trajectory.at(0.0).position_world_m,
            quat_wxyz=(np.cos(half), np.sin(half), 0.0, 0.0),
            velocity_world_m_s=(plan.throw_m_s, 0.0, 0.0),
        )
        simulation.wait_for_runtime()

        def show(time_s: float) -> None:
            progress(time_s, length)

        if plan.real_time:
            outcome = simulation.real_time(length, STATE_PERIOD_S, show)
        else:
            outcome = simulation.lockstep(length, wire_delay_s(link), show)
        if isinstance(sensors, StreetSenses):
            outcome.gating = sensors.log
    return outcome, vehicle, length
