"""The pogobot in a published corridor: apexes by the planner, leg and force by the file in ONNX Runtime."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import corridors, hop_planner, hopping, pogobot_mode
from haltere.policies.hybrid.hopping import Lanes
from haltere.policies.hybrid_policy import HybridFile, HybridPolicy
from haltere.policies.plants.pogobot import APEX, FALLING, FLIGHT_PERIOD_S, LEG_M, MODES, RISING, STANCE_PERIOD_S, TICKS
from haltere.sim.film import Film, ball, box
from haltere.tools.running.recording import Recording

_COILS, _FLOOR_M, _WIDE_M = 8, 0.15, 0.6
EVERY_S = 0.004


@jax.jit
def _hop(state: jax.Array, action: jax.Array, where: Lanes) -> tuple[jax.Array, jax.Array]:
    """One hop, every tick of it: modes (TICKS, 1) before each, and states (TICKS, 5, 1) after it."""

    def one(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
        mode, before = carry
        following, state = hopping.move(mode, before, action, where)
        return (following, state), (mode, state)

    begin = (jnp.full(1, FALLING), state)
    _, (modes, states) = jax.lax.scan(one, begin, None, length=TICKS)
    return modes, states


def run(policy: HybridPolicy, file: HybridFile, number: int) -> tuple[Recording, Film]:
    """Hops through corridor `number` of the published ones, from 0."""
    weights = hybrid_file.read(file.path, pogobot_mode)
    corridor = corridors.published(number + 1)[number]
    where = hopping.lanes([corridor])
    plan = jax.jit(hop_planner.plan(weights, where, hop_planner.Outlook()))
    state, now = jnp.asarray(corridor.start()[:, None], jnp.float32), 0.0
    times, states, modes = [0.0], [np.asarray(state)[:, 0]], [FALLING]
    switched, values, reached, outcome = [], [], False, "stuck"
    for _ in range(hopping.HOPS):
        apex, floor = plan(state)
        error = np.array([state[1, 0], state[2, 0] - floor[0]]) - np.asarray(apex)[:, 0]
        answer = policy.step(error, np.asarray(apex)[:, 0])
        switched.append(now)
        values.append(answer.lyapunov_value / answer.region_level)
        before, after = (np.asarray(part) for part in _hop(state, jnp.asarray(answer.action)[:, None], where))
        going = before[:, 0] < APEX
        air = (before[:, 0] == FALLING) | (before[:, 0] == RISING)
        passed = now + np.cumsum(np.where(air, FLIGHT_PERIOD_S, STANCE_PERIOD_S))[going]
        shown = np.flatnonzero(np.diff(np.floor(passed / EVERY_S), prepend=np.floor(now / EVERY_S)) > 0)
        times += passed[shown].tolist()
        states += list(after[going][shown, :, 0])
        modes += before[going][shown, 0].tolist()
        now, state = float(passed[-1]), jnp.asarray(after[-1])
        here = where.at(state[0])
        if float(state[0, 0]) >= float(where.end[-1, 0]):
            reached, outcome = True, "end of the corridor reached"
            break
        if going[-1] or not float(here.floor[0]) <= float(state[2, 0]) <= float(here.ceiling[0]):
            outcome = f"fell after {now:.1f} s"
            break
    recording = Recording(
        "pogobot",
        np.array(times),
        np.array(states, np.float64),
        np.array(modes),
        MODES,
        np.array(switched),
        np.array(values),
        np.array(switched),
        np.array(values),
        reached,
        outcome,
    )
    return recording, _film(recording, where)


def _film(recording: Recording, where: Lanes) -> Film:
    """Mass, foot, and beads along the leg between them."""
    ends = np.asarray(where.end, np.float64)[:, 0]
    begins = np.concatenate([[-1.0], ends[:-1]])
    bodies = []
    for begin, end, floor, ceiling in zip(begins, ends, where.floor[:, 0], where.ceiling[:, 0], strict=True):
        for height, low in ((float(floor) - _FLOOR_M, True), (float(ceiling) + _FLOOR_M, False)):
            if end > begin:
                color = (0.55, 0.57, 0.62) if low else (0.72, 0.76, 0.84)
                middle = np.array([(begin + end) / 2, 0.0, height])
                bodies.append(box(((end - begin) / 2, _WIDE_M if low else 0.1, _FLOOR_M), color, middle))
    x, y, foot_x = recording.state[:, 0], recording.state[:, 2], recording.state[:, 4]
    air = (recording.mode == FALLING) | (recording.mode == RISING)
    floor = np.array([float(where.at(jnp.full(1, place)).floor[0]) for place in foot_x])
    reach = np.clip(foot_x - x, -LEG_M, LEG_M)
    foot = np.stack([foot_x, 0 * x, np.where(air, y - np.sqrt(LEG_M**2 - reach**2), floor)], 1)
    mass = np.stack([x, 0 * x, y], 1)
    bodies.append(ball(0.14, (0.9, 0.37, 0.1), mass))
    for coil in range(1, _COILS + 1):
        bodies.append(ball(0.045, (0.25, 0.27, 0.32), mass + coil / _COILS * (foot - mass)))
    look = np.stack([x, 0 * x, 0 * x + float(where.floor[:, 0].max()) / 2 + 1.2], 1)
    return Film(recording.time_s, bodies, look, 8.0, math.radians(-90), math.radians(6))
