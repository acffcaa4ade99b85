"""The Gymnasium environment `HaltereQuadrotor-v0`; importing this module registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from haltere.policies.contract import (
    ACTION_SIZE,
    OBSERVATION_BOUND,
    OBSERVATION_SIZE,
    rotation_from_quaternion,
)
from haltere.policies.errors import ConfigError
from haltere.sim.camera import camera_on
from haltere.sim.model import Model, visible_scale
from haltere.sim.sensors import SensorConfig, Sensors
from haltere.sim.setpoint import Setpoint, Trajectory
from haltere.sim.stage import Stage
from haltere.sim.state import State
from haltere.sim.trajectory import make_trajectory
from haltere.sim.vehicle import Vehicle, load_vehicle
from haltere.sim.world import World, WorldConfig

ENVIRONMENT_ID = "HaltereQuadrotor-v0"

FloatArray = npt.NDArray[np.float32]


def observation_of(state: State, setpoint: Setpoint, previous_action: Any) -> FloatArray:
    """Composes the observation of `haltere.policies.contract` from a state and a setpoint.

    Yaw is handled as RAPTOR does it: the world is turned by the setpoint's yaw, so that the policy sees a
    setpoint of zero yaw.

    Args:
      state: measured state.
      setpoint: reference.
      previous_action: (4,).
    Returns:
      (22,) float32, layout in `OBSERVATION_SPEC`.
    """
    observation = np.empty(OBSERVATION_SIZE, np.float32)
    c, s = np.cos(setpoint.yaw_rad), np.sin(setpoint.yaw_rad)
    to_yaw = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    observation[0:3] = to_yaw @ (state.position_world_m - setpoint.position_world_m)
    rotation = np.reshape(rotation_from_quaternion(state.quat_wxyz.astype(np.float32)), (3, 3))
    observation[3:12] = (to_yaw @ rotation).ravel()
    observation[12:15] = to_yaw @ (state.velocity_world_m_s - setpoint.velocity_world_m_s)
    observation[15:18] = state.angular_velocity_body_rad_s
    observation[18:22] = previous_action
    return observation


class QuadrotorEnvironment(gymnasium.Env[FloatArray, FloatArray]):
    """One vehicle that shall follow a trajectory.

    Observation: (22,) float32, `OBSERVATION_SPEC`, measured (late and noisy as `sensors` says).
    Action: (4,) float32 in [-1, 1], normalised motor setpoints, motor order of the contract.
    Reward, each step, from the true state: 1.5 - |position error| (m) - 0.2 |yaw-free tilt| (rad)
    - |action - previous action|, and -100 when the episode terminates. A vehicle that hovers still at its
    setpoint earns 1.5 a step.
    Terminates when the vehicle crashes, diverges, or is farther than `limit_m` from its setpoint;
    truncates after `duration_s`.
    Start: near the trajectory's start, with random position, velocity, attitude and angular velocity.
    `info` has `tracking_error_m`, `time_s` and `status`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        vehicle: str | Path | Vehicle = "crazyflie",
        trajectory: str | Trajectory = "hover",
        world: WorldConfig | None = None,
        sensors: SensorConfig | None = None,
        duration_s: float = 5.0,
        limit_m: float = 2.0,
        start_spread: float = 1.0,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (480, 360),
    ) -> None:
        """Args:
          vehicle: name, file, or the vehicle itself.
          trajectory: what `make_trajectory` takes, or the trajectory itself.
          world: how the world is.
          sensors: noise and latency.
          duration_s: length of an episode, s.
          limit_m: tracking error that ends it, m.
          start_spread: scale of the random start: 1 is ± 0.2 m, ± 0.5 m/s, ± 0.3 rad, ± 0.5 rad/s.
          render_mode: None or `rgb_array`.
          render_size: width and height, pixels.

        Raises:
          ConfigError: a value is unknown or out of range.
        """
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode = {render_mode!r}: expected None or 'rgb_array'")
        if not (duration_s > 0 and limit_m > 0 and start_spread >= 0):
            raise ConfigError(
                f"duration_s = {duration_s!r}, limit_m = {limit_m!r}, start_spread = {start_spread!r}: "
                "expected duration and limit above 0 and a spread not below 0"
            )
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-OBSERVATION_BOUND, OBSERVATION_BOUND, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        self.vehicle = vehicle if isinstance(vehicle, Vehicle) else load_vehicle(vehicle)
        self.trajectory = make_trajectory(trajectory) if isinstance(trajectory, str) else trajectory
        self.world = World(self.vehicle, world)
        self._sensor_config = sensors or SensorConfig()
        self._sensors = Sensors(self._sensor_config, self.world.spawn_generator())
        self._duration_s, self._limit_m, self._spread = duration_s, limit_m, start_spread
        self._previous = np.zeros(ACTION_SIZE, np.float32)
        self._render_size = render_size
        self._model: Model | None = None
        self._stage: Stage | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Starts an episode; see `gymnasium.Env.reset`. There are no options."""
        super().reset(seed=seed)
        world_seed, sensor_seed = self.np_random.spawn(2)
        self._sensors = Sensors(self._sensor_config, sensor_seed)
        start = self.trajectory.at(0.0)
        spread = self._spread * self.np_random.uniform(-1.0, 1.0, (4, 3))
        half = 0.5 * 0.3 * spread[2]
        state = self.world.reset(
            position_world_m=np.maximum(start.position_world_m + 0.2 * spread[0], (-np.inf, -np.inf, 0.1)),
            velocity_world_m_s=start.velocity_world_m_s + 0.5 * spread[1],
            quat_wxyz=np.array([1.0, *half]),
            angular_velocity_body_rad_s=0.5 * spread[3],
            seed=world_seed,
        )
        self._previous = np.full(ACTION_SIZE, self.vehicle.hover_action, np.float32)
        return self._observe(state), self._info(state)

    def step(self, action: FloatArray) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Advances by one control period; see `gymnasium.Env.step`."""
        action = np.clip(np.asarray(action, np.float32), -1.0, 1.0)
        status = self.world.step(action)
        state = self.world.state()
        info = self._info(state)
        w, x, y, _ = state.quat_wxyz
        tilt = 2.0 * float(np.arctan2(np.hypot(x, y), np.hypot(w, state.quat_wxyz[3])))
        reward = 1.5 - info["tracking_error_m"] - 0.2 * tilt
        reward -= float(np.linalg.norm(action - self._previous))
        self._previous = action
        terminated = status.over or info["tracking_error_m"] > self._limit_m
        if terminated:
            reward -= 100.0
        truncated = state.time_s >= self._duration_s - 1e-9
        return self._observe(state), reward, terminated, truncated, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Returns a picture (height, width, 3) of now, or None without `render_mode`."""
        if self.render_mode is None:
            return None
        state = self.world.state()
        setpoint = self.trajectory.at(state.time_s)
        if self._stage is None:
            path = np.array([self.trajectory.at(t).position_world_m for t in np.linspace(0, 10, 200)])
            camera = camera_on(path, *self._render_size)
            self._model = Model(self.vehicle, visible_scale(self.vehicle, camera.distance_m))
            self._stage = Stage(camera, self._model, path)
        captions = (f"{self.vehicle.name}  {state.time_s:.2f} s",)
        turn = np.full(4, 40.0 * state.time_s) * (-1, 1, -1, 1)
        return self._stage.frame(
            state.position_world_m,
            state.quat_wxyz,
            turn,
            target_world_m=setpoint.position_world_m,
            captions=captions,
        )

    def close(self) -> None:
        """Frees physics and renderer."""
        self.world.close()
        if self._model is not None:
            self._model.close()

    def _observe(self, state: State) -> FloatArray:
        measured = self._sensors.measure(state)
        observation = observation_of(measured, self.trajectory.at(state.time_s), self._previous)
        return np.clip(observation, -OBSERVATION_BOUND, OBSERVATION_BOUND)

    def _info(self, state: State) -> dict[str, Any]:
        error = state.position_world_m - self.trajectory.at(state.time_s).position_world_m
        return {
            "tracking_error_m": float(np.linalg.norm(error)),
            "time_s": state.time_s,
            "status": self.world.status.value,
        }


if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT_ID, entry_point="haltere.sim.environment:QuadrotorEnvironment")
