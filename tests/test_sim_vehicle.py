"""Vehicles: the shipped files, derived quantities, and what a wrong file says."""

import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.sim.vehicle import VEHICLE_FOLDER, load_vehicle, shipped_vehicles, vehicle_from_mapping

GOOD = (VEHICLE_FOLDER / "racer250.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", shipped_vehicles())
def test_shipped_vehicle_is_sound(name):
    vehicle = load_vehicle(name)
    assert vehicle.name == name
    assert vehicle.source
    weight = vehicle.mass_kg * 9.81
    hover = vehicle.hover_rotor_speed
    assert 0 < hover < 1
    assert float(4 * vehicle.thrust_n(np.float64(hover))) == pytest.approx(weight, rel=1e-9)
    assert vehicle.hover_action == pytest.approx(2 * hover - 1)
    assert 40 < vehicle.torque_to_inertia < 1200
    assert vehicle.rotor_position_m.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


@pytest.mark.parametrize("name", ["brushed32", "racer250", "heavy2400"])
def test_our_own_vehicles_are_of_the_population(name):
    assert 1.8 < load_vehicle(name).thrust_to_weight < 5


def test_values_from_the_source():
    x500 = load_vehicle("x500")
    assert 1 / x500.inertia_kg_m2[0] == pytest.approx(46.072333563695004)
    crazyflie = load_vehicle("crazyflie")
    assert crazyflie.thrust_to_weight == pytest.approx(1.467, abs=1e-3)
    assert set(shipped_vehicles()) == {
        "crazyflie", "x500", "arpl", "soft", "flightmare", "brushed32", "racer250", "heavy2400",
    }  # fmt: skip


def test_hover_speed_without_quadratic_term():
    line = vehicle_from_mapping(
        {
            "name": "line",
            "mass_kg": 1.0,
            "inertia_kg_m2": [0.01, 0.01, 0.015],
            "rotor_position_m": [[0.1, -0.1, 0], [-0.1, -0.1, 0], [-0.1, 0.1, 0], [0.1, 0.1, 0]],
            "thrust_curve_n": [0.0, 4.905, 0.0],
            "torque_constant_m": 0.01,
            "motor_rise_s": 0.05,
            "motor_fall_s": 0.05,
        }
    )
    assert line.hover_rotor_speed == pytest.approx(0.5)
    assert line.rotor_radius_m == pytest.approx(0.08)


def test_a_vehicle_cannot_be_changed():
    vehicle = load_vehicle("crazyflie")
    with pytest.raises(AttributeError):
        vehicle.mass_kg = 1.0
    with pytest.raises(ValueError, match="read-only"):
        vehicle.inertia_kg_m2[0] = 1.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mass_kg = 0.250", "mass_kg = 250", ["mass_kg", "250", "0.005 to 50"]),
        ("mass_kg = 0.250", "mass_kg = nan", ["mass_kg", "nan", "0.005 to 50"]),
        ("mass_kg = 0.250", "mass_kg = '250 g'", ["mass_kg", "250 g", "one number"]),
        ("mass_kg = 0.250", "mass_kg = true", ["mass_kg", "True", "one number"]),
        ("mass_kg = 0.250", "mas_kg = 0.25", ["mas_kg", "did you mean 'mass_kg'"]),
        ("mass_kg = 0.250", "", ["missing key 'mass_kg'"]),
        ("mass_kg = 0.250", "mass_kg = 2.5", ["thrust_curve_n", "over weight is 0.42", "1.05"]),
        ("mass_kg = 0.250", "mass_kg = ", ["not valid TOML", "line"]),
        ("[1.79e-4, 2.53e-4, 3.94e-4]", "[1.79e-4, 2.53e-4]", ["inertia_kg_m2", "three numbers"]),
        ("[1.79e-4, 2.53e-4, 3.94e-4]", "[1.79e-3, 2.53e-4, 3.94e-4]", ["inertia_kg_m2", "rigid body"]),
        ("[1.79e-4, 2.53e-4, 3.94e-4]", "[0.0, 2.5e-4, 3.9e-4]", ["inertia_kg_m2", "1e-07 to 10"]),
        ("[0.046, -0.046, 0.0],", "[0.046, 0.046, 0.0],", ["rotor_position_m", "front-right (+x, -y)"]),
        ("[0.046, -0.046, 0.0],", "", ["rotor_position_m", "four rows"]),
        ("[0.00927, 0.29046, 2.27527]", "[0.0, 6.0, -3.5]", ["thrust_curve_n", "must rise"]),
        ("[0.00927, 0.29046, 2.27527]", "[0.7, 0.29, 2.3]", ["thrust_curve_n", "c0 alone lifts"]),
        ("torque_constant_m = 0.0085", "torque_constant_m = -0.01", ["torque_constant_m", "-0.01", "0.5"]),
        ("motor_rise_s = 0.030", "motor_rise_s = 30", ["motor_rise_s", "30", "0.001 to 1"]),
        ("[0.10, 0.10, 0.12]", "[-0.1, 0.1, 0.1]", ["linear_drag", "0 to 20"]),
        ('name = "racer250"', "name = 3", ["name = 3", "text"]),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_vehicle(path)
    for part in [str(path), *said]:
        assert part in str(caught.value)


def test_a_missing_file_lists_the_shipped_vehicles(tmp_path):
    with pytest.raises(ConfigError, match="crazyflie") as caught:
        load_vehicle(tmp_path / "no.toml")
    assert "no.toml" in str(caught.value)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "photo.toml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_vehicle(path)
