"""The golden model of the design behind its registers: what `rtl/carma_top.v` computes, tick by tick.

It counts time in ticks. Cycle counters advance by TICK_CYCLES a tick, and a classification is done at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from haltere.fpga.golden import filter as kalman
from haltere.fpga.golden import fuser
from haltere.fpga.golden.classifier import CLASSES, FEATURES, HIDDEN, ClassifierConfig, classify
from haltere.fpga.golden.fixed import Words
from haltere.fpga.golden.governor import Governor, Suggestion
from haltere.fpga.golden.path import GoldenPath
from haltere.fpga.golden.words import WordMemory
from haltere.fpga.paths import ALL_PATHS, IMU, PATHS


def decode(memory: WordMemory) -> tuple[list[kalman.FilterConfig], fuser.FuserConfig]:
    """Returns the paths' configurations and the fuser's, from their words."""
    configs = []
    for index, path in enumerate(PATHS):
        axes = len(path.axes)
        matrix = np.array(memory.signed("CALIBRATION", 24, 25, index), np.int64).reshape(3, 8)
        rows = (("OFFSET", 32), ("GAIN_POSITION", 25), ("GAIN_VELOCITY", 25), ("PRECISION", 25))
        rest = [np.array(memory.signed(name, axes, bits, index), np.int64) for name, bits in rows]
        configs.append(kalman.FilterConfig(matrix[:axes, : path.channels], *rest))
    rows_ = np.array(memory.signed("FUSION", 40, 33), np.int64).reshape(len(PATHS), 8)
    return configs, fuser.FuserConfig(
        information_position=rows_[:, 0:3] & 0xFFFF,
        information_velocity=rows_[:, 3:6] & 0xFFFF,
        delay=rows_[:, 6],
        age_max=rows_[:, 7] & 0xFFFF,
        nis_max=rows_[:, 7] >> 16,
    )


class Core:
    """Everything but the bus.

    Attributes:
      memory: the words that software writes.
      governor, suggestion: what runs, and what the classifier would have run.
      paths: the five sensing paths.
      fuser: the fused state.
      active: cycles in which each path's clock ran.
      cycles, ticks: since reset.
      best, margin, classified: the last classification, and how many there were.
      stale: the configuration has been written since it was last decoded.
    """

    def __init__(self, memory: WordMemory) -> None:
        self.memory = memory
        self.reset()

    def reset(self) -> None:
        """Restores all but the memories."""
        self.memory.reset()
        self.governor = Governor()
        self.suggestion = Suggestion()
        self.paths = [GoldenPath(path) for path in PATHS]
        self.fuser = fuser.initial_state()
        self.active = [0] * len(PATHS)
        self.cycles = 0
        self.ticks = 0
        self._reload, self._seed = 0, False
        self.best = self.margin = self.classified = 0
        self.stale = True

    def push(self, path: int, raw: Sequence[int]) -> None:
        """Hands a sample to a path: its number, and one int16 code a channel."""
        self.paths[path].push(raw, bool(self.governor.awake >> path & 1))

    def ask_reload(self, paths: int, seed: bool) -> None:
        """Notes what is to be reloaded at the next tick: a mask of paths, and the fuser from its seed."""
        self._reload |= paths
        self._seed |= seed

    def advance(self, ticks: int) -> None:
        """Works that many ticks."""
        for _ in range(ticks):
            self._tick()

    def _tick(self) -> None:
        cycles = self.memory.get("TICK_CYCLES")
        self.cycles += cycles
        for path in range(len(PATHS)):
            self.active[path] += cycles * (self.governor.awake >> path & 1)
        words = ("GATE", "FORCE", "DWELL", "WATCHDOG", "BURST", "BURST_TICKS")
        woken, expired = self.governor.tick(*map(self.memory.get, words))
        reload, seed = self._reload | woken, self._seed
        if expired:
            self.memory.set("GATE", ALL_PATHS)
            self.memory.set("BURST", 0)
        self._reload, self._seed = 0, False
        self.ticks += 1
        if self.stale:
            self._configure()

        yes = np.ones((), np.bool_)
        self._work(IMU, reload)
        if seed:
            position, velocity = (np.array(self.memory.signed(f"SEED_{what}", 3)) for what in ("POSITION", "VELOCITY"))
            self.fuser = fuser.seed(self.fuser, position, velocity, yes)
        self.fuser = fuser.predict(self._fusion, self.fuser, self.paths[IMU].state)
        for path in range(1, len(PATHS)):
            if self.governor.awake >> path & 1:
                self._work(path, reload)
        awake = np.array([bool(self.governor.awake >> path & 1) for path in range(len(PATHS))])
        self.fuser = fuser.fuse(self._fusion, self.fuser, tuple(path.state for path in self.paths), awake)

    def _work(self, index: int, reload: int) -> None:
        path, axes = self.paths[index], list(PATHS[index].axes)
        if reload >> index & 1:
            here = index != IMU
            path.reload(self.fuser.position[axes] * here, self.fuser.velocity[axes] * here)
        else:
            fused = self.fuser.position[axes], self.fuser.velocity[axes]
            moved = self.fuser.displacement[index, axes]
            path.work(self._configs[index], self.fuser.velocity_step[axes], fused, moved)

    def _configure(self) -> None:
        self._configs, self._fusion = decode(self.memory)
        self.stale = False

    def classify(self) -> None:
        """Classifies the features and weighs the suggestion anew."""
        memory = self.memory

        def int8(name: str, words: int) -> Words:
            return np.array(memory.signed(name, words), "<i4").view(np.int8).astype(np.int64)

        weight, bias = int8("WEIGHT", 256), np.array(memory.signed("BIAS", HIDDEN + CLASSES, 24), np.int64)
        requantise = memory.get("REQUANTISE")
        config = ClassifierConfig(
            hidden_weight=weight[: HIDDEN * FEATURES].reshape(HIDDEN, FEATURES),
            hidden_bias=bias[:HIDDEN],
            class_weight=weight[HIDDEN * FEATURES :].reshape(CLASSES, HIDDEN),
            class_bias=bias[HIDDEN:],
            multiplier=requantise & 0xFFFF,
            shift=requantise >> 16,
        )
        best, margin = classify(config, int8("FEATURE", 4))
        self.best, self.margin = int(best), int(margin)
        self.classified += 1
        masks = [memory.get("MASK", index) for index in range(CLASSES)]
        self.suggestion.classified(self.best, self.margin, memory.get("MARGIN_MIN"), memory.get("HYSTERESIS"), masks)
