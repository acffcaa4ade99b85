"""Model-predictive control of the car by CasADi and IPOPT, the published baseline.

Twenty periods are looked at, ten of the actions are applied, and the sum of the squared errors is made small.

Source: Meng & Fan 2023, sec. 5.1, and the settings of its code.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import casadi
import jax
import jax.numpy as jnp
import numpy as np

from haltere.policies.hybrid.drive import LANE_M, START_SPEED_M_S, Trace
from haltere.policies.plants import car
from haltere.policies.plants.car import Road

HORIZON, APPLIED = 20, 10
LIMIT = 12.0
"""Of both actions, as of the published controllers."""
ITERATIONS = 1000


def _derivative(x: Any, u: Any, friction: Any, speed: Any) -> Any:
    """The plant's flow in CasADi: straight reference, single track at any speed."""
    delta, v_e, psi, turn, beta = (x[i] for i in range(2, 7))
    v = v_e + speed
    grip = car.STIFFNESS * friction * car.GRAVITY_M_S2
    lever = car.MASS_KG / car.INERTIA_KG_M2 * car.FRONT_M
    shift = u[1] * car.STIFFNESS * friction * car.HEIGHT_M / car.BASE_M
    swerve = grip * lever * car.REAR_M * (delta / car.BASE_M - turn / v)
    uneven = -(car.REAR_M**2 - car.FRONT_M**2) * turn / v + car.BASE_M * beta - car.FRONT_M * delta
    slip = -turn - grip * (beta - car.REAR_M * delta / car.BASE_M) / v
    return casadi.vertcat(
        v * casadi.cos(psi + beta) - speed,
        v * casadi.sin(psi + beta),
        u[0],
        u[1],
        turn,
        swerve + shift * car.MASS_KG / car.INERTIA_KG_M2 * uneven,
        slip + shift / v * (car.BASE_M * turn / v - delta),
    )


class CarMpc:
    """The optimisation, warm-started with what it found before."""

    def __init__(self) -> None:
        state, numbers = casadi.SX.sym("state", 7), casadi.SX.sym("numbers", 2)
        actions = casadi.SX.sym("actions", 2, HORIZON)
        now, cost = state, 0
        for k in range(HORIZON):
            now = now + car.PERIOD_S * _derivative(now, actions[:, k], numbers[0], numbers[1])
            cost += casadi.sumsqr(now)
        problem: dict[str, Any] = {"x": casadi.vec(actions), "f": cost, "p": casadi.vertcat(state, numbers)}
        quiet: dict[str, Any] = {
            "ipopt.print_level": 0,
            "print_time": 0,
            "ipopt.sb": "yes",
            "ipopt.max_iter": ITERATIONS,
        }
        self._solve = casadi.nlpsol("mpc", "ipopt", problem, quiet)
        self.forget()

    def forget(self) -> None:
        """Begins without a guess, as when it was built."""
        self._guess = np.zeros(2 * HORIZON)

    def plan(self, error: np.ndarray, friction: float, speed_m_s: float) -> np.ndarray:
        """Actions (HORIZON, 2) from errors (7,) against a straight reference of this friction and speed."""
        given = np.concatenate([error, [friction, speed_m_s]])
        found = self._solve(x0=self._guess, p=given, lbx=-LIMIT, ubx=LIMIT)
        actions = np.asarray(found["x"], np.float64).reshape(HORIZON, 2)
        actions = actions if np.isfinite(actions).all() else np.zeros((HORIZON, 2))
        self._guess = np.concatenate([actions[APPLIED:], np.zeros((APPLIED, 2))]).ravel()
        return actions


_enter = jax.jit(car.to_error)


@jax.jit
def _apply(road: Road, error: jax.Array, actions: jax.Array) -> jax.Array:
    """Errors (A, 7, 1) after each of A actions (A, 2)."""

    def one(error: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        after = car.step(road, error, action[:, None])
        return after, after

    return jax.lax.scan(one, error, actions)[1]


@partial(jax.jit, static_argnums=2)
def _worlds(road: Road, errors: jax.Array, steps: int) -> jax.Array:
    """World states (T + 1, 7, 1) of errors against the moving reference."""
    times = car.PERIOD_S * jnp.arange(steps + 1)
    return jax.vmap(lambda error, now: car.to_world(error, car.at(road, now[None])))(errors, times)


def drive_one(mpc: CarMpc, roads: Road, steps: int) -> tuple[Trace, int]:
    """Drives one car along its half pieces until it leaves the lane.

    Args:
      mpc: the controller.
      roads: leaves (2K, 1).
      steps: periods per half piece, a multiple of ten.
    Returns:
      The trace as `drive.drive` gives it, what was not driven marked so, and how many plans were made.
    """
    halves = roads.friction.shape[0]
    errors, driven = np.zeros((halves, steps + 1, 7, 1), np.float32), np.zeros((halves, steps + 1, 1), bool)
    worlds = np.zeros_like(errors)
    roads = jax.tree.map(np.asarray, roads)
    world, plans = np.zeros((7, 1), np.float32), 0
    world[3] = START_SPEED_M_S
    for half in range(halves):
        road: Road = jax.tree.map(lambda leaf, k=half: leaf[k], roads)
        friction, speed_m_s = float(road.friction[0]), float(road.speed[0])
        errors[half, 0] = _enter(world, road)
        done = 0
        while done < steps and np.abs(errors[half, : done + 1, 1]).max() < LANE_M:
            action = mpc.plan(errors[half, done, :, 0].astype(np.float64), friction, speed_m_s)
            rows = _apply(road, errors[half, done], action[:APPLIED].astype(np.float32))
            errors[half, done + 1 : done + 1 + APPLIED] = rows
            done, plans = done + APPLIED, plans + 1
        driven[half, : done + 1] = True
        worlds[half] = _worlds(road, errors[half], steps)
        world = worlds[half, done]
        if np.abs(errors[half, : done + 1, 1]).max() >= LANE_M:
            break
    return Trace(jnp.asarray(errors), jnp.asarray(worlds), jnp.asarray(driven)), plans
