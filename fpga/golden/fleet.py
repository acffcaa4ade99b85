"""Many devices of one configuration, advanced together: the golden model over a leading axis, word for word.

What `haltere.fpga.golden.device` does for one flight with registers, this does for N without: for benches.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from haltere.fpga.golden import filter as kalman
from haltere.fpga.golden import fuser
from haltere.fpga.golden.core import decode
from haltere.fpga.golden.filter import Flags
from haltere.fpga.golden.fixed import Words
from haltere.fpga.golden.words import WordMemory
from haltere.fpga.paths import IMU, PATHS, QUEUE_DEPTH

_LONGEST = 0xFFFF
_Leaves = TypeVar("_Leaves", kalman.FilterState, fuser.FuserState)


def _anew(where: Flags, new: _Leaves, old: _Leaves) -> _Leaves:
    """The state `new` of some flights (N,), `old` of the others."""

    def chosen(name: str) -> Any:
        leaf = getattr(new, name)
        return np.where(where.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, getattr(old, name))

    return replace(old, **{field.name: chosen(field.name) for field in fields(old)})


class Fleet:
    """N devices. Masks of paths are (N, 5) flags here, path 0 first.

    Attributes:
      awake: (N, 5), paths whose clock runs.
      gate, burst, force: (N, 5), what software asks for, what of it in bursts, and what safety asks for.
      expired: (N,), the watchdog has opened everything.
      paths: the five filters' states, each with a leading axis N.
      fuser: the fused states.
      active, switches: (N, 5), ticks in which each clock ran, and times that it was switched.
      dropped, overflows: (N, 5), samples.
    """

    def __init__(self, memory: WordMemory, count: int) -> None:
        """Args:
        memory: configuration, as written through a `GoldenDevice`; read now.
        count: N.
        """
        self._configs, self._fusion = decode(memory)
        self._dwell, self._watchdog = memory.get("DWELL"), memory.get("WATCHDOG")
        self._burst_on, self._burst_period = memory.get("BURST_TICKS") & _LONGEST, memory.get("BURST_TICKS") >> 16
        self._phase = np.zeros(count, np.int64)
        shape = (count, len(PATHS))
        self.awake, self.gate = np.ones(shape, np.bool_), np.ones(shape, np.bool_)
        self.burst, self.force = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self.expired = np.ones(count, np.bool_)
        self.paths = [kalman.initial_state(path, (count,)) for path in PATHS]
        self.fuser = fuser.initial_state((count,))
        self.active, self.switches, self.dropped, self.overflows = (np.zeros(shape, np.int64) for _ in range(4))
        self._since, self._reload = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        self._silence, self._beat = np.full(count, _LONGEST, np.int64), np.zeros(count, np.bool_)
        self._queues: list[list[tuple[Words, Flags]]] = [[] for _ in PATHS]
        self._seed: tuple[Words, Words, Flags] | None = None

    def heartbeat(self, where: Flags | None = None) -> None:
        """Notes that software lives: that of some flights (N,), or of all."""
        self._beat |= True if where is None else where

    def seed(self, position: Words, velocity: Words, where: Flags | None = None) -> None:
        """Starts some flights (N,), or all, from given states, (N, 3) Q12.20, at the next tick."""
        anew = np.ones(len(position), np.bool_) if where is None else where
        self._seed = position, velocity, anew
        self._reload |= anew[:, None]

    def reset(self, where: Flags) -> None:
        """Begins anew in some flights (N,), as the reset line does: everything on, nothing known, counts of zero."""
        count = len(where)
        self.awake[where], self.gate[where], self.burst[where], self.force[where] = True, True, False, False
        self.expired[where], self._silence[where], self._beat[where], self._phase[where] = True, _LONGEST, False, 0
        self.paths = [
            _anew(where, kalman.initial_state(path, (count,)), state)
            for path, state in zip(PATHS, self.paths, strict=True)
        ]
        self.fuser = _anew(where, fuser.initial_state((count,)), self.fuser)
        for counts in (self.active, self.switches, self.dropped, self.overflows, self._since):
            counts[where] = 0
        self._reload[where] = False
        self._queues = [[(codes, waiting & ~where) for codes, waiting in queue] for queue in self._queues]

    def push(self, path: int, codes: npt.NDArray[np.int64], where: Flags | None = None) -> None:
        """Hands samples to a path: (N, channels) int16 codes, of the flights that have one (N,), or of all."""
        offered = np.ones(len(codes), np.bool_) if where is None else where
        awake = offered & self.awake[:, path]
        self.dropped[:, path] += offered & ~awake
        level = sum((waiting for _, waiting in self._queues[path]), np.zeros(len(codes), np.int64))
        full = awake & (level >= QUEUE_DEPTH)
        self.overflows[:, path] += full
        self._queues[path].append((codes, awake & ~full))

    def advance(self) -> None:
        """Works one tick."""
        self.active += self.awake
        reload = self._reload | self._govern()
        self._reload = np.zeros_like(reload)
        self._work(IMU, reload)
        if self._seed is not None:
            self.fuser = fuser.seed(self.fuser, *self._seed)
            self._seed = None
        self.fuser = fuser.predict(self._fusion, self.fuser, self.paths[IMU])
        for path in range(1, len(PATHS)):
            self._work(path, reload)
        self.fuser = fuser.fuse(self._fusion, self.fuser, tuple(self.paths), self.awake)

    def _govern(self) -> Flags:
        self._silence = np.where(self._beat, 0, np.minimum(self._silence + 1, _LONGEST))
        expired = (self._silence >= self._watchdog) | (self.expired & ~self._beat)
        just_expired = expired & ~self.expired
        self.expired, self._beat = expired, np.zeros_like(expired)
        forced = self.force | expired[:, None]
        forced[:, IMU] = True
        asked = np.where(self._since >= self._dwell, self.gate, self.awake)
        asked = np.where(self.burst, self.gate & (self._phase < self._burst_on)[:, None], asked)
        after = forced | asked
        self._phase = np.where(self._phase + 1 >= self._burst_period, 0, self._phase + 1)
        self.gate[just_expired], self.burst[just_expired] = True, False
        changed = after != self.awake
        self._since = np.where(changed, 0, np.minimum(self._since + 1, _LONGEST))
        self.switches += changed
        woken: Flags = after & ~self.awake
        self.awake = after
        return woken

    def _work(self, index: int, reload: Flags) -> None:
        path, axes = PATHS[index], list(PATHS[index].axes)
        awake, anew = self.awake[:, index], reload[:, index] & self.awake[:, index]
        working = awake & ~anew
        queue = self._queues[index]
        if anew.any():
            here = index != IMU
            self.paths[index] = kalman.reload(
                self.paths[index], self.fuser.position[:, axes] * here, self.fuser.velocity[:, axes] * here, anew
            )
            for _, waiting in queue:
                self.dropped[:, index] += waiting & anew
        state = kalman.predict(path, self.paths[index], self.fuser.velocity_step[:, axes], working)
        fused = self.fuser.position[:, axes], self.fuser.velocity[:, axes]
        moved = self.fuser.displacement[:, index, axes]
        for codes, waiting in queue:
            now = waiting & working
            if now.any():
                state = kalman.update(path, self._configs[index], state, codes, fused, moved, now)
        self.paths[index] = state
        left = [(codes, waiting & ~awake) for codes, waiting in queue]
        self._queues[index] = [entry for entry in left if entry[1].any()]
