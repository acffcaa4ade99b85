"""The pogobot's part of `haltere bench hybrid`: the 25 published corridors, beside published numbers and baselines."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import corridors, deadbeat, hop_planner, hopping, pogobot_mode
from haltere.policies.hybrid import region_of_attraction as region
from haltere.policies.hybrid.baselines import pogobot_environment
from haltere.policies.hybrid.hopping import Lanes, Law
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import growth
from haltere.tools.bench.rivals import rivals
from haltere.tools.bench.table import Rows

OURS, NO_PLANNER, NEWTON = "Haltere", "Haltere, no planner", "One-hop MPC (Newton)"
CLOCKED = 21
SPEED_M_S, DISTANCE_M, COLLISION, DECREASING = 0.10, 0.2, 0.01, 99.0


class Published(NamedTuple):
    """Bars of fig. 6.

    Attributes:
      speed_m_s: mean error of the speed in the air.
      distance_m: to the end of the corridor.
      collision: share of samples outside, %.
    """

    speed_m_s: float
    distance_m: float
    collision: float


PUBLISHED = {
    "Meng & Fan, published": Published(0.13, 0.4, 0.03),
    "MPC, published": Published(0.34, 10.9, 12.4),
    "SAC, published": Published(0.86, 17.9, 0.28),
}


def bench_pogobot(
    rows: Rows, policy: Path, baselines: Path, quick: bool, seed: int, status: Callable[[str], None]
) -> None:
    """Adds the pogobot's rows.

    Args:
      rows: to add to.
      policy: the pogobot's file.
      baselines: folder of policies by reinforcement learning.
      quick: fewer samples in the level set.
      seed: of these samples, and of the planner's draws.
      status: told what is being done.
    """
    weights, found = hybrid_file.read(policy, pogobot_mode), corridors.published()
    where = hopping.lanes(found)
    start = jnp.asarray(np.stack([corridor.start() for corridor in found], axis=1), jnp.float32)
    for who, numbers in PUBLISHED.items():
        rows.add("pogobot: error of the speed", who, numbers.speed_m_s, "m/s")
        rows.add("pogobot: distance to the end", who, numbers.distance_m, "m")
        rows.add("pogobot: samples in collision", who, numbers.collision, "%")
    laws: tuple[tuple[str, Callable[[Lanes], Law]], ...] = (
        (NEWTON, lambda _: deadbeat.law),
        *(
            (who, partial(pogobot_environment.law, network))
            for who, network in rivals(baselines, "pogobot", pogobot_environment.OBSERVATION_SIZE, status)
        ),
        (NO_PLANNER, lambda _: hop_planner.unplanned(weights)),
        (OURS, lambda lanes: hop_planner.law(weights, lanes, hop_planner.Outlook(seed=seed))),
    )
    for who, law_in in laws:
        status(f"pogobot: {who}")
        _measure(rows, who, law_in(where), start, where)
        _clock(rows, who, law_in, start, where)
    status("pogobot: Lyapunov function")
    _decrease(rows, weights, 4_000 if quick else 40_000, seed)


def _measure(rows: Rows, who: str, law: Law, start: jax.Array, where: Lanes) -> None:
    """Adds the measures of one method."""
    score = hopping.score(jax.jit(hopping.hop_through, static_argnums=0)(law, start, where), where)
    numbers = (
        ("pogobot: error of the speed", score.speed_error_m_s.mean(), "m/s", SPEED_M_S),
        ("pogobot: distance to the end", score.remaining_m.mean(), "m", DISTANCE_M),
        ("pogobot: samples in collision", 100 * score.collision.mean(), "%", COLLISION),
    )
    for measure, value, unit, limit in numbers:
        if who == OURS:
            rows.at_most(measure, who, float(value), unit, limit)
        else:
            rows.add(measure, who, float(value), unit)
    rows.add("pogobot: corridors without failure", who, 100 * float(score.succeeded.mean()), "%")


def _clock(rows: Rows, who: str, law_in: Callable[[Lanes], Law], start: jax.Array, where: Lanes) -> None:
    """Adds what one decision for one robot costs, compiled: the median of some."""
    alone: Lanes = jax.tree.map(lambda leaf: leaf[..., :1], where)
    state = start[:, :1]
    here, ahead = alone.at(state[0]), alone.at(state[0], 1)
    decide = jax.jit(law_in(alone))
    decide(state, here, ahead).block_until_ready()
    taken = []
    for _ in range(CLOCKED):
        begun = time.monotonic()
        decide(state, here, ahead).block_until_ready()
        taken.append(time.monotonic() - begun)
    rows.add("pogobot: time per hop", who, 1e3 * float(np.median(taken)), "ms")


def _decrease(rows: Rows, weights: Learned, count: int, seed: int) -> None:
    """Share of states in the level set in which V decreases with the next hop."""
    which, where = jax.random.split(jax.random.key(seed + 4_000_007))
    numbers = pogobot_mode.DOMAIN.configurations(which, count)
    limit = region.level(weights.region, pogobot_mode, numbers)
    state, border = region.within(pogobot_mode, weights.lyapunov, where, numbers, limit)
    falls = jax.jit(lambda x: growth(pogobot_mode, weights.controller, weights.lyapunov, x, numbers) < 0)
    for place, some in (("inside the level set", state), ("on its border", border)):
        share = 100 * float(falls(some).mean())
        rows.at_least(f"pogobot: samples {place} with V decreasing", OURS, share, "%", DECREASING)
