"""The world: one vehicle, the ground, the air, and time. Advanced by one control period at a call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType

import numpy as np
import numpy.typing as npt

from haltere.policies.contract import ACTION_SIZE, NATIVE_PERIOD_S
from haltere.policies.errors import ConfigError
from haltere.sim.physics import Physics
from haltere.sim.quadrotor import Quadrotor
from haltere.sim.rotors import Rotors
from haltere.sim.state import State
from haltere.sim.vehicle import GRAVITY_M_S2, Vehicle
from haltere.sim.weather import Weather, Wind

Array = npt.NDArray[np.float64]
Numbers = Sequence[float] | npt.NDArray[np.floating]

_FARTHEST_M = 1e4
_FASTEST_M_S = 500.0
_FASTEST_RAD_S = 500.0
_CRASH_SPEED_M_S = 1.0
_CRASH_UPRIGHT = 0.5


class Status(Enum):
    """What has become of the flight. `CRASHED` and `DIVERGED` last until the next reset."""

    FLYING = "flying"
    ON_GROUND = "on the ground"
    CRASHED = "crashed"
    DIVERGED = "diverged"

    @property
    def over(self) -> bool:
        """Whether the flight cannot go on."""
        return self in (Status.CRASHED, Status.DIVERGED)


@dataclass(frozen=True)
class WorldConfig:
    """How the world is.

    Attributes:
      physics_rate_hz: physics steps per second, at least 400.
      control_period_s: time of one `World.step`, s.
      action_delay_s: an action takes effect this long after its step begins, s; the one before holds
        until then. May be longer than the control period.
      ground: whether there is a ground at height 0.
      ground_effect: whether rotors near the ground gain thrust.
      weather: wind and gusts.
      default_drag_1_s: linear drag per mass, 1/s, of a vehicle whose file gives none; used only in wind,
        so that in still air such a vehicle is exactly the one of its source.
      payload_kg: mass carried from the start, kg.
      payload_below_m: how far under the centre of mass it is fixed, m; default half an arm's length.
      payload_drop_time_s: when it is dropped, s; never by default.
      rotor_efficiency: (4,) thrust and torque of each rotor over those of a new one, 0 to 1.
    Raises:
      ConfigError: a value is out of range.
    """

    physics_rate_hz: float = 1000.0
    control_period_s: float = NATIVE_PERIOD_S
    action_delay_s: float = 0.0
    ground: bool = True
    ground_effect: bool = True
    weather: Weather = field(default_factory=Weather)
    default_drag_1_s: float = 0.25
    payload_kg: float = 0.0
    payload_below_m: float | None = None
    payload_drop_time_s: float = math.inf
    rotor_efficiency: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for key, low, high in (
            ("physics_rate_hz", 400.0, 10000.0),
            ("control_period_s", 0.001, 0.1),
            ("action_delay_s", 0.0, 1.0),
            ("default_drag_1_s", 0.0, 5.0),
            ("payload_kg", 0.0, 50.0),
            ("payload_drop_time_s", 0.0, math.inf),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ConfigError(f"{key} = {value!r}: outside the allowed range {low:g} to {high:g}")
        if self.payload_below_m is not None and not 0.0 <= self.payload_below_m <= 10.0:
            raise ConfigError(f"payload_below_m = {self.payload_below_m!r}: outside the allowed range 0 to 10")
        if len(self.rotor_efficiency) != 4 or not all(0.0 <= e <= 1.0 for e in self.rotor_efficiency):
            raise ConfigError(
                f"rotor_efficiency = {self.rotor_efficiency!r}: expected four factors 0 to 1, in motor order"
            )
        substeps = self.physics_rate_hz * self.control_period_s
        if abs(substeps - round(substeps)) > 1e-6 or substeps < 1:
            raise ConfigError(
                f"control_period_s = {self.control_period_s!r} is {substeps:g} physics steps at "
                f"{self.physics_rate_hz:g} Hz; expected a whole number"
            )


class World:
    """One vehicle in PyBullet (DIRECT, no window). Close it, or use it as a context manager.

    Every step writes a status and never raises for what the vehicle does: see `status`.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        config: WorldConfig | None = None,
        seed: int | np.random.Generator = 0,
    ) -> None:
        """Args:
        vehicle: what flies.
        config: how the world is; default calm, with ground.
        seed: seed, or the generator from which the world's own generators are spawned.
        """
        self.vehicle = vehicle
        self.config = config or WorldConfig()
        self._seed = np.random.default_rng(seed)
        self._period = 1.0 / self.config.physics_rate_hz
        self.substeps = round(self.config.control_period_s * self.config.physics_rate_hz)
        self._client = Physics()
        self._client.setTimeStep(self._period)
        self._client.setGravity(0.0, 0.0, -GRAVITY_M_S2)
        self._ground: int | None = None
        if self.config.ground:
            plane = self._client.createCollisionShape(self._client.GEOM_PLANE)
            self._ground = self._client.createMultiBody(0, plane)
        self._boxes: list[int] = []
        self._body = Quadrotor(self._client, vehicle)
        self._drag = vehicle.linear_drag
        if not self._drag.any() and not self.config.weather.still:
            self._drag = np.full(3, self.config.default_drag_1_s * vehicle.mass_kg)
        self.reset()

    def __enter__(self) -> World:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the world."""
        self.close()

    def close(self) -> None:
        """Frees the physics; a second call does nothing."""
        self._client.close()

    def reset(
        self,
        position_world_m: Numbers = (0.0, 0.0, 1.0),
        quat_wxyz: Numbers = (1.0, 0.0, 0.0, 0.0),
        velocity_world_m_s: Numbers = (0.0, 0.0, 0.0),
        angular_velocity_body_rad_s: Numbers = (0.0, 0.0, 0.0),
        rotor_speed: float | Numbers | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> State:
        """Starts anew at time 0, payload attached, with new gusts.

        Args:
          position_world_m: (3,), m.
          quat_wxyz: (4,) body to world; normalised here.
          velocity_world_m_s: (3,), m/s.
          angular_velocity_body_rad_s: (3,), rad/s.
          rotor_speed: one or (4,) in [0, 1]; default the vehicle's hover. The matching action holds until
            the first one takes effect.
          seed: starts the world's tree of generators anew; without it the tree goes on, so that the n-th
            reset of worlds of one seed has the same gusts.
        Returns:
          The true state.
        Raises:
          ConfigError: a number is not finite, or the quaternion is zero.
        """
        if seed is not None:
            self._seed = np.random.default_rng(seed)
        config, vehicle = self.config, self.vehicle
        (wind_seed,) = self._seed.spawn(1)
        self._wind = Wind(config.weather, wind_seed)
        speed = vehicle.hover_rotor_speed if rotor_speed is None else rotor_speed
        self._rotors = Rotors(vehicle, np.broadcast_to(np.asarray(speed, np.float64), (4,)))
        for rotor, factor in enumerate(config.rotor_efficiency):
            self._rotors.set_efficiency(rotor, factor)
        self._tick = 0
        self._pending: list[tuple[int, Array]] = []
        self._poke: tuple[Array, Array | None] | None = None
        self.status = Status.FLYING
        self.wind_world_m_s: Array = self._wind.step(0.0)
        below = config.payload_below_m
        if below is None:
            below = 0.5 * float(np.mean(np.linalg.norm(vehicle.rotor_position_m, axis=1)))
        self._loaded = config.payload_kg > 0.0
        self._body.set_load(config.payload_kg, below if self._loaded else 0.0)
        quat = np.asarray(quat_wxyz, np.float64)
        norm = float(np.linalg.norm(quat))
        if quat.shape != (4,) or not 1e-6 < norm < math.inf:
            raise ConfigError(f"quat_wxyz = {quat_wxyz!r}: expected four numbers, not all zero")
        start = State(
            0.0,
            np.asarray(position_world_m, np.float64),
            quat / norm,
            np.asarray(velocity_world_m_s, np.float64),
            np.asarray(angular_velocity_body_rad_s, np.float64),
            self._rotors.speed,
        )
        if not start.finite() or {start.position_world_m.shape, start.velocity_world_m_s.shape} != {(3,)}:
            raise ConfigError(
                f"start at {position_world_m!r} m with {velocity_world_m_s!r} m/s and "
                f"{angular_velocity_body_rad_s!r} rad/s: expected three finite numbers each"
            )
        self._body.place(start)
        self._state = start
        return self.state()

    @property
    def time_s(self) -> float:
        """Time since the reset, s."""
        return self._tick * self._period

    @property
    def mass_kg(self) -> float:
        """Mass of the vehicle with what it carries now, kg."""
        return self._body.mass_kg

    @property
    def rotor_command(self) -> Array:
        """(4,) the rotor speed commands in effect now, in [0, 1]."""
        return self._rotors.command.copy()

    def state(self) -> State:
        """Returns the true state; after a divergence the last one that was finite."""
        return self._state

    def spawn_generator(self) -> np.random.Generator:
        """Returns a new generator from the world's tree, for sensors and the like."""
        return self._seed.spawn(1)[0]

    def set_rotor_efficiency(self, rotor: int, factor: float) -> None:
        """Wears a propeller from now on (until the next reset).

        Args:
          rotor: 0 to 3, motor order.
          factor: thrust and torque over those of a new one, 0 to 1.
        Raises:
          ConfigError: either is out of range.
        """
        self._rotors.set_efficiency(rotor, factor)

    def poke(self, impulse_world_n_s: Numbers, at_body_m: Numbers | None = None) -> None:
        """Gives the vehicle a blow at the next physics step.

        Args:
          impulse_world_n_s: (3,) world, N s.
          at_body_m: (3,) where, body axes, m; default the vehicle's centre of mass.
        """
        at = None if at_body_m is None else np.asarray(at_body_m, np.float64)
        self._poke = (np.asarray(impulse_world_n_s, np.float64), at)

    def build(self, low_world_m: Numbers, high_world_m: Numbers) -> None:
        """Builds a box that stays; to touch it is a crash.

        Args:
          low_world_m, high_world_m: (3,) corners, m.
        """
        low, high = np.asarray(low_world_m, np.float64), np.asarray(high_world_m, np.float64)
        shape = self._client.createCollisionShape(self._client.GEOM_BOX, halfExtents=(0.5 * (high - low)).tolist())
        self._boxes.append(self._client.createMultiBody(0, shape, -1, (0.5 * (low + high)).tolist()))

    def drop_payload(self) -> None:
        """Drops the payload now; without one it does nothing."""
        if self._loaded:
            self._loaded = False
            self._body.set_load(0.0, 0.0)

    def step(self, action: Numbers | None, action_delay_s: float | None = None) -> Status:
        """Advances by one control period.

        Args:
          action: (4,) normalised motor setpoints; clipped to [-1, 1]. None: no action came, the one in
            effect holds. A non-finite action is ignored in the same way.
          action_delay_s: when it takes effect, s after now; default the configuration's. Of two, the one
            given later wins, and an older one that would take effect after it is dropped.
        Returns:
          The status after the period.
        Raises:
          ValueError: the action has another shape.
        """
        if action is not None:
            self._schedule(np.asarray(action, np.float64), action_delay_s)
        if not self.status.over:
            for _ in range(self.substeps):
                self._substep()
                if self.status.over:
                    break
            self._read_state()
        return self.status

    def _schedule(self, action: Array, delay_s: float | None) -> None:
        if action.shape != (ACTION_SIZE,):
            raise ValueError(f"action has shape {action.shape}, expected ({ACTION_SIZE},)")
        if not np.all(np.isfinite(action)):
            return
        delay = self.config.action_delay_s if delay_s is None else delay_s
        due = self._tick + max(0, math.ceil(delay * self.config.physics_rate_hz - 1e-6))
        self._pending = [item for item in self._pending if item[0] < due]
        self._pending.append((due, 0.5 * (np.clip(action, -1.0, 1.0) + 1.0)))

    def _substep(self) -> None:
        while self._pending and self._pending[0][0] <= self._tick:
            self._rotors.command = self._pending.pop(0)[1]
        if self._loaded and self.time_s >= self.config.payload_drop_time_s - 1e-9:
            self.drop_payload()
        centre, rotation, velocity = self._body.kinematics()
        self.wind_world_m_s = self._wind.step(self._period)
        height = None
        if self.config.ground and self.config.ground_effect:
            height = centre[2] + self._body.rotor_position() @ rotation[2]
        thrust, torque = self._rotors.step(self._period, height, float(rotation[2, 2]))
        self._body.push_rotors(thrust, torque)
        if self._drag.any():
            self._body.push(-self._drag * (rotation.T @ (velocity - self.wind_world_m_s)))
        if self._poke is not None:
            impulse, at = self._poke
            self._body.push(rotation.T @ impulse / self._period, at)
            self._poke = None
        self._client.stepSimulation()
        self._tick += 1
        if any(self._client.getContactPoints(self._body.body, box) for box in self._boxes):
            self.status = Status.CRASHED
        elif self._ground is not None:
            self._judge_contact(float(rotation[2, 2]), float(np.linalg.norm(velocity)))

    def _judge_contact(self, upright: float, speed_before_m_s: float) -> None:
        """Decides the status from contact with the ground in the last physics step."""
        if not self._client.getContactPoints(self._body.body, self._ground):
            self.status = Status.FLYING
        elif self.status is Status.FLYING and (speed_before_m_s > _CRASH_SPEED_M_S or upright < _CRASH_UPRIGHT):
            self.status = Status.CRASHED
        else:
            self.status = Status.ON_GROUND

    def _read_state(self) -> None:
        """Reads the state; one that is not finite, or beyond all bounds, is a divergence."""
        state = self._body.state(self.time_s, self._rotors.speed)
        if state.finite() and (
            np.abs(state.position_world_m).max() < _FARTHEST_M
            and np.abs(state.velocity_world_m_s).max() < _FASTEST_M_S
            and np.abs(state.angular_velocity_body_rad_s).max() < _FASTEST_RAD_S
        ):
            self._state = state
        else:
            self.status = Status.DIVERGED
