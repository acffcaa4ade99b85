"""The compass walker from gait to gait: gaits by the planner, each stride by the file in ONNX Runtime."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import stride_planner, swing, walk, walker_mode
from haltere.policies.hybrid_policy import HybridFile, HybridPolicy
from haltere.policies.plants import walker
from haltere.sim.film import Film, ball, box, turned
from haltere.tools.running.recording import Recording

MODES = ("left stance", "right stance")
MORE = 6
"""Strides that are walked on once the gait is reached."""
_LEG_M = 1.0


def run(policy: HybridPolicy, file: HybridFile, number: int) -> tuple[Recording, Film]:
    """Walks task `number` of the published many-gaits ones, from 0."""
    weights = hybrid_file.read(file.path, walker_mode)
    task = walk.many_gaits()
    target = walker.Gait(jnp.asarray(task.target[0, [number]]))
    plan = jax.jit(stride_planner.plan(weights, stride_planner.Outlook()))
    move, law = jax.jit(walker.tick), jax.jit(swing.law)
    state = jnp.asarray(task.start[:, [number]])
    states, modes, feet, values, switched = [np.asarray(state)[:, 0]], [0], [0.0], [], []
    reached, outcome, left = False, "target not reached", walk.STRIDES
    stance, foot = 0, 0.0
    while left > 0:
        numbers = np.asarray(plan(state, target).angle)
        error = np.asarray(walker_mode.error(state, jnp.asarray(numbers)[None]))[:, 0]
        answer = policy.step(error, numbers)
        stride = walker_mode.swing_of(jnp.asarray(answer.action)[:, None], jnp.asarray(numbers)[None])
        switched.append(len(states) - 1)
        values.append(answer.lyapunov_value / answer.region_level)
        landed, ticks = False, 0
        while not landed and ticks < walk.TICKS:
            state, impact = move(state, law(state, stride))
            landed, ticks = bool(impact[0]), ticks + 1
            if landed:
                stance, foot = 1 - stance, foot + 2 * _LEG_M * float(np.sin(state[0, 0]))
            states.append(np.asarray(state)[:, 0])
            modes.append(stance)
            feet.append(foot)
        left -= 1
        wide = np.abs(np.array(states[-ticks:]))[:, :2].max(0)
        if not landed or wide[0] > walk.LARGEST_Q1_RAD or wide[1] > walk.LARGEST_Q2_RAD:
            reached, outcome = False, f"fell in stride {len(switched)}"
            break
        if not reached and abs(float(state[0, 0]) - task.target[0, number]) < walk.REACHED_RAD:
            reached, left = True, MORE
            outcome = f"reached the gait of {task.target[0, number]:.3f} rad in stride {len(switched)}"
    state_of = np.array(states, np.float64)
    time_s = walker.PERIOD_S * np.arange(len(state_of))
    recording = Recording(
        "walker",
        time_s,
        state_of,
        np.array(modes),
        MODES,
        time_s[switched],
        np.array(values),
        time_s[switched],
        np.array(values),
        reached,
        outcome,
    )
    return recording, _film(recording, np.array(feet))


def _film(recording: Recording, foot: np.ndarray) -> Film:
    """Two legs and a hip."""
    first, second = recording.state[:, 0], recording.state[:, :2].sum(1)
    zero = np.zeros_like(first)
    hip = np.stack([foot - _LEG_M * np.sin(first), zero, _LEG_M * np.cos(first)], 1)
    stood = np.stack([foot, zero, zero], 1)
    swung = hip + _LEG_M * np.stack([np.sin(second), zero, -np.cos(second)], 1)
    left = (recording.mode == 0)[:, None]
    legs = (
        (np.where(left, stood, swung), -0.06, (0.27, 0.43, 0.75)),
        (np.where(left, swung, stood), 0.06, (0.9, 0.37, 0.1)),
    )
    length = float(foot.max() + 2)
    bodies = [box((length / 2 + 1, 0.8, 0.05), (0.6, 0.62, 0.66), np.array([length / 2 - 1, 0.0, -0.05]))]
    for end, aside, color in legs:
        way = hip - end
        shift = np.array([0.0, aside, 0.0])
        bodies.append(
            box((0.02, 0.02, _LEG_M / 2), color, (hip + end) / 2 + shift, turned(1, np.arctan2(way[:, 0], way[:, 2])))
        )
        bodies.append(ball(0.035, color, end + shift))
    bodies.append(ball(0.09, (0.25, 0.27, 0.32), hip))
    look = hip * (1, 0, 0) + (0.0, 0.0, 0.55)
    return Film(recording.time_s, bodies, look, 3.2, math.radians(-80), math.radians(10))
