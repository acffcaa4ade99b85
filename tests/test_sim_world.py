"""The world: rigid-body physics against an independent integration, and every disturbance it offers."""

import math

import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.sim.rotors import ground_effect
from haltere.sim.vehicle import load_vehicle, shipped_vehicles
from haltere.sim.weather import Weather
from haltere.sim.world import Status, World, WorldConfig

AIR = WorldConfig(ground=False)
DIRECTION = np.array([-1.0, 1.0, -1.0, 1.0])


def rotation(quat_wxyz):
    w, x, y, z = quat_wxyz / np.linalg.norm(quat_wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def integrate(vehicle, start, command, duration_s):
    """The same rigid body with its motor lag, by SciPy, sharing no code with the simulator."""
    solve_ivp = pytest.importorskip("scipy.integrate").solve_ivp
    inertia = vehicle.inertia_kg_m2

    def slope(_, y):
        quat, velocity, spin, speed = y[3:7], y[7:10], y[10:13], y[13:]
        body = rotation(quat)
        c0, c1, c2 = vehicle.thrust_curve_n
        thrust = c0 + c1 * speed + c2 * speed**2
        force = body @ (np.array([0, 0, thrust.sum()]) - vehicle.linear_drag * (body.T @ velocity))
        torque = np.cross(vehicle.rotor_position_m, np.outer(thrust, [0, 0, 1])).sum(axis=0)
        torque[2] += vehicle.torque_constant_m * float(DIRECTION @ thrust)
        w, v = quat[0], quat[1:]
        lag = np.where(command > speed, vehicle.motor_rise_s, vehicle.motor_fall_s)
        return np.concatenate(
            [
                velocity,
                0.5 * np.array([-v @ spin, *(w * spin + np.cross(v, spin))]),
                force / vehicle.mass_kg - [0, 0, 9.81],
                (torque - np.cross(spin, inertia * spin)) / inertia,
                (command - speed) / lag,
            ]
        )

    return solve_ivp(slope, (0, duration_s), start, rtol=1e-9, atol=1e-11, max_step=0.01).y[:, -1]


def fly_open_loop(vehicle, rate_hz):
    """One second with fixed commands, tilted and turning; returns PyBullet's and SciPy's last state."""
    quat = np.array([0.9, 0.2, -0.3, 0.25])
    quat /= np.linalg.norm(quat)
    velocity, spin = np.array([1.0, -2.0, 0.5]), np.array([1.0, -0.8, 2.0])
    hover = vehicle.hover_rotor_speed
    command = hover * (1 + np.array([0.002, -0.002, 0.002, -0.001]))
    with World(vehicle, WorldConfig(ground=False, physics_rate_hz=rate_hz)) as world:
        world.reset((0, 0, 1), quat, velocity, spin, rotor_speed=0.8 * hover)
        for _ in range(100):
            assert world.step(2 * command - 1) is Status.FLYING
        state = world.state()
    start = np.concatenate([[0, 0, 1], quat, velocity, spin, np.full(4, 0.8 * hover)])
    return state, integrate(vehicle, start, command, 1.0)


@pytest.mark.parametrize("name", shipped_vehicles())
def test_agrees_with_an_independent_integration(name):
    state, expected = fly_open_loop(load_vehicle(name), 1000)
    quat = expected[3:7] / np.linalg.norm(expected[3:7])
    # PyBullet's integrator is first order: at 1 kHz it is off by about 2 mm and 2 mm/s after 1 s.
    assert state.position_world_m == pytest.approx(expected[:3], abs=4e-3)
    assert state.velocity_world_m_s == pytest.approx(expected[7:10], abs=4e-3)
    assert state.angular_velocity_body_rad_s == pytest.approx(expected[10:13], abs=4e-3)
    assert abs(state.quat_wxyz @ quat) > math.cos(0.5 * 2e-3)
    assert state.rotor_speed == pytest.approx(expected[13:], abs=1e-9)


def test_error_falls_with_the_physics_period():
    vehicle = load_vehicle("racer250")
    errors = []
    for rate_hz in (500, 2000):
        state, expected = fly_open_loop(vehicle, rate_hz)
        errors.append(np.abs(state.position_world_m - expected[:3]).max())
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.15)


def test_free_fall_is_not_damped():
    vehicle = load_vehicle("x500")
    with World(vehicle, AIR) as world:
        world.reset((0, 0, 10), velocity_world_m_s=(3, 0, 0), rotor_speed=0.0)
        for _ in range(100):
            world.step([-1] * 4)
        state = world.state()
    assert state.position_world_m == pytest.approx([3.0, 0.0, 10 - 0.5 * 9.81], abs=6e-3)
    assert state.velocity_world_m_s == pytest.approx([3.0, 0.0, -9.81], abs=1e-6)


def test_tumbling_keeps_energy_and_angular_momentum():
    vehicle = load_vehicle("x500")
    spin = np.array([6.0, 1.0, 2.0])
    with World(vehicle, AIR) as world:
        world.reset((0, 0, 10), angular_velocity_body_rad_s=spin, rotor_speed=0.0)
        for _ in range(100):
            world.step([-1] * 4)
        state = world.state()
    inertia, last = vehicle.inertia_kg_m2, state.angular_velocity_body_rad_s
    momentum = rotation(state.quat_wxyz) @ (inertia * last)
    assert momentum == pytest.approx(inertia * spin, abs=0.01 * np.linalg.norm(inertia * spin))
    assert last @ (inertia * last) == pytest.approx(spin @ (inertia * spin), rel=0.01)
    assert np.abs(last - spin).max() > 0.5


@pytest.mark.parametrize("motor", range(4))
def test_each_motor_turns_the_vehicle_its_own_way(motor):
    """More thrust front-right: left roll is negative roll, so ω_x < 0; nose up is ω_y < 0; and so on."""
    vehicle = load_vehicle("x500")
    action = np.full(4, vehicle.hover_action)
    action[motor] += 0.05
    with World(vehicle, AIR) as world:
        for _ in range(10):
            world.step(action)
        turn = world.state().angular_velocity_body_rad_s
    right, front = motor in (0, 1), motor in (0, 3)
    assert np.sign(turn).tolist() == [-1 if right else 1, -1 if front else 1, DIRECTION[motor]]


@pytest.mark.parametrize("name", shipped_vehicles())
def test_hover_action_hovers(name):
    with World(load_vehicle(name)) as world:
        action = [world.vehicle.hover_action] * 4
        for _ in range(50):
            assert world.step(action) is Status.FLYING
        # Ground effect at 1 m lifts a little (the largest propellers by 2 mm in half a second).
        assert world.state().position_world_m == pytest.approx([0, 0, 1], abs=0.01)
        assert world.state().quat_wxyz == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_the_same_seed_flies_the_same():
    config = WorldConfig(weather=Weather((1.0, 0, 0), (1.0, 1.0, 0.5)))
    paths = []
    for seed in (4, 4, 5):
        with World(load_vehicle("racer250"), config, seed) as world:
            for _ in range(50):
                world.step([world.vehicle.hover_action] * 4)
            first = world.state().position_world_m
            world.reset()
            for _ in range(50):
                world.step([world.vehicle.hover_action] * 4)
            paths.append((first, world.state().position_world_m))
    assert np.array_equal(paths[0], paths[1])
    assert not np.array_equal(paths[0], paths[2])
    assert not np.array_equal(paths[0][0], paths[0][1])


def test_reset_with_a_seed_starts_the_tree_anew():
    config = WorldConfig(weather=Weather(gust_world_m_s=(1.0, 1.0, 0.5)))
    with World(load_vehicle("racer250"), config) as world:
        winds = []
        for _ in range(2):
            world.reset(seed=11)
            world.step(None)
            winds.append(world.wind_world_m_s)
    assert np.array_equal(*winds)


def test_ground_effect_lifts_near_the_ground():
    factor = ground_effect(np.array([0.05, 0.2, 1.0, 10.0]), 0.127, 1.0)
    assert np.all(np.diff(factor) < 0)
    assert factor[0] == 1.25
    assert factor[1] == pytest.approx(1 + (0.127 / 0.8) ** 2)
    assert factor[3] == pytest.approx(1.0, abs=1e-4)
    assert ground_effect(np.array([0.05]), 0.127, -1.0)[0] == 1.0
    heights = []
    for enabled in (True, False):
        with World(load_vehicle("x500"), WorldConfig(ground_effect=enabled)) as world:
            world.reset((0, 0, 0.15))
            for _ in range(30):
                world.step([world.vehicle.hover_action] * 4)
            heights.append(world.state().position_world_m[2])
    assert heights[0] > heights[1] + 0.003


@pytest.mark.parametrize("name", ["racer250", "crazyflie"])
def test_wind_pushes_also_a_vehicle_without_drag_of_its_own(name):
    with World(load_vehicle(name), WorldConfig(weather=Weather((4.0, 0, 0)))) as world:
        for _ in range(50):
            world.step([world.vehicle.hover_action] * 4)
        velocity = world.state().velocity_world_m_s
    assert velocity[0] > 0.2
    assert abs(velocity[1]) < 1e-6


def test_gusts_have_the_asked_mean_deviation_and_correlation():
    config = WorldConfig(weather=Weather((2.0, 0, 0), (1.5, 0, 0), gust_time_s=0.1), ground=False)
    with World(load_vehicle("x500"), config, seed=2) as world:
        wind = []
        for _ in range(4000):
            world.step([world.vehicle.hover_action] * 4)
            wind.append(world.wind_world_m_s[0])
    wind = np.array(wind)
    assert wind.mean() == pytest.approx(2.0, abs=0.3)
    assert wind.std() == pytest.approx(1.5, rel=0.15)
    assert np.corrcoef(wind[:-10], wind[10:])[0, 1] == pytest.approx(math.exp(-1), abs=0.12)


def test_payload_drop_changes_mass_and_inertia_and_keeps_the_motion():
    vehicle = load_vehicle("x500")
    config = WorldConfig(payload_kg=0.5, payload_below_m=0.2, payload_drop_time_s=0.255, ground=False)
    with World(vehicle, config) as world:
        world.reset(velocity_world_m_s=(1, 0, 0), angular_velocity_body_rad_s=(0.5, 0, 0))
        action = [vehicle.hover_action] * 4
        for _ in range(25):
            world.step(action)
        assert world.mass_kg == pytest.approx(2.5)
        falling, before = world.state().velocity_world_m_s[2], world.state()
        world.step(action)
        assert world.mass_kg == pytest.approx(2.0)
        after = world.state()
    assert falling < -0.3
    # Nothing but 10 ms of ordinary acceleration may happen at the drop.
    assert after.velocity_world_m_s == pytest.approx(before.velocity_world_m_s, abs=0.03)
    assert after.position_world_m == pytest.approx(before.position_world_m + 0.01 * before.velocity_world_m_s, abs=1e-3)
    assert after.angular_velocity_body_rad_s == pytest.approx(before.angular_velocity_body_rad_s, abs=0.02)


def test_a_slung_payload_swings_about_the_common_centre():
    """In free fall the common centre falls straight, and the vehicle circles around it."""
    vehicle = load_vehicle("x500")
    config = WorldConfig(payload_kg=2.0, payload_below_m=0.4, ground=False)
    with World(vehicle, config) as world:
        world.reset((0, 0, 10), angular_velocity_body_rad_s=(3.0, 0, 0), rotor_speed=0.0)
        for _ in range(50):
            world.step([-1] * 4)
            state = world.state()
            body = rotation(state.quat_wxyz)
            centre = state.position_world_m + body @ [0, 0, -0.2]
            spin = body @ state.angular_velocity_body_rad_s
            velocity = state.velocity_world_m_s + np.cross(spin, body @ [0, 0, -0.2])
    # At the start the centre, 0.2 m below, moved at ω × r = (0, 3 * 0.2, 0).
    assert velocity == pytest.approx([0, 0.6, -9.81 * 0.5], abs=1e-3)
    assert centre == pytest.approx([0, 0.3, 9.8 - 0.5 * 9.81 * 0.25], abs=5e-3)


def test_a_payload_slows_roll_and_pitch_by_its_lever():
    vehicle = load_vehicle("x500")
    action = vehicle.hover_action + 0.02 * np.array([-1, -1, 1, 1])
    turn = []
    for payload_kg in (0.0, 1.0):
        config = WorldConfig(payload_kg=payload_kg, payload_below_m=0.3, ground=False)
        with World(vehicle, config) as world:
            for _ in range(10):
                world.step(action)
            turn.append(world.state().angular_velocity_body_rad_s[0])
    inertia = vehicle.inertia_kg_m2[0]
    # Two masses 0.3 m apart add their reduced mass times the distance squared.
    assert turn[0] / turn[1] == pytest.approx(1 + 2.0 * 1.0 / 3.0 * 0.3**2 / inertia, rel=0.01)


def test_a_worn_propeller_pulls_less():
    vehicle = load_vehicle("x500")
    with World(vehicle, WorldConfig(ground=False)) as world:
        world.set_rotor_efficiency(2, 0.8)
        for _ in range(20):
            world.step([vehicle.hover_action] * 4)
        state = world.state()
        # Back-left pulls less: it rolls to the left (ω_x < 0) and its nose comes up (ω_y < 0).
        assert state.angular_velocity_body_rad_s[0] < -0.1
        assert state.angular_velocity_body_rad_s[1] < -0.1
        assert state.velocity_world_m_s[2] < -0.05
        world.reset()
        world.step([vehicle.hover_action] * 4)
        assert np.abs(world.state().angular_velocity_body_rad_s).max() < 1e-9
        with pytest.raises(ConfigError, match="rotor 4"):
            world.set_rotor_efficiency(4, 0.5)


def test_poke_changes_momentum_by_the_impulse():
    vehicle = load_vehicle("x500")
    with World(vehicle, AIR) as world:
        world.poke((1.0, -0.5, 0.2), at_body_m=(0.0, 0.0, 0.1))
        world.step([vehicle.hover_action] * 4)
        state = world.state()
    assert state.velocity_world_m_s == pytest.approx(np.array([1.0, -0.5, 0.2]) / 2.0, abs=0.01)
    spin = np.cross([0, 0, 0.1], [1.0, -0.5, 0.2]) / vehicle.inertia_kg_m2
    assert state.angular_velocity_body_rad_s == pytest.approx(spin, rel=0.02, abs=0.05)


def test_an_action_takes_effect_after_its_delay():
    vehicle = load_vehicle("x500")
    full = np.ones(4)

    def speed_after(delay_s, steps):
        with World(vehicle, AIR) as world:
            for _ in range(steps):
                world.step(full, action_delay_s=delay_s)
                full_now = world.state().rotor_speed[0]
            return full_now

    w, lag = vehicle.hover_rotor_speed, vehicle.motor_rise_s
    for delay_s, steps in ((0.0, 1), (0.004, 1), (0.010, 2), (0.023, 4)):
        expected = 1 - (1 - w) * math.exp(-(0.01 * steps - delay_s) / lag)
        assert speed_after(delay_s, steps) == pytest.approx(expected, abs=1e-9)


def test_a_newer_action_supersedes_an_older_one_that_comes_later():
    with World(load_vehicle("x500"), WorldConfig(action_delay_s=0.02, ground=False)) as world:
        world.step([1.0] * 4)
        world.step([0.2] * 4, action_delay_s=0.0)
        assert world.rotor_command.tolist() == [0.6] * 4
        for _ in range(3):
            world.step(None)
            assert world.rotor_command.tolist() == [0.6] * 4


def test_a_missing_or_broken_action_holds_the_last():
    vehicle = load_vehicle("x500")
    with World(vehicle, AIR) as world:
        world.step([0.5] * 4)
        for bad in (None, [math.nan] * 4, [math.inf, 0, 0, 0]):
            world.step(bad)
            assert world.rotor_command == pytest.approx(np.full(4, 0.75))
        world.step([7.0] * 4)
        assert world.rotor_command.tolist() == [1.0] * 4
        with pytest.raises(ValueError, match=r"shape \(3,\)"):
            world.step([0, 0, 0])


def test_a_fall_is_a_crash_and_a_soft_landing_is_not():
    with World(load_vehicle("x500")) as world:
        world.reset((0, 0, 1.0), rotor_speed=0.0)
        while world.time_s < 2 and not world.status.over:
            world.step([-1] * 4)
        assert world.status is Status.CRASHED
        assert world.time_s == pytest.approx(math.sqrt(2 * (1 - 0.022) / 9.81), abs=0.01)
        stopped = world.time_s
        assert world.step([1] * 4) is Status.CRASHED
        assert world.time_s == stopped
        world.reset((0, 0, 0.0225), rotor_speed=0.0)
        for _ in range(100):
            world.step([-1] * 4)
        assert world.status is Status.ON_GROUND
        assert world.state().position_world_m == pytest.approx([0, 0, 0.022], abs=3e-3)
        for _ in range(100):
            world.step([0.5] * 4)
        assert world.status is Status.FLYING
        assert world.state().position_world_m[2] > 0.3


@pytest.mark.parametrize(
    "values",
    [
        {"position_world_m": (0, 0, math.nan)},
        {"position_world_m": (0, 1)},
        {"velocity_world_m_s": (math.inf, 0, 0)},
        {"quat_wxyz": (0, 0, 0, 0)},
        {"quat_wxyz": (1, 0, 0)},
    ],
)
def test_a_wrong_start_is_refused(values):
    with World(load_vehicle("x500")) as world, pytest.raises(ConfigError, match="expected"):
        world.reset(**values)


def test_divergence_is_a_status_with_a_finite_state():
    with World(load_vehicle("crazyflie"), AIR) as world:
        for _ in range(300):
            if world.step([1, -1, 1, -1]).over:
                break
            world.poke((0, 0, 50.0), at_body_m=(5.0, 0, 0))
        assert world.status is Status.DIVERGED
        assert world.state().finite()
        world.reset()
        assert world.step([0.6] * 4) is Status.FLYING


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"physics_rate_hz": 240}, "400 to 10000"),
        ({"control_period_s": 0.0105}, "whole number"),
        ({"payload_kg": -1}, "payload_kg = -1"),
        ({"action_delay_s": math.nan}, "action_delay_s = nan"),
        ({"payload_below_m": math.nan}, "payload_below_m = nan"),
        ({"rotor_efficiency": (1, 1, 1.5, 1)}, "four factors 0 to 1"),
    ],
)
def test_a_wrong_world_says_what_is_wrong(values, said):
    with pytest.raises(ConfigError, match=said):
        WorldConfig(**values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gust_world_m_s": (-1, 0, 0)}, "not below 0"),
        ({"wind_world_m_s": (99, 0, 0)}, "within ±50"),
        ({"wind_world_m_s": (1, 0)}, "three numbers"),
        ({"gust_time_s": 0}, "0.01 to 1000"),
    ],
)
def test_wrong_weather_says_what_is_wrong(values, said):
    with pytest.raises(ConfigError, match=said):
        Weather(**values)
