"""N flights in closed loop: plant, sensors, gated paths of the golden model, policy; gates by a decider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from haltere.fpga.features import DECISION_RATE_HZ
from haltere.fpga.gate import Orders, View
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.golden.fixed import FRACTION_BITS
from haltere.fpga.golden.fleet import Fleet
from haltere.fpga.paths import IMU, LIDAR, PATHS
from haltere.fpga.street import configure_street
from haltere.fpga.waking import timely
from haltere.policies.foundation import student
from haltere.policies.foundation.evaluate import at_rest
from haltere.policies.plants.quadrotor import Quadrotor, QuadrotorState, rotation, step
from haltere.sim.senses.street import blind_alley
from haltere.sim.senses.suite import PERIOD_S, Suite, Truth
from haltere.tools.gating.faults import COPIES, DRIVER, FLOOD, RESET, Faults
from haltere.tools.gating.observed import Heard, observed
from haltere.tools.gating.reference import reference
from haltere.tools.gating.ring import LEAD_TICKS, Ring
from haltere.tools.gating.scenarios import Scenarios
from haltere.tools.gating.tiled import Tiled

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EVERY = round(1 / (DECISION_RATE_HZ * PERIOD_S))
"""Control periods between decisions."""
TICKS = 5
ATTITUDE_NOISE_RAD, SPIN_NOISE_RAD_S = 0.002, 0.01
HASTE_TIME_S = 0.5
SETTLE_S = 1.0
_ROOM_M = np.array([5.3, 3.8])
_NAMES = {path.name: number for number, path in enumerate(PATHS)}


class Decider(Protocol):
    """Decides which paths run."""

    def decide(self, view: View) -> Orders:
        """Returns what is to run."""


@dataclass(frozen=True, eq=False)
class Log:
    """What was seen at each decision, T of them.

    Attributes:
      time_s: (T,).
      error_m: (T, N), true distance from the reference.
      estimate_m: (T, N), distance of the estimated from the true position.
      awake: (T, N, 5).
      features: (T, N, 16).
      context: (T, N).
      gate, burst, force: (T, N, 5), decisions.
      running: (T, N, 5), share of the time since the decision before for which each clock ran.
      ring: (T, N), share of the ring's greatest power that it took since the decision before.
      crashed_s: (N,), infinite where the flight went well.
      samples, overflows, rejected: (N, 5), filtered by each path; that found its queue full; that had no measurement.
      active, ticks: (N, 5) ticks in which each clock ran, and all ticks.
    """

    time_s: Array
    error_m: Array
    estimate_m: Array
    awake: Flags
    features: Array
    context: npt.NDArray[np.int64]
    gate: Flags
    burst: Flags
    force: Flags
    running: npt.NDArray[np.float32]
    ring: npt.NDArray[np.float32]
    crashed_s: Array
    samples: npt.NDArray[np.int64]
    overflows: npt.NDArray[np.int64]
    rejected: npt.NDArray[np.int64]
    active: npt.NDArray[np.int64]
    ticks: int
    waking_s: tuple[Array, ...]

    def of(self, first: int, count: int) -> Log:
        """Returns the log of some flights, from one on."""
        part = slice(first, first + count)
        over_time = (
            "error_m",
            "estimate_m",
            "awake",
            "features",
            "context",
            "gate",
            "burst",
            "force",
            "running",
            "ring",
        )
        chosen = {name: getattr(self, name)[:, part] for name in over_time}
        chosen |= {
            name: getattr(self, name)[part] for name in ("crashed_s", "samples", "overflows", "rejected", "active")
        }
        waking = tuple(pairs[(pairs[:, 0] >= first) & (pairs[:, 0] < first + count)] for pairs in self.waking_s)
        return replace(self, **chosen, waking_s=waking)


@jax.jit
def _move(vehicle: Quadrotor, state: QuadrotorState, action: jax.Array, alive: jax.Array) -> QuadrotorState:
    after = step(vehicle, state, action, PERIOD_S)
    kept: QuadrotorState = jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, state)
    return kept


@jax.jit
def _decide(
    weights: student.Weights,
    state: QuadrotorState,
    errors: jax.Array,
    noise: jax.Array,
    action: jax.Array,
    hidden: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    turned = rotation(state.quat_wxyz) + ATTITUDE_NOISE_RAD * noise[:9]
    spin = state.angular_velocity + SPIN_NOISE_RAD_S * noise[9:]
    observation = jnp.concatenate([errors[:3], turned, errors[3:], spin, action])
    return student.step(weights, observation, hidden)


class Flights:
    """Flies scenarios; each call starts anew, with the same noise."""

    def __init__(self, vehicle: Quadrotor, weights: student.Weights) -> None:
        """Args:
        vehicle: one vehicle, that all flights have.
        weights: the policy's.
        """
        self._vehicle, self._weights = vehicle, weights

    def fly(
        self,
        flown: Scenarios,
        decider: Decider,
        seed: int = 0,
        times: int = 1,
        faults: Faults | None = None,
        status: Callable[[float], None] = lambda time_s: None,
    ) -> Log:
        """Flies all scenarios to their end.

        Args:
          flown: what is flown through.
          decider: gates the paths, at 20 Hz.
          times: how often the same flights come one behind the other in `flown`; their noise is then the same.
          seed: of the noise.
          faults: what goes wrong, if anything.
          status: told the time.
        """
        count, random = flown.count, Tiled(np.random.default_rng([seed, 2]), times)
        vehicle: Quadrotor = jax.tree.map(lambda leaf: jnp.repeat(leaf, count, axis=-1), self._vehicle)
        place, speed = reference(np.zeros(count), flown.phase, np.ones(count))
        rest = at_rest(vehicle)
        state = rest.state._replace(
            position=jnp.asarray(place.T, jnp.float32), velocity=jnp.asarray(speed.T, jnp.float32)
        )
        action, hidden = rest.action, student.fresh(self._weights, count)
        suite = Suite(blind_alley(), count, random)  # type: ignore[arg-type]
        fleet = _fleet(count)
        for _ in range(LEAD_TICKS):
            fleet.advance()
        fleet.seed(_words(place), _words(speed))
        pace, angle_s = np.ones(count), np.zeros(count)
        crashed_s, quick = np.full(count, np.inf), np.zeros(count)
        ring, heard, lit = Ring(count), Heard(count), np.zeros(count)
        quiet_s = np.full(len(PATHS), np.inf)
        orders = Orders(fleet.gate, fleet.burst, fleet.force)
        ran = fleet.active.copy()
        asleep, since_s = np.zeros((count, len(PATHS)), np.bool_), np.full((count, len(PATHS)), np.nan)
        waking: list[list[Array]] = [[] for _ in PATHS]
        velocity, guess, drift = speed, place, speed
        fallen = np.zeros(count, np.bool_)
        rows = []
        steps = round(sum(flown.stretch_s) / PERIOD_S)
        for number in range(steps):
            time_s = (number + 1) * PERIOD_S
            stretch = flown.stretch_at(time_s)
            conditions = flown.conditions[stretch]
            pace += (conditions.haste - pace) * PERIOD_S / HASTE_TIME_S
            angle_s += pace * PERIOD_S
            alive = np.isinf(crashed_s)
            state = _move(vehicle, state, action, jnp.asarray(alive))
            position, before = np.asarray(state.position, np.float64).T, velocity
            velocity = np.asarray(state.velocity, np.float64).T
            truth = Truth(position, velocity, (velocity - before) / PERIOD_S * alive[:, None])
            codes = suite.measure(truth, conditions)
            healthy = None if faults is None else ~faults.have(DRIVER, time_s)
            fleet.heartbeat(healthy)
            timed = timely(orders, fleet.awake, quiet_s)
            fleet.gate, fleet.burst, fleet.force = (
                new.copy() if healthy is None else np.where(healthy[:, None], new, old)
                for new, old in zip(timed, (fleet.gate, fleet.burst, fleet.force), strict=True)
            )
            quiet_s += PERIOD_S
            falls = ~fallen & (False if faults is None else faults.have(RESET, time_s))
            for tick in range(TICKS):
                if tick == TICKS // 2 and falls.any():
                    fleet.reset(falls)
                    ran[falls], fallen = 0, fallen | falls
                fleet.push(IMU, codes["imu"][:, tick])
                # At the period's end, so that a sample is as old then as its sensor's delay says.
                if tick == TICKS - 1:
                    scanning = ring.measures
                    readings = heard.hear(suite.seen(ring.whole), scanning)
                    for name, sample in codes.items():
                        if name != "imu":
                            quiet_s[_NAMES[name]] = 0.0
                            got = sample if faults is None else faults.spoil(time_s, name, sample)
                            fleet.push(_NAMES[name], got, scanning if name == "lidar" else None)
                        if name == "lidar" and faults is not None:
                            for _ in range(COPIES):
                                fleet.push(LIDAR, got, scanning & faults.have(FLOOD, time_s))
                fleet.advance()
                ring.tick(fleet.awake)
            since_s = np.where(fleet.awake & asleep, 0.0, np.where(fleet.awake, since_s, np.nan)) + PERIOD_S
            asleep = ~fleet.awake
            valid = np.stack([path.valid for path in fleet.paths], axis=-1) & np.isfinite(since_s)
            for path in np.flatnonzero(valid.any(axis=0)):
                now = np.flatnonzero(valid[:, path])
                waking[path].append(np.column_stack([now, since_s[now, path]]))
            since_s[valid] = np.nan
            # Whose ticks are fewer than before has been reset: it goes on from where it is by the last estimate.
            reckoned = guess + PERIOD_S * drift, drift
            guess, drift = (
                np.where(falls[:, None], last, word / (1 << FRACTION_BITS))
                for last, word in zip(reckoned, (fleet.fuser.position, fleet.fuser.velocity), strict=True)
            )
            if falls.any():
                fleet.seed(_words(guess), _words(drift), falls)
            target, rate = reference(angle_s, flown.phase, pace)
            errors = np.concatenate([guess - target, drift - rate], axis=1).T.astype(np.float32)
            noise = random.standard_normal((count, 12)).astype(np.float32).T
            action, hidden = _decide(self._weights, state, errors, noise, action, hidden)
            off = np.linalg.norm(position - target, axis=1)
            lost = (off > 3) | (position[:, 2] < 0.05) | np.any(np.abs(position[:, :2]) > _ROOM_M, axis=1)
            crashed_s = np.where(alive & lost, time_s, crashed_s)
            quick += (np.linalg.norm(drift[:, :2], axis=1) - quick) * PERIOD_S / 0.5
            if (number + 1) % EVERY == 0:
                nis = np.stack([path.nis for path in fleet.paths], axis=-1) / 256
                known = observed(readings, quick, nis, fleet.awake, heard.lately)
                upright = np.asarray(1 - 2 * (state.quat_wxyz[1] ** 2 + state.quat_wxyz[2] ** 2), np.float64)
                context = flown.context[:, stretch]
                view = View(
                    time_s=time_s,
                    features=known,
                    offset_m=np.linalg.norm(guess - target, axis=1),
                    upright=upright,
                    awake=fleet.awake,
                    context=context,
                    repeats=np.stack([path.repeats for path in fleet.paths], axis=-1),
                    age_ticks=np.stack([path.age for path in fleet.paths], axis=-1),
                )
                decided = decider.decide(view)
                orders = Orders(
                    *(
                        new if healthy is None else np.where(healthy[:, None], new, old)
                        for new, old in zip(decided, orders, strict=True)
                    )
                )
                rows.append(
                    (
                        time_s,
                        off.astype(np.float32),
                        np.linalg.norm(guess - position, axis=1).astype(np.float32),
                        fleet.awake.copy(),
                        known.astype(np.float32),
                        context,
                        *orders,
                        ((fleet.active - ran) / (EVERY * TICKS)).astype(np.float32),
                        ((ring.lit - lit) / (EVERY * TICKS)).astype(np.float32),
                    )
                )
                ran, lit = fleet.active.copy(), ring.lit.copy()
                status(time_s)
        columns = map(np.array, zip(*rows, strict=True))
        time, error, estimate, awake, known, context, asked, bursts, forced, running, lit_share = columns
        samples = np.stack([path.samples for path in fleet.paths], axis=-1)
        woken = tuple(np.concatenate([np.zeros((0, 2)), *pairs]) for pairs in waking)
        return Log(
            time_s=time,
            error_m=error,
            estimate_m=estimate,
            awake=awake,
            features=known,
            context=context,
            gate=asked,
            burst=bursts,
            force=forced,
            running=running,
            ring=lit_share,
            crashed_s=crashed_s,
            samples=samples,
            overflows=fleet.overflows,
            rejected=np.stack([path.rejected for path in fleet.paths], axis=-1),
            active=fleet.active,
            ticks=steps * TICKS,
            waking_s=woken,
        )


def _fleet(count: int) -> Fleet:
    device = GoldenDevice()
    configure_street(device)
    return Fleet(device.core.memory, count)


def _words(values: Array) -> npt.NDArray[np.int64]:
    return np.round(values * (1 << FRACTION_BITS)).astype(np.int64)
