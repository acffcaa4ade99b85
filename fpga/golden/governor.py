"""Which paths run (`rtl/carma_governor.v`), and what the classifier suggests (`rtl/carma_suggestion.v`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from haltere.fpga.paths import ALL_PATHS, PATHS

_LONGEST = 0xFFFF


@dataclass
class Governor:
    """Gates, minimum dwell and watchdog of one device.

    Attributes:
      awake: paths whose clock runs, as a mask.
      expired: no heartbeat for the watchdog's time, or none since reset.
      expiries: times that it has expired.
      switches: times that each path was switched.
    """

    awake: int = ALL_PATHS
    expired: bool = True
    expiries: int = 0
    switches: list[int] = field(default_factory=lambda: [0] * len(PATHS))
    _beat: bool = False
    _silence: int = _LONGEST
    _since: list[int] = field(default_factory=lambda: [0] * len(PATHS))
    _phase: int = 0

    def heartbeat(self) -> None:
        """Notes that software lives."""
        self._beat = True

    def tick(self, gate: int, force: int, dwell: int, watchdog: int, burst: int, burst_ticks: int) -> tuple[int, bool]:
        """Decides for one tick.

        Args:
          gate: mask that software asks for.
          force: mask that safety forces on.
          dwell: ticks for which a path stays as it is.
          watchdog: ticks without a heartbeat until everything is on.
          burst: mask of the paths that run in bursts only, and do not dwell.
          burst_ticks: of a burst [15:0], and from one to the next [31:16].
        Returns:
          The mask of the paths that were just woken, and whether the watchdog has just expired.
        """
        self._silence = 0 if self._beat else min(self._silence + 1, _LONGEST)
        expired = self._silence >= watchdog or (self.expired and not self._beat)
        just_expired = expired and not self.expired
        self._beat, self.expired = False, expired
        self.expiries += just_expired

        forced = 1 | force | (ALL_PATHS if expired else 0)
        before, bursting = self.awake, self._phase < burst_ticks & _LONGEST
        self._phase = 0 if self._phase + 1 >= burst_ticks >> 16 else self._phase + 1
        for path in range(len(PATHS)):
            bit = 1 << path
            if forced & bit:
                self.awake |= bit
            elif burst & bit:
                self.awake = (self.awake & ~bit) | (gate & bit if bursting else 0)
            elif self._since[path] >= dwell:
                self.awake = (self.awake & ~bit) | (gate & bit)
            if (self.awake ^ before) & bit:
                self._since[path] = 0
                self.switches[path] += 1
            else:
                self._since[path] = min(self._since[path] + 1, _LONGEST)
        return self.awake & ~before, just_expired


@dataclass
class Suggestion:
    """Hysteresis between classes and the suggested mask.

    Attributes:
      known: the context is one that was trained on.
      context: the last known one.
      mask: suggested paths.
    """

    known: bool = False
    context: int = 0
    mask: int = ALL_PATHS
    _candidate: int = 0
    _wins: int = 0

    def classified(self, best: int, margin: int, margin_min: int, hysteresis: int, masks: list[int]) -> None:
        """Takes one classification in: class, margin, their limits, and the mask that each class needs."""
        if margin < margin_min:
            self.known, self.mask, self._wins = False, ALL_PATHS, 0
            return
        self._wins = min(self._wins + 1, 255) if best == self._candidate else 1
        self._candidate = best
        if self._wins >= hysteresis:
            self.known, self.context, self.mask = True, best, masks[best]
