"""`haltere bench quadrotor`: the foundation policy's Lyapunov function and regions of attraction, on fresh flights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.card import digest
from haltere.policies.errors import ConfigError
from haltere.policies.export import quadrotor_file
from haltere.policies.foundation.line import clean_line
from haltere.policies.foundation.population import Population, load_population
from haltere.policies.hybrid import quadrotor_flight as flights
from haltere.policies.hybrid import quadrotor_learning as learning
from haltere.policies.hybrid import quadrotor_lyapunov as lyapunov
from haltere.policies.hybrid import quadrotor_mode as modes
from haltere.policies.hybrid.guarantee import CONFIDENCE, lower_bound
from haltere.policies.hybrid.quadrotor_region import CHUNK, Starts, along, starts
from haltere.policies.hybrid_policy import read_hybrid
from haltere.policies.policy_file import read_policy
from haltere.policies.zoo.shipped import FOUNDATION, QUADROTOR
from haltere.tools.bench.contestants import OURS, load_student
from haltere.tools.bench.table import Rows

ASKED = 99.0
"""Lower bound, in %, of the share of flights from a region that return."""
ASKED_OF_FEW = 97.5
"""The same in a quick run."""
WIDE_REACH = 1.5
BOUND = f"lower bound, {100 * CONFIDENCE:g} % confidence"
LEAD_S = 0.3
"""A failure is announced if V leaves the region at least so long before."""


def alarms(starts: Starts) -> dict[str, np.ndarray]:
    """Scores (S,) of beginnings that are high where danger is: V's rivals, which know no hidden state."""
    distance, tilt = np.linalg.norm(starts.seen[:3], axis=0), np.arccos(np.clip(starts.seen[11], -1, 1))
    shares = np.linspace(0, 1, 11)
    scores = [share * tilt / modes.ANGLE_RAD[modes.RECOVER] + (1 - share) * distance / modes.FAR_M for share in shares]
    # The best of them, in hindsight.
    best = max(scores, key=lambda score: separation(score, starts.back))
    return {"tilt and distance": best, "size of the error": np.asarray(modes.size(jnp.asarray(starts.seen)))}


def separation(score: np.ndarray, back: np.ndarray) -> float:
    """Share of pairs of a failing and a returning start in which the failing one scores higher."""
    fine, failing = np.sort(score[back]), score[~back]
    if not len(failing) or not len(fine):
        return float("nan")
    return float(np.searchsorted(fine, failing).mean() / len(fine))


class QuadrotorBench:
    """The bench; `policy` flies, and `file` holds what was learned about it."""

    def __init__(self, policy: Path = FOUNDATION, file: Path = QUADROTOR) -> None:
        content, card = read_policy(policy).content, read_hybrid(file).card
        if card.get("policy_sha256") != digest(content):
            raise ConfigError(f"{file} speaks of another policy than {policy}: make one with `haltere train quadrotor`")
        self._policy, self._learned = load_student(policy), quadrotor_file.read(file)
        self._levels = np.exp(np.asarray(self._learned.log_levels))
        self._population = load_population(card["population"])

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        key = jax.random.key(seed + 5_000_003)
        for mode, name in enumerate(modes.MODES):
            status(name)
            self._mode(rows, jax.random.fold_in(key, mode), mode, CHUNK if quick else 8 * CHUNK)
        status("flights")
        self._flights(rows, jax.random.fold_in(key, 10), falsified=not quick)
        status("switches")
        self._switches(rows, jax.random.fold_in(key, 11), 1 if quick else 16)
        if not quick:
            status("other vehicles and lines")
            self._elsewhere(rows, jax.random.fold_in(key, 12))
        if picture is not None:
            from haltere.tools.bench.quadrotor_picture import draw

            status("picture")
            draw(self._policy, self._learned, self._population, jax.random.fold_in(key, 13), picture)
        return rows

    def _starts(
        self, key: jax.Array, mode: int, reach: float, count: int, late: int = 0, other: Population | None = None
    ) -> tuple[Starts, np.ndarray]:
        """Beginnings of a mode, and which of them lie inside the region."""
        vehicles = other or self._population
        found = starts(self._policy, self._learned.lyapunov, vehicles, key, mode, reach, count, late)
        return found, found.value <= self._levels[mode]

    def _mode(self, rows: Rows, key: jax.Array, mode: int, count: int) -> None:
        """Fresh starts, as the mode usually begins, and farther away."""
        name = modes.MODES[mode]
        found, inside = self._starts(key, mode, 1.0, count)
        back = found.back
        rows.add(f"{name}: starts", OURS, len(back), "1")
        rows.add(f"{name}: starts that return", OURS, 100 * back.mean(), "%")
        rows.add(f"{name}: starts inside the region", OURS, 100 * inside.mean(), "%")
        rows.add(f"{name}: failures from inside", OURS, (inside & ~back).sum(), "1")
        rows.add(f"{name}: starts inside that return", OURS, 100 * back[inside].mean() if inside.any() else 0, "%")
        bound = 100 * lower_bound(int((inside & back).sum()), int(inside.sum()))
        # Of fewer flights, less can be said.
        asked = ASKED if count > CHUNK else ASKED_OF_FEW
        rows.at_least(f"{name}: starts inside that return, {BOUND}", OURS, bound, "%", asked)
        rows.add(f"{name}: false alarms (outside, but returns)", OURS, 100 * (back & ~inside).mean(), "%")
        for who, score in {OURS: found.value, **alarms(found)}.items():
            # Of every score the same share lies inside.
            within = np.argsort(np.argsort(score)) < inside.sum()
            failing = 100 * (within & ~back).sum() / max(int(inside.sum()), 1)
            rows.add(f"{name}: failures among as many that score lowest", who, failing, "%")
            rows.add(f"{name}: a failing start scores above a returning one", who, 100 * separation(score, back), "%")
        far, inside = self._starts(jax.random.fold_in(key, 1), mode, WIDE_REACH, count)
        bound = 100 * lower_bound(int((inside & far.back).sum()), int(inside.sum()))
        rows.add(f"{name}, begun {WIDE_REACH:g} times as far: starts inside the region", OURS, 100 * inside.mean(), "%")
        rows.add(f"{name}, begun {WIDE_REACH:g} times as far: starts that return", OURS, 100 * far.back.mean(), "%")
        rows.add(f"{name}, begun {WIDE_REACH:g} times as far: starts inside that return, {BOUND}", OURS, bound, "%")

    def _flights(self, rows: Rows, key: jax.Array, falsified: bool) -> None:
        """Whole flights: where V falls, by a falsifier too if asked, and whether it announces a failure."""
        first, second = jax.random.split(key)
        line, ones = clean_line(CHUNK), jnp.ones(CHUNK)
        hover = flights.hovering(self._policy, first, CHUNK, self._population, line)
        step = learning.STEP_TICKS
        for mode, name in enumerate(modes.MODES):
            which = jnp.full(CHUNK, mode)
            flown, _ = flights.flown_from(self._policy, second, hover, which, ones, line)
            value = np.exp(along(self._learned.lyapunov, flown, which))
            begun, back, safe = (np.asarray(leaf) for leaf in (flown.begun, flown.back, flown.safe))
            inside = (value[:-step] <= self._levels[mode]) & safe[:-step] & begun
            moving = inside & (value[:-step] > learning.REST)
            fell = value[step:] < np.maximum(value[:-step], learning.REST)
            text = f"states inside in which V falls within {step * flights.TICK_S:g} s"
            rows.add(f"{name}: {text}, or stays settled", OURS, 100 * fell[inside].mean(), "%")
            rows.add(f"{name}: {text}", OURS, 100 * fell[moving].mean() if moving.any() else 100.0, "%")
            out = (value > self._levels[mode]).any(0)
            false = 100 * out[begun & back].mean()
            rows.add(f"{name}: returning flights on which V is ever above the level", OURS, false, "%")
            lost = begun & ~safe[-1]
            rows.add(f"{name}: losses, of {int(begun.sum())} flights", OURS, lost.sum(), "1")
            if lost.any():
                left = value[:, lost] > self._levels[mode]
                end = (~safe[:, lost]).argmax(0)
                lead = (end - np.where(left.any(0), left.argmax(0), end)) * flights.TICK_S
                share = 100 * (lead >= LEAD_S).mean()
                rows.add(f"{name}: losses that V announces {LEAD_S:g} s before", OURS, share, "%")
                rows.add(f"{name}: V leaves the region before a loss, median", OURS, float(np.median(lead)), "s")
            if falsified and mode == modes.RECOVER:
                begin = modes.switch(second, which, ones, hover, self._policy)
                keep = np.flatnonzero(back & begun)[:512]
                some = jax.tree.map(lambda leaf, keep=keep: leaf[..., keep], begin)
                few = len(some.built.mass)
                args = (self._policy, self._learned.lyapunov, some, which[:few], clean_line(few), 3)
                _, excess = jax.jit(learning.falsify, static_argnums=5)(*args)
                rows.add(
                    f"{name}: returning starts that a falsifier cannot move to where V falls less than by "
                    f"{100 * (1 - learning.KEEP):.0f} %",
                    OURS,
                    100 * float((excess <= 0).mean()),
                    "%",
                )

    def _switches(self, rows: Rows, key: jax.Array, chunks: int) -> None:
        """From where each mode settles, through each switch: whether it lands in the next mode's region."""
        count = len(modes.MODES)
        lands, cell = np.zeros((count, count, 3), int), np.arange(CHUNK)
        before, after = jnp.asarray(cell % count), jnp.asarray(cell // count % count)
        line, ones = clean_line(CHUNK), jnp.ones(CHUNK)
        for index in range(chunks):
            k = jax.random.split(jax.random.fold_in(key, index), 3)
            hover = flights.hovering(self._policy, k[0], CHUNK, self._population, line)
            flown, end = flights.flown_from(self._policy, k[1], hover, before, ones, line)
            then, _ = flights.flown_from(self._policy, k[2], end, after, ones, line)
            value = jnp.exp(lyapunov.log_value(self._learned.lyapunov, then.seen[0], lyapunov.one_hot(after)))
            keep = np.asarray(flown.begun & flown.back & then.begun)
            inside = keep & (np.asarray(value) <= self._levels[np.asarray(after)])
            for place, many in enumerate((keep, inside, inside & np.asarray(then.back))):
                cells = np.asarray(before * count + after)[many]
                lands[..., place] += np.bincount(cells, minlength=count * count).reshape(count, count)
        for one, two in np.ndindex(count, count):
            trials, inside, back = (int(number) for number in lands[one, two])
            what = f"switch from {modes.MODES[one]} to {modes.MODES[two]}"
            rows.add(f"{what}: lands inside", OURS, 100 * inside / max(trials, 1), "%")
            rows.add(f"{what}: lands inside, {BOUND}", OURS, 100 * lower_bound(inside, trials), "%")
            rows.add(f"{what}: of these return", OURS, 100 * back / max(inside, 1), "%")

    def _elsewhere(self, rows: Rows, key: jax.Array) -> None:
        """Where nothing is guaranteed: late lines, and vehicles that V was not learned on."""
        wide = load_population("wide")
        for what, late, other in (("10 ms late", 1, None), ("20 ms late", 2, None), ("wide population", 0, wide)):
            for mode, name in enumerate(modes.MODES):
                found, inside = self._starts(jax.random.fold_in(key, mode), mode, 1.0, 2 * CHUNK, late, other)
                rows.add(f"{what}, {name}: starts that return", OURS, 100 * found.back.mean(), "%")
                rows.add(f"{what}, {name}: starts inside the region", OURS, 100 * inside.mean(), "%")
                rows.add(f"{what}, {name}: starts inside that return", OURS, 100 * found.back[inside].mean(), "%")
