"""Certified regions in `haltere bench hybrid`: ours, beside the largest that the linear regulator may have.

Ours are proved. Of the regulator a level is told above which nothing can be proved, as a state there contradicts: V
does not fall, or the walker does. So the ratio of the two volumes is a lower bound. States that do not exist, of a
pogobot in the floor, count for neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import (
    level_boxes,
    linear,
    lyapunov,
    pogobot_claim,
    pogobot_mode,
    return_proof,
    walker_claim,
    walker_mode,
)
from haltere.policies.hybrid.certificate import Outcome
from haltere.policies.hybrid.interval import Interval
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.lyapunov_learning import closed_loop
from haltere.policies.hybrid.mode import Mode
from haltere.policies.hybrid.return_map import ReturnMap
from haltere.tools.bench.table import Rows

OURS, LQR = "Haltere", "LQR, at most"
KEEP, HOLE = 0.99, 0.05
"""Of V with each hop or stride, and share of the level at which the claim ends; as `haltere certify` has them."""
VOLUMES = 5.0
SAMPLES, ROUNDS = 20_000, 60
"""States at which it is looked whether the regulator fails, for each of its levels."""


class Subject(NamedTuple):
    """Of what something is proved.

    Attributes:
      name: of the system and the configuration.
      mode: of the system.
      returns: its return map.
      loop_of: (weights, configuration) -> the map's parameters.
      level_of: of these -> the level that the file tells.
      free: rows of the mode's state that the map's state has.
      numbers: the configuration.
      share: of the file's level, up to which it is proved.
      lowest: (n,) of states that exist, in half widths; as a rule the domain's.
    """

    name: str
    mode: Mode
    returns: ReturnMap
    loop_of: Callable[[Learned, tuple[float, ...]], Any]
    level_of: Callable[[Any], float]
    free: tuple[int, ...]
    numbers: tuple[float, ...]
    share: float
    lowest: tuple[float, ...]


def _pogobot(speed: float, height: float) -> Subject:
    """Around an apex (m/s, m); one that is lower than a leg that leans is none."""
    return Subject(
        f"pogobot, apexes of {speed:g} m/s and {height:g} m",
        pogobot_mode,
        pogobot_claim.HOP,
        pogobot_claim.hopping_of,
        pogobot_claim.level,
        (0, 1),
        (speed, height),
        1.0,
        (-1.0, max(-1.0, (pogobot_mode.LEAST_HEIGHT_M - height) / pogobot_mode.DOMAIN.state[1])),
    )


POGOBOT, LOW_POGOBOT = _pogobot(1.0, 1.8), _pogobot(1.3, 1.05)
WALKER = Subject(
    "walker, gait of 0.19 rad",
    walker_mode,
    walker_claim.STRIDE,
    walker_claim.walking_of,
    walker_claim.level,
    walker_claim.FREE,
    (0.19,),
    0.55,
    (-1.0,) * len(walker_claim.FREE),
)


def bench_certificates(
    rows: Rows, pogobot: Path, walker: Path, folder: Path, seed: int, status: Callable[[str], None]
) -> None:
    """Adds what is certified.

    Args:
      rows: to add to.
      pogobot: the pogobot's file.
      walker: the walker's file.
      folder: in which proofs are kept; begun ones go on.
      seed: of the states at which the regulator is looked at.
      status: told what is being done.
    """
    for subject, file in ((POGOBOT, pogobot), (LOW_POGOBOT, pogobot), (WALKER, walker)):
        bench_subject(rows, subject, hybrid_file.read(file, subject.mode), folder, seed, status)


def bench_subject(
    rows: Rows, subject: Subject, weights: Learned, folder: Path, seed: int, status: Callable[[str], None]
) -> None:
    """Adds the rows of one configuration; as in `bench_certificates`, with the learned weights of its file."""
    name = subject.name
    with jax.enable_x64(True):
        status(f"{name}: linear regulator")
        theirs = _regulator(subject, weights, seed)
        most = float((1 - np.array(subject.lowest)).prod()) / 2 ** len(subject.lowest)
        loop = subject.loop_of(weights, subject.numbers)
        level = subject.share * subject.level_of(loop)
        found = return_proof.largest_proved(
            subject.returns,
            loop,
            level,
            KEEP,
            HOLE,
            tries=1,
            report=lambda said: status(f"{name}: {said}"),
            folder=folder,
        )
        proved = found.verdict.outcome is Outcome.PROVED
        ours = _sampled(subject, loop, found.level, seed)[1] if proved else 0.0
    rows.add(f"{name}: certified region, of the domain", LQR, 100 * theirs, "%")
    rows.add(f"{name}: certified region, of the domain", OURS, 100 * ours, "%")
    rows.add(f"{name}: boxes of the proof", OURS, found.boxes, "1")
    rows.add(f"{name}: the whole domain over LQR's region", "the most that is possible", most / theirs, "1")
    rows.at_least(f"{name}: certified region over LQR's", OURS, ours / theirs, "1", VOLUMES)


def _regulator(subject: Subject, weights: Learned, seed: int) -> float:
    """Share of the domain of the largest level set of the regulator in which no sampled state contradicts."""
    mode = subject.mode
    numbers = jnp.asarray(subject.numbers)[:, None]
    given = linear.regulator(mode, weights.controller, numbers)
    given = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), given)
    loop = subject.loop_of(given, subject.numbers)
    half = jnp.asarray(mode.DOMAIN.state)[:, None]

    @jax.jit
    def looked(states: jax.Array, level: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Whether the claim fails at states (S, n), and V there."""
        scaled = jnp.zeros((len(half), len(states))).at[np.array(subject.free)].set(states.T)
        same = jnp.broadcast_to(numbers, (len(numbers), len(states)))
        after = closed_loop(mode, given.controller, same, half * scaled)
        before, behind = (lyapunov.value(given.lyapunov, mode.DOMAIN, some, same) for some in (half * scaled, after))
        falls = behind < jnp.maximum(KEEP * before, HOLE * level)
        return ~(falls & mode.safe(after)), before

    level = subject.level_of(loop)
    for index in range(ROUNDS):
        states, share = _sampled(subject, loop, level, seed + index)
        fails, value = (np.asarray(some) for some in looked(jnp.asarray(states), jnp.asarray(level)))
        if not fails.any():
            return share
        level = float(value[fails].min())
    return 0.0


def _sampled(subject: Subject, loop: Any, level: float, seed: int) -> tuple[np.ndarray, float]:
    """States (S, n) with V <= level that exist, and the share of the domain that they fill."""
    box = level_boxes.box_of(subject.returns, loop, level)
    box = Interval(jnp.maximum(box.low, jnp.asarray(subject.lowest)), box.high)
    states, share = level_boxes.sampled(subject.returns, loop, box, level, SAMPLES, seed)
    return states, share * float(((box.high - box.low) / 2).prod())
