"""The car on a published map: references, steering and acceleration by the files in ONNX Runtime."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import car_planner, drive, roads
from haltere.policies.hybrid.drive import LANE_M
from haltere.policies.hybrid.references import References, along
from haltere.policies.hybrid_policy import HybridFile, HybridPolicy
from haltere.policies.planner_policy import load_planner
from haltere.policies.plants import car
from haltere.policies.zoo.shipped import CAR_PLANNER
from haltere.sim.film import Film, box, turned
from haltere.tools.running.recording import Recording

LENGTH_M, WIDTH_M, HEIGHT_M = 2.6, 1.5, 0.9
MODES = ("dry", "ice")
_AXLES_M, _TRACK_M, _WHEEL = (1.16, -1.42), 0.8, (0.3, 0.09, 0.3)


def run(policy: HybridPolicy, file: HybridFile, number: int, planned: Path = CAR_PLANNER) -> tuple[Recording, Film]:
    """Drives map `number` of the published ones, from 0; `planned` is the planner's file."""
    planner, _ = load_planner(planned, file.content)
    maps = roads.published(number + 1)
    alone = roads.Roads(maps.knots[..., number:], maps.friction[..., number:])
    halves = along(alone, car_planner.AHEAD)
    pieces = 2 * (len(alone.knots) - 1)
    to_error, at, to_world = jax.jit(car.to_error), jax.jit(car.at), jax.jit(car.to_world)
    step, observe, lead = jax.jit(car.step), jax.jit(car_planner.observe), jax.jit(References.lead)
    world = drive.start(1)
    states, modes, values, switched, landed = [np.asarray(world)[:, 0]], [0], [], [], []
    for piece in range(pieces):
        view = jax.tree.map(lambda leaf, k=piece: leaf[k : k + car_planner.AHEAD], halves)
        state, ahead = observe(view, world)
        choice = planner.plan(np.asarray(state)[:, 0], np.asarray(ahead)[..., 0])
        first = jax.tree.map(lambda leaf: leaf[0], view)
        road = lead(first, jnp.full(1, choice.speed_m_s), jnp.full(1, choice.offset_m))
        numbers = np.array([road.friction[0], road.speed[0], 0.0])
        error = to_error(world, road)
        switched.append(len(states) - 1)
        for tick in range(int(road.length[0] / road.speed[0] / car.PERIOD_S)):
            answer = policy.step(np.asarray(error)[:, 0], numbers)
            values.append(answer.lyapunov_value / answer.region_level)
            if tick == 0:
                landed.append(values[-1])
            error = step(road, error, jnp.asarray(answer.action)[:, None])
            world = to_world(error, at(road, jnp.full(1, (tick + 1) * car.PERIOD_S)))
            states.append(np.asarray(world)[:, 0])
            modes.append(int(numbers[0] < 0.5))
        if abs(float(error[1, 0])) >= LANE_M:
            break
    state = np.array(states, np.float64)
    time_s = car.PERIOD_S * np.arange(len(state))
    reached = len(switched) == pieces and abs(float(error[1, 0])) < LANE_M
    recording = Recording(
        "car",
        time_s,
        state,
        np.array(modes),
        MODES,
        time_s[:-1],
        np.array(values),
        time_s[switched],
        np.array(landed),
        reached,
        "goal reached" if reached else f"left the lane after {time_s[-1]:.1f} s",
    )
    return recording, _film(recording, alone)


def _film(recording: Recording, maps: roads.Roads) -> Film:
    """The car on its road: dry pieces grey, icy ones blue."""
    state, halves = recording.state, maps.halves()
    bodies = [
        box(
            (length / 2, LANE_M, 0.02),
            (0.62, 0.8, 0.95) if friction < 0.5 else (0.5, 0.5, 0.52),
            np.array([*(start + length / 2 * np.array([np.cos(heading), np.sin(heading)])), -0.02 + 0.001 * index]),
            turned(2, np.array(heading)),
        )
        for index, (friction, start, heading, length) in enumerate(
            zip(halves.friction[:, 0], halves.start[..., 0], halves.heading[:, 0], halves.length[:, 0], strict=True)
        )
    ]
    x, y, steer, heading = state[:, 0], state[:, 1], state[:, 2], state[:, 4]
    zero = np.zeros_like(x)

    def beside(ahead: float, left: float, height: float) -> np.ndarray:
        along_x, along_y = np.cos(heading), np.sin(heading)
        return np.stack([x + ahead * along_x - left * along_y, y + ahead * along_y + left * along_x, zero + height], 1)

    bodies += [
        box((LENGTH_M / 2 + 0.7, WIDTH_M / 2, 0.3), (0.9, 0.37, 0.1), beside(-0.13, 0.0, 0.55), turned(2, heading)),
        box((LENGTH_M / 3, WIDTH_M / 2.4, 0.25), (0.2, 0.22, 0.26), beside(-0.4, 0.0, 1.05), turned(2, heading)),
    ]
    for ahead in _AXLES_M:
        for left in (_TRACK_M, -_TRACK_M):
            angle = heading + steer if ahead > 0 else heading
            bodies.append(box(_WHEEL, (0.1, 0.1, 0.1), beside(ahead, left, 0.3), turned(2, angle)))
    return Film(recording.time_s, bodies, np.stack([x, y, zero + 0.5], 1), 16.0, math.radians(-60), math.radians(35))
