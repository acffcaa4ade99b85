"""What is to be proved of the car's file: around a configuration, V decreases in every period, or errors contract.

The claims are about the closed loop in real numbers, sampled as the plant samples it. States are in half widths of the
domain. The set in which they are made keeps all angles within half a turn and the speed above that of the model for
slow cars, so that neither is met.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid import car_mode, controller, lyapunov, network
from haltere.policies.hybrid.certificate import Claim, Outcome, Verdict, refuted
from haltere.policies.hybrid.claim_numbers import checked
from haltere.policies.hybrid.contraction import Ball, frame_of, prove_contraction
from haltere.policies.hybrid.decrease import Decrease, Function, box_shape, prove_decrease, value
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.network import Network
from haltere.policies.plants import car

DOMAIN = car_mode.DOMAIN
NUMBERS = ("friction", "speed_m_s", "yaw_rate_rad_s")
TRIED, RAYS = 4096, 64


class Loop(NamedTuple):
    """What a closed loop depends on.

    Attributes:
      policy: the controller, float64.
      lyapunov: the network of V, float64.
      numbers: (3, 1) friction, speed (m/s) and yaw rate (rad/s) of the configuration.
    """

    policy: Network
    lyapunov: Network
    numbers: jax.Array


def loop_of(weights: Learned, numbers: tuple[float, ...]) -> Loop:
    """The closed loop with the file's controller.

    Raises:
      ConfigError: the configuration is outside of what was learned.
    """
    given = checked(NUMBERS, numbers, DOMAIN)
    exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)
    return Loop(exact.controller, exact.lyapunov, given)


def after(loop: Loop, state: jax.Array) -> jax.Array:
    """One period, (7,) -> (7,), in half widths of the domain."""
    half = jnp.asarray(DOMAIN.state, jnp.float64)
    x = (half * state)[:, None]
    action = controller.act(loop.policy, DOMAIN, x, loop.numbers)
    return state + car.PERIOD_S * car.rolling(x, action, car.configure(loop.numbers))[:, 0] / half


def largest_box(numbers: tuple[float, ...]) -> float:
    """In half widths of the domain: no angle leaves half a turn, and the car drives forwards."""
    slowest = (numbers[1] - car.SLOW_M_S) / DOMAIN.state[3]
    return min(1.0, slowest)


_SLOPE = jax.jit(jax.jacfwd(after, argnums=1))


def ball_of(loop: Loop) -> Ball:
    """A ball around zero whose box is of size one, in the frame of the closed loop's Jacobian there.

    Raises:
      ConfigError: the closed loop is not stable there.
    """
    frame = frame_of(np.asarray(_SLOPE(loop, jnp.zeros(len(DOMAIN.state)))))
    unit = Ball(np.zeros(len(frame)), frame, 1.0)
    return unit._replace(radius=1.0 / float(unit.half_widths().max()))


def certified(
    loop: Loop, ball: Ball, factor: float, seconds: float, tries: int = 8, report: Callable[[str], None] | None = None
) -> tuple[Ball | None, Verdict]:
    """The largest ball found in which a closed loop contracts: smaller ones are tried until one is proved.

    Args:
      loop: the closed loop.
      ball: the largest that is tried; each next one is half as large.
      factor: of the contraction in each period.
      seconds: for all of them; each but the last may take half of what is left.
      tries: at most.
      report: told what is being done.
    Returns:
      The ball that is proved, or None; and the verdict of the last one.
    """
    begun = time.monotonic()
    for index in range(tries):
        left_s = max(seconds - (time.monotonic() - begun), 1.0) / min(tries - index, 2)

        def told(boxes: int, left: float, size: float = float(ball.half_widths().max())) -> None:
            if report is not None:
                report(f"box of {size:.3g}: {boxes} boxes, {100 * left:.3g} % undecided")

        verdict = prove_contraction(after, loop, ball, factor, left_s, report=told)
        if verdict.outcome is Outcome.PROVED:
            return ball, verdict
        if index < tries - 1:
            ball = ball._replace(radius=ball.radius / 2)
    return None, verdict


def root(loop: Loop, state: jax.Array) -> jax.Array:
    """R (7, 7) of V at a state (7,) in half widths."""
    half = jnp.asarray(DOMAIN.state, jnp.float64)
    found = network.apply(loop.lyapunov, DOMAIN.inputs((half * state)[:, None], loop.numbers))
    return found[:, 0].reshape(len(half), len(half))


FUNCTION = Function(after, root, lyapunov.FLOOR)
"""The closed loop, and the file's V."""


def largest_found(
    loop: Loop, box: float, keep: float, seconds: float, tries: int = 16, report: Callable[[str], None] | None = None
) -> Decrease:
    """The largest box found in which V decreases: smaller ones are tried until one is proved.

    Args:
      loop: the closed loop.
      box: largest half width of the first one; each next one is half as large.
      keep: of V in each period.
      seconds: for all behind the first one, with which all is compiled.
      tries: at most.
      report: told what is being done.
    """
    shape, begun = box_shape(FUNCTION, loop, len(DOMAIN.state)), 0.0
    for index in range(tries):
        if report is not None:
            report(f"box of {box / 2**index:.3g}")
        found = prove_decrease(FUNCTION, loop, box / 2**index * shape, keep)
        begun = begun or time.monotonic()
        if found.outcome is not Outcome.UNDECIDED or time.monotonic() - begun > seconds:
            break
    return found


def search(loop: Loop, box: float, keep: float, seed: int = 0) -> np.ndarray | None:
    """A state (7,) of a box from which V does not decrease, if one is found: along the worst directions, at random."""
    states = len(DOMAIN.state)

    def change(state: jax.Array) -> jax.Array:
        return value(FUNCTION, loop, after(loop, state)) - keep * value(FUNCTION, loop, state)

    shape = jax.jit(jax.hessian(lambda state: value(FUNCTION, loop, state)))(jnp.zeros(states))
    bend = jax.jit(jax.hessian(change))(jnp.zeros(states))
    frame = np.linalg.inv(np.linalg.cholesky(shape))
    _, vectors = np.linalg.eigh(frame @ np.asarray(bend) @ frame.T)
    stream = np.random.default_rng(seed)
    rays = np.concatenate([(frame.T @ vectors).T, stream.normal(size=(RAYS, states)) @ frame])
    rays = np.concatenate([rays, -rays])
    rays /= np.abs(rays).max(1, keepdims=True)
    grid = (rays[:, None] * np.geomspace(1e-3, 1.0, 60)[None, :, None]).reshape(-1, states) * box
    some = jnp.asarray(np.concatenate([grid, stream.uniform(-box, box, (TRIED, states))]))
    grown = jax.jit(jax.vmap(lambda state: change(state) / (value(FUNCTION, loop, state) + 1e-12)))(some)
    worst = some[int(grown.argmax())]
    return np.asarray(worst) if refuted(Claim(change), worst) else None
