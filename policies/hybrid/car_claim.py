"""What is to be proved of the car's file: around a configuration, V decreases in every period.

The claim is about the closed loop in real numbers, sampled as the plant samples it. States are in half widths of the
domain. The set in which it is claimed keeps all angles within half a turn and the speed above that of the model for
slow cars, so that neither is met.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import car_mode, controller, lyapunov, region_of_attraction
from haltere.policies.hybrid.certificate import Claim, refuted
from haltere.policies.hybrid.learned import Learned
from haltere.policies.plants import car

DOMAIN = car_mode.DOMAIN
HOLE = 0.05
"""Of the level, below which nothing is claimed."""
TRIED, RAYS = 4096, 64

State = Callable[[jax.Array], jax.Array]
"""(7,) -> () or (7,)."""


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
        for name, number, low, high in zip(
            ("friction", "speed_m_s", "yaw_rate_rad_s"), numbers, DOMAIN.low, DOMAIN.high, strict=True
        ):
            if not low <= number <= high:
                raise ConfigError(f"{name} is {number:g}: expected {low:g} to {high:g}, where the file was learned")
        if not 0 < box <= 1:
            raise ConfigError(f"box is {box:g}: expected more than 0 and at most 1, in half widths of the domain")
        slowest = numbers[1] - box * DOMAIN.state[3]
        if slowest <= car.SLOW_M_S:
            most = (numbers[1] - car.SLOW_M_S) / DOMAIN.state[3]
            raise ConfigError(f"box is {box:g}: expected less than {most:.3g}, where the car still drives forwards")
        exact: Learned = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), weights)
        given = jnp.asarray(numbers, jnp.float64)[:, None]
        half = jnp.asarray(DOMAIN.state, jnp.float64)

        def value(state: jax.Array) -> jax.Array:
            return lyapunov.value(exact.lyapunov, DOMAIN, (half * state)[:, None], given)[0]

        def after(state: jax.Array) -> jax.Array:
            x = (half * state)[:, None]
            action = controller.act(exact.controller, DOMAIN, x, given)
            return state + car.PERIOD_S * car.rolling(x, action, car.configure(given))[:, 0] / half

        keep = 1 - rate * car.PERIOD_S
        self.level = float(region_of_attraction.level(exact.region, car_mode, given)[0])
        self.box = np.full(len(DOMAIN.state), box)
        self.value: State = value
        self.claim = Claim(
            lambda state: value(after(state)) - keep * value(state),
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
