"""What is to be proved of the car's file: around a configuration, V decreases in every period, or errors contract.

The claims are about the closed loop in real numbers, sampled as the plant samples it. States are in half widths of the
domain. The set in which they are made keeps all angles within half a turn and the speed above that of the model for
slow cars, so that neither is met.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import car_mode, controller, lyapunov, region_of_attraction
from haltere.policies.hybrid.certificate import Claim, Outcome, Verdict, refuted
from haltere.policies.hybrid.contraction import Ball, frame_of, prove_contraction
from haltere.policies.hybrid.learned import Learned
from haltere.policies.hybrid.network import Network
from haltere.policies.plants import car

DOMAIN = car_mode.DOMAIN
HOLE = 0.05
"""Of the level, below which nothing is claimed."""
TRIED, RAYS = 4096, 64

State = Callable[[jax.Array], jax.Array]
"""(7,) -> () or (7,)."""


class Loop(NamedTuple):
    """What a closed loop depends on.

    Attributes:
      policy: the controller, float64.
      numbers: (3, 1) friction, speed (m/s) and yaw rate (rad/s) of the configuration.
    """

    policy: Network
    numbers: jax.Array


def loop_of(weights: Learned, numbers: tuple[float, float, float]) -> Loop:
    """The closed loop with the file's controller.

    Raises:
      ConfigError: the configuration is outside of what was learned.
    """
    for name, number, low, high in zip(
        ("friction", "speed_m_s", "yaw_rate_rad_s"), numbers, DOMAIN.low, DOMAIN.high, strict=True
    ):
        if not low <= number <= high:
            raise ConfigError(f"{name} is {number:g}: expected {low:g} to {high:g}, where the file was learned")
    policy = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights.controller)
    return Loop(policy, jnp.asarray(numbers, jnp.float64)[:, None])


def after(loop: Loop, state: jax.Array) -> jax.Array:
    """One period, (7,) -> (7,), in half widths of the domain."""
    half = jnp.asarray(DOMAIN.state, jnp.float64)
    x = (half * state)[:, None]
    action = controller.act(loop.policy, DOMAIN, x, loop.numbers)
    return state + car.PERIOD_S * car.rolling(x, action, car.configure(loop.numbers))[:, 0] / half


def largest_box(numbers: tuple[float, float, float]) -> float:
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
      seconds: for all of them, shared evenly.
      tries: at most.
      report: told what is being done.
    Returns:
      The ball that is proved, or None; and the verdict of the last one.
    """
    for index in range(tries):

        def told(boxes: int, left: float, size: float = float(ball.half_widths().max())) -> None:
            if report is not None:
                report(f"box of {size:.3g}: {boxes} boxes, {100 * left:.3g} % undecided")

        verdict = prove_contraction(after, loop, ball, factor, seconds / tries, report=told)
        if verdict.outcome is Outcome.PROVED:
            return ball, verdict
        if index < tries - 1:
            ball = ball._replace(radius=ball.radius / 2)
    return None, verdict


class CarClaim:
    """The claim for one configuration, and a search for states that contradict it.

    Attributes:
      claim: over states (7,) in half widths.
      level: of the set in which it is made.
      box: (7,) half widths of a box, in the same, that is claimed.
    """

    def __init__(self, weights: Learned, numbers: tuple[float, float, float], rate: float, box: float) -> None:
        """A claim about the learned networks.

        Args:
          weights: of the networks.
          numbers: friction, speed (m/s) and yaw rate (rad/s) of the configuration.
          rate: with which V is to decrease, 1/s.
          box: size of the box, in half widths of the domain.
        Raises:
          ConfigError: the configuration or the box is outside of what was learned.
        """
        loop, most = loop_of(weights, numbers), largest_box(numbers)
        if not 0 < box <= 1:
            raise ConfigError(f"box is {box:g}: expected more than 0 and at most 1, in half widths of the domain")
        if box >= most:
            raise ConfigError(f"box is {box:g}: expected less than {most:.3g}, where the car still drives forwards")
        exact: Learned = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)
        given = jnp.asarray(numbers, jnp.float64)[:, None]
        half = jnp.asarray(DOMAIN.state, jnp.float64)

        def value(state: jax.Array) -> jax.Array:
            return lyapunov.value(exact.lyapunov, DOMAIN, (half * state)[:, None], given)[0]

        keep = 1 - rate * car.PERIOD_S
        self.level = float(region_of_attraction.level(exact.region, car_mode, given)[0])
        self.box = np.full(len(DOMAIN.state), box)
        self.value: State = value
        self.claim = Claim(
            lambda state: value(after(loop, state)) - keep * value(state),
            (lambda state: value(state) - self.level, lambda state: HOLE * self.level - value(state)),
        )

    def search(self, seed: int = 0) -> np.ndarray | None:
        """A state (7,) that contradicts the claim, if one is found: along the worst directions, and at random."""
        shape = jax.jit(jax.hessian(self.value))(jnp.zeros(len(self.box)))
        change = jax.jit(jax.hessian(self.claim.quantity))(jnp.zeros(len(self.box)))
        root = np.linalg.inv(np.linalg.cholesky(shape))
        _, vectors = np.linalg.eigh(root @ np.asarray(change) @ root.T)
        stream = np.random.default_rng(seed)
        rays = np.concatenate([(root.T @ vectors).T, stream.normal(size=(RAYS, len(self.box))) @ root])
        rays = np.concatenate([rays, -rays])
        rays /= np.abs(rays).max(1, keepdims=True)
        lengths = np.geomspace(1e-3, 1.0, 60)
        grid = (rays[:, None] * lengths[None, :, None]).reshape(-1, len(self.box)) * self.box
        inside = stream.uniform(-self.box, self.box, (TRIED, len(self.box)))
        some = jnp.asarray(np.concatenate([grid, inside]))

        @jax.jit
        def look(states: jax.Array) -> tuple[jax.Array, jax.Array]:
            quantity = jax.vmap(self.claim.quantity)(states)
            met = jnp.stack([jax.vmap(condition)(states) for condition in self.claim.conditions]).max(0) <= 0
            return quantity, met

        quantity, met = look(some)
        relative = jnp.where(met, quantity / (jax.jit(jax.vmap(self.value))(some) + 1e-12), -jnp.inf)
        worst = some[int(relative.argmax())]
        return np.asarray(worst) if refuted(self.claim, worst) else None
