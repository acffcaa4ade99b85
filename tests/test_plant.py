"""The differentiable quadrotor against SciPy, against conservation laws, and against itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from haltere.policies.foundation.population import load_population, sample
from haltere.policies.plants import quadrotor
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor, QuadrotorState

VEHICLES = 6


@pytest.fixture(scope="module")
def fleet() -> Quadrotor:
    vehicle = sample(jax.random.key(3), VEHICLES, load_population("wide"))
    torque = 0.005 * vehicle.mass * GRAVITY_M_S2 * vehicle.rotor_y[3] * jnp.ones((3, VEHICLES))
    return vehicle._replace(torque=torque, drag=0.2 * vehicle.mass)


def tumbling(seed: int) -> QuadrotorState:
    k = jax.random.split(jax.random.key(seed), 5)
    quat = jax.random.normal(k[0], (4, VEHICLES))
    return QuadrotorState(
        jax.random.normal(k[1], (3, VEHICLES)),
        quat / jnp.linalg.norm(quat, axis=0),
        jax.random.normal(k[2], (3, VEHICLES)),
        2 * jax.random.normal(k[3], (3, VEHICLES)),
        jax.random.uniform(k[4], (4, VEHICLES)),
    )


def independent(vehicle: dict[str, np.ndarray], setpoint: np.ndarray):
    """The same vehicle written again: NumPy, rotation matrices, cross products, SciPy's integrator."""
    position = np.stack([vehicle["rotor_x"], vehicle["rotor_y"], np.zeros(4)], 1)
    inertia = np.diag(vehicle["inertia"])
    direction = np.array([-1.0, 1.0, -1.0, 1.0])

    def derivative(_t: float, s: np.ndarray) -> np.ndarray:
        velocity, omega, rotor = s[12:15], s[15:18], s[18:22]
        attitude = s[3:12].reshape(3, 3)
        curve = vehicle["thrust_curve"]
        thrust = curve[0] + curve[1] * rotor + curve[2] * rotor**2
        forces = np.stack([np.zeros(4), np.zeros(4), thrust], 1)
        torque = np.cross(position, forces).sum(0) + vehicle["torque"]
        torque = torque + np.array([0, 0, (direction * vehicle["torque_constant"] * thrust).sum()])
        skew = np.array([[0, -omega[2], omega[1]], [omega[2], 0, -omega[0]], [-omega[1], omega[0], 0]])
        force = attitude @ forces.sum(0) + vehicle["force"] - vehicle["drag"] * velocity
        lag = np.where(setpoint > rotor, vehicle["motor_rise"], vehicle["motor_fall"])
        return np.concatenate(
            [
                velocity,
                (attitude @ skew).ravel(),
                force / vehicle["mass"] - np.array([0, 0, GRAVITY_M_S2]),
                np.linalg.solve(inertia, torque - np.cross(omega, inertia @ omega)),
                (setpoint - rotor) / lag,
            ]
        )

    return derivative


def test_agrees_with_scipy(fleet: Quadrotor) -> None:
    start = tumbling(1)
    together, apart = jax.random.split(jax.random.key(9))
    action = jax.random.uniform(together, (VEHICLES,), minval=-0.8, maxval=0.8)
    action = action + 0.05 * jax.random.normal(apart, (4, VEHICLES))
    start = start._replace(rotor=jnp.broadcast_to(start.rotor[:1], (4, VEHICLES)))
    end = start
    for _ in range(30):
        end = quadrotor.step(fleet, end, action)
    for v in range(VEHICLES):
        one = {name: np.asarray(value[..., v], np.float64) for name, value in fleet._asdict().items()}
        initial = np.concatenate(
            [
                start.position[:, v],
                quadrotor.rotation(start.quat_wxyz)[:, v],
                start.velocity[:, v],
                start.angular_velocity[:, v],
                start.rotor[:, v],
            ]
        ).astype(np.float64)
        setpoint = (np.asarray(action[:, v], np.float64) + 1) / 2
        exact = solve_ivp(independent(one, setpoint), (0, 0.3), initial, rtol=1e-10, atol=1e-12).y[:, -1]
        ours = np.concatenate(
            [
                end.position[:, v],
                quadrotor.rotation(end.quat_wxyz)[:, v],
                end.velocity[:, v],
                end.angular_velocity[:, v],
                end.rotor[:, v],
            ]
        )
        np.testing.assert_allclose(ours, exact, rtol=2e-4, atol=2e-4 * max(1.0, np.abs(exact[15:18]).max()))


def free(fleet: Quadrotor) -> Quadrotor:
    """The same bodies without thrust, drag or disturbance."""
    zero = jax.tree.map(jnp.zeros_like, fleet)
    return fleet._replace(thrust_curve=zero.thrust_curve, drag=zero.drag, force=zero.force, torque=zero.torque)


def test_free_body_keeps_energy_and_angular_momentum(fleet: Quadrotor) -> None:
    body, state = free(fleet), tumbling(2)

    def momentum(s: QuadrotorState) -> np.ndarray:
        rotation = quadrotor.rotation(s.quat_wxyz).reshape(3, 3, -1)
        return np.asarray(jnp.einsum("ijv,jv->iv", rotation, body.inertia * s.angular_velocity))

    def energy(s: QuadrotorState) -> np.ndarray:
        spin = 0.5 * (body.inertia * s.angular_velocity**2).sum(0)
        return np.asarray(0.5 * (s.velocity**2).sum(0) + spin / body.mass + GRAVITY_M_S2 * s.position[2])

    begin = state
    for _ in range(100):
        state = quadrotor.step(body, state, jnp.zeros((4, VEHICLES)))
    size = np.abs(momentum(begin)).max(0)
    np.testing.assert_allclose(momentum(state) / size, momentum(begin) / size, atol=1e-3)
    np.testing.assert_allclose(energy(state), energy(begin), rtol=1e-4, atol=1e-3)


def test_free_fall_is_exact(fleet: Quadrotor) -> None:
    state = tumbling(4)
    end = state
    for _ in range(50):
        end = quadrotor.step(free(fleet), end, jnp.zeros((4, VEHICLES)))
    fallen = state.position[2] + 0.5 * state.velocity[2] - 0.5 * GRAVITY_M_S2 * 0.25
    np.testing.assert_allclose(end.position[2], fallen, atol=1e-4)


def test_rotor_rises_and_falls_with_its_own_time_constants(fleet: Quadrotor) -> None:
    state = tumbling(5)._replace(rotor=jnp.full((4, VEHICLES), 0.5))
    for action, lag in ((1.0, fleet.motor_rise), (-1.0, fleet.motor_fall)):
        after = quadrotor.step(fleet, state, jnp.full((4, VEHICLES), action)).rotor
        target = (action + 1) / 2
        np.testing.assert_allclose(after[0], target + (0.5 - target) * np.exp(-0.01 / lag), rtol=1e-4)


def test_action_is_clipped_and_rotors_stay_in_range(fleet: Quadrotor) -> None:
    state = tumbling(6)
    far = quadrotor.step(fleet, state, jnp.full((4, VEHICLES), 50.0))
    near = quadrotor.step(fleet, state, jnp.full((4, VEHICLES), 1.0))
    np.testing.assert_array_equal(far.rotor, near.rotor)
    assert float(far.rotor.max()) <= 1.0


def test_is_differentiable(fleet: Quadrotor) -> None:
    def height(action: jax.Array) -> jax.Array:
        state = tumbling(7)
        for _ in range(5):
            state = quadrotor.step(fleet, state, action)
        return state.position.sum()

    action = jnp.zeros((4, VEHICLES))
    slope = jax.grad(height)(action)
    bump = jnp.zeros_like(action).at[2, 3].set(0.05)
    numeric = (height(action + bump) - height(action - bump)) / 0.1
    np.testing.assert_allclose(slope[2, 3], numeric, rtol=0.05, atol=1e-4)


def test_the_short_step_and_its_gradient_are_those_of_the_step(fleet: Quadrotor) -> None:
    action = jax.random.uniform(jax.random.key(7), (4, VEHICLES), minval=-0.9, maxval=0.9)
    short, ours = jax.vjp(lambda *point: quadrotor.short_step(fleet, *point, 0.01), tumbling(4), action)
    whole, theirs = jax.vjp(lambda *point: quadrotor.step(fleet, *point), tumbling(4), action)
    for mine, exact in zip(short, whole, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=2e-3, atol=2e-3)
    for mine, exact in zip(jax.tree.leaves(ours(tumbling(5))), jax.tree.leaves(theirs(tumbling(5))), strict=True):
        off = jnp.linalg.norm(mine - exact, axis=0) / jnp.linalg.norm(exact, axis=0)
        assert float(off.max()) < 0.015
