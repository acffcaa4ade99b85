"""Which paths run: hardware suggests, software decides, safety overrides. N flights at once; a board has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from haltere.fpga.features import ALWAYS, DECISION_RATE_HZ
from haltere.fpga.novelty import Novelty
from haltere.fpga.objective import EVERYTHING, SUBSETS, Objective, bursts_of, paths_of
from haltere.fpga.paths import FLOW, GPS, IMU, LIDAR, PATHS
from haltere.fpga.recognition import OnnxScores, Recogniser

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

WINS = 6
"""Decisions running that a new answer must win."""
DOUBTS = 3
"""Decisions running after which an unknown context brings everything on."""
CONTRADICTIONS = 20
"""Decisions running after which sensors that contradict the estimate do so too: one that has just been woken is heard
out first."""
SILENCES = 10
"""Decisions running in which the paths asked for do not say where the vehicle is, after which the others that could
come on, the ring in bursts; everything comes on when all have been silent for twice that. The estimate is dead
reckoning then, and its distance from the reference shows nothing."""
_PLACE = [FLOW, LIDAR, GPS]
HEARD_TICKS = 150
"""Age of a path's last measurement up to which it says where the vehicle is; the ring bursts every 90."""
HOLD_S = 1.0
"""Time for which everything then stays on at least."""
REPEATS = 8
"""Equal samples running of which no working sensor is capable: its path is left out for good."""
FRESH_TICKS = 26
"""Age of a path's last measurement up to which its sensor measures at all: one that has nothing to say repeats itself
too, and is not stuck."""
SAFE_OFFSET_M, SAFE_UPRIGHT = 0.6, 0.6
"""Distance from the reference, and cosine of the tilt, beyond which safety brings everything on."""


class View(NamedTuple):
    """What a gate is told, of N flights.

    Attributes:
      time_s: since the start.
      features: (N, 16), as `haltere.fpga.features`.
      offset_m: (N,), distance of the estimated position from the reference.
      upright: (N,), cosine of the tilt.
      awake: (N, 5), paths whose clock runs.
      context: (N,), the true context's number, for an oracle only.
      repeats: (N, 5), samples running of each path that were equal to the one before.
      age_ticks: (N, 5), of each path's last measurement; to be given with `repeats`.
      lyapunov: (N,), Lyapunov value over the level of the region of attraction, where one is known.
    """

    time_s: float
    features: Array
    offset_m: Array
    upright: Array
    awake: Flags
    context: Numbers
    repeats: Numbers | None = None
    age_ticks: Numbers | None = None
    lyapunov: Array | None = None


class Orders(NamedTuple):
    """What a gate decides, (N, 5) flags each.

    Attributes:
      gate: paths that are asked for.
      burst: of them, those that run in bursts.
      force: paths that are forced on.
    """

    gate: Flags
    burst: Flags
    force: Flags

    @property
    def asked(self) -> Flags:
        """(..., 10) flags: which paths shall run, and which of them in bursts. Where they change is a switch."""
        return np.concatenate([self.gate | self.force, self.burst & ~self.force], axis=-1)


class Chooser(Protocol):
    """Picks a subset of the paths for each flight, anew at every decision."""

    def choose(self, view: View) -> tuple[Numbers, Numbers]:
        """Returns subsets (N,), as in `haltere.fpga.objective`, and contexts (N,), -1 where none is told."""


@dataclass
class Static:
    """Always the same paths. Attribute: subset, one or (N,)."""

    subset: int | Numbers

    def choose(self, view: View) -> tuple[Numbers, Numbers]:
        """See `Chooser`."""
        count = len(view.context)
        return np.broadcast_to(np.asarray(self.subset), (count,)).copy(), np.full(count, -1)


@dataclass
class ByContext:
    """Recognises the context and looks its paths up.

    Attributes:
      recogniser: tells the context; None asks the truth, as an oracle can.
      subsets: (C,), of each context; the last one stands for all behind it.
    """

    recogniser: Recogniser | None
    subsets: Numbers

    def choose(self, view: View) -> tuple[Numbers, Numbers]:
        """See `Chooser`."""
        context = view.context if self.recogniser is None else self.recogniser.recognise(view.features)
        known = context < len(self.subsets)
        return np.where(known, self.subsets[np.minimum(context, len(self.subsets) - 1)], EVERYTHING), context


@dataclass
class ByLoss:
    """Predicts every subset's loss and lets the objective choose, as EcoFusion's deep gate does.

    Attributes:
      network: gives the logarithm of each subset's loss.
      objective: of loss and energy.
      energy: (24,), of each subset.
    """

    network: OnnxScores
    objective: Objective
    energy: Array

    def choose(self, view: View) -> tuple[Numbers, Numbers]:
        """See `Chooser`."""
        loss = np.exp(self.network.scores(view.features))
        return self.objective.choose(loss, self.energy), np.full(len(loss), -1)


@dataclass
class AtRandom:
    """Subsets drawn by lot.

    Attributes:
      share: (24,), how often each is drawn.
      period_s: mean time that one is kept.
      generator: source of chance.
    """

    share: Array
    period_s: float
    generator: np.random.Generator
    _now: Numbers | None = None

    def choose(self, view: View) -> tuple[Numbers, Numbers]:
        """See `Chooser`."""
        count = len(view.context)
        fresh = self.generator.choice(len(self.share), size=count, p=self.share)
        change = self.generator.random(count) < 1 / (self.period_s * DECISION_RATE_HZ)
        self._now = fresh if self._now is None else np.where(change, fresh, self._now)
        return self._now, np.full(count, -1)


@dataclass
class Gate:
    """Hysteresis, novelty and safety around a chooser.

    Attributes:
      chooser: picks the paths.
      novelty: tells unknown contexts; None does not ask.
      safe: whether safety brings everything on.
      nis_limit: running mean of the NIS above which flow and ring contradict the estimate; both bring everything on.
      handover_s: time for which the paths of before run beside the new ones.
      context: (N,), the context that has won, -1 before.
      unknown: (N,), no known context, in the last decision.
      stuck: (N, 5), paths whose sensor has got stuck.
    """

    chooser: Chooser
    novelty: Novelty | None = None
    safe: bool = True
    nis_limit: float = 40.0
    handover_s: float = 0.0
    context: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    unknown: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    stuck: Flags = field(default_factory=lambda: np.zeros((0, len(PATHS)), np.bool_))
    _subset: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _candidate: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _wins: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _doubts: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _until_s: Array = field(default_factory=lambda: np.zeros(0))
    _contradicted: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _silent: Numbers = field(default_factory=lambda: np.zeros((2, 0), np.int64))
    _help_until_s: Array = field(default_factory=lambda: np.zeros(0))
    _before: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _changed_s: Array = field(default_factory=lambda: np.zeros(0))

    def decide(self, view: View) -> Orders:
        """Returns what is to run."""
        wanted, context = self.chooser.choose(view)
        count = len(wanted)
        if len(self._subset) != count:
            self._subset, self._candidate = np.full(count, EVERYTHING), np.full(count, -1)
            self._wins, self._doubts = np.zeros(count, np.int64), np.zeros(count, np.int64)
            self._until_s, self.context = np.zeros(count), np.full(count, -1)
            self._contradicted, self._before = np.zeros(count, np.int64), np.full(count, EVERYTHING)
            self._silent, self._help_until_s = np.zeros((2, count), np.int64), np.zeros(count)
            self._changed_s = np.full(count, -np.inf)
            self.stuck = np.zeros((count, len(PATHS)), np.bool_)
        key = wanted + SUBSETS * (context + 1)
        self._wins = np.where(key == self._candidate, self._wins + 1, 1)
        self._candidate = key
        won = self._wins >= (WINS if view.time_s > WINS / DECISION_RATE_HZ else 1)
        changes = won & (wanted != self._subset)
        self._before = np.where(changes, self._subset, self._before)
        self._changed_s = np.where(changes, view.time_s, self._changed_s)
        self._subset = np.where(won, wanted, self._subset)
        self.context = np.where(won, context, self.context)

        strange, contradicted = self._strange(view)
        self._doubts = np.where(strange, self._doubts + 1, 0)
        self._contradicted = np.where(contradicted, self._contradicted + 1, 0)
        alarm = (self._doubts >= DOUBTS) | (self._contradicted >= CONTRADICTIONS)
        self.unknown = alarm.copy()
        if self.safe and view.repeats is not None and view.age_ticks is not None:
            self.stuck = self.stuck | ((view.repeats >= REPEATS) & (view.age_ticks <= FRESH_TICKS))
            alarm |= self.stuck.any(axis=1)
            heard = view.age_ticks[:, _PLACE] <= HEARD_TICKS
            asked = paths_of(self._subset)[:, _PLACE]
            silent = ~np.stack([(heard & asked).any(axis=1), heard.any(axis=1)])
            self._silent = np.where(silent, self._silent + 1, 0)
            self._help_until_s = np.where(self._silent[0] >= SILENCES, view.time_s + HOLD_S, self._help_until_s)
            alarm |= self._silent[1] >= 2 * SILENCES
        if self.safe:
            alarm |= (view.offset_m > SAFE_OFFSET_M) | (view.upright < SAFE_UPRIGHT)
            if view.lyapunov is not None:
                alarm |= view.lyapunov > 1
        self._until_s = np.where(alarm, view.time_s + HOLD_S, self._until_s)
        force = np.zeros((count, len(PATHS)), np.bool_)
        force[self._until_s > view.time_s] = True
        force &= ~self.stuck
        force[:, IMU] = True
        meanwhile = paths_of(self._before) & (view.time_s < self._changed_s + self.handover_s)[:, None]
        burst = bursts_of(self._subset) & ~(meanwhile & ~bursts_of(self._before))
        gate = paths_of(self._subset) | meanwhile
        helps = np.zeros_like(gate)
        helps[:, _PLACE] = (self._help_until_s > view.time_s)[:, None]
        burst[:, LIDAR] |= helps[:, LIDAR] & ~gate[:, LIDAR]
        return Orders((gate | helps) & ~self.stuck, burst, force)

    def _strange(self, view: View) -> tuple[Flags, Flags]:
        """Whether the features are of no known context, and whether flow and ring contradict the estimate."""
        if self.novelty is None:
            never = np.zeros(len(view.context), np.bool_)
            return never, never
        # Features 12 and 14 are the logarithms of the NIS of flow and ring, 0 where they sleep.
        limit = np.log10(self.nis_limit)
        flow, ring = view.features[:, 12], view.features[:, 14]
        heard = view.awake[:, FLOW] | (view.awake[:, LIDAR] & (view.features[:, 15] > 0))
        contradicted = heard & ((flow > limit) | ~view.awake[:, FLOW])
        contradicted &= (ring > limit) | ~view.awake[:, LIDAR]
        return self.novelty.unknown(view.features[:, :ALWAYS]), contradicted
