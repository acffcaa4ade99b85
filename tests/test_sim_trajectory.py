"""Trajectories: velocity and acceleration are derivatives, names and files are checked."""

import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.sim.trajectory import FigureEight, make_trajectory
from haltere.sim.wander import Wander
from haltere.sim.waypoints import Waypoints

STEP_S = 1e-5
WAYPOINTS = Waypoints(
    np.array([0.0, 1.0, 3.0, 4.5]),
    np.array([[0.0, 0, 1], [1, 0, 1], [1, 1, 2], [0, 0, 1]]),
    np.array([0.0, 3.0, -3.0, 0.0]),
)


@pytest.mark.parametrize(
    "trajectory",
    [
        make_trajectory("hover", position_m=(1, 2, 3)),
        make_trajectory("figure-eight:period_s=4.5,loops=2,amplitude_m=1.5"),
        make_trajectory("wander:seed=3"),
        WAYPOINTS,
    ],
    ids=["hover", "figure-eight", "wander", "waypoints"],
)
def test_velocity_and_acceleration_are_derivatives(trajectory):
    for time in np.linspace(0.0031, 12.0031, 401):
        before, now, after = (trajectory.at(time + d) for d in (-STEP_S, 0.0, STEP_S))
        velocity = (after.position_world_m - before.position_world_m) / (2 * STEP_S)
        acceleration = (after.velocity_world_m_s - before.velocity_world_m_s) / (2 * STEP_S)
        assert now.velocity_world_m_s == pytest.approx(velocity, abs=1e-5)
        assert now.acceleration_world_m_s2 == pytest.approx(acceleration, abs=1e-4)


def test_step_jumps_once():
    step = make_trajectory("step", start_m=(0, 0, 1), offset_m=(0, 2, 0), step_time_s=1.5)
    assert step.at(1.4999).position_world_m.tolist() == [0, 0, 1]
    assert step.at(1.5).position_world_m.tolist() == [0, 2, 1]
    assert not step.at(1.5).velocity_world_m_s.any()


def test_figure_eight_is_an_eight_from_rest_to_rest():
    eight = FigureEight(period_s=5.5, amplitude_m=1.0, loops=2)
    path = np.array([eight.at(t).position_world_m for t in np.linspace(0, eight.duration_s, 2000)])
    assert path.max(axis=0) == pytest.approx([1.0, 0.5, 1.0], abs=1e-4)
    assert path.min(axis=0) == pytest.approx([-1.0, -0.5, 1.0], abs=1e-4)
    for time in (0.0, eight.duration_s, 100.0):
        assert eight.at(time).position_world_m == pytest.approx([0, 0, 1])
        assert eight.at(time).velocity_world_m_s == pytest.approx(np.zeros(3), abs=1e-9)
    assert eight.at(3.0).position_world_m == pytest.approx(eight.at(8.5).position_world_m)


def test_wander_depends_on_the_seed_and_not_on_the_order_of_queries():
    forward, backward = Wander(seed=7), Wander(seed=7)
    times = [0.123, 5.0, 9.876, 25.5]
    late = [backward.at(t).position_world_m for t in reversed(times)][::-1]
    assert np.array_equal([forward.at(t).position_world_m for t in times], late)
    assert not np.array_equal(Wander(seed=8).at(5.0).position_world_m, late[1])


def test_wander_spreads_as_the_langevin_equation_says():
    # Stationary variance of dv = (-γ v - ω² x) dt + σ dW is σ²/(2 γ ω²); band limiting takes some away.
    wander = Wander(seed=1)
    path = np.array([wander.at(t).position_world_m for t in np.arange(0, 400, 0.1)])
    assert path.std(axis=0) == pytest.approx(np.full(3, 0.5 / np.sqrt(8)), rel=0.25)
    assert path.mean(axis=0) == pytest.approx([0, 0, 1], abs=0.1)


def test_waypoints_are_met_and_agree_with_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    time = np.array([0.0, 1.0, 3.0, 4.5])
    position = np.array([[0.0, 0, 1], [1, 0, 1], [1, 1, 2], [0, 0, 1]])
    spline = interpolate.CubicSpline(time, position, bc_type="clamped")
    for t in np.linspace(0, 4.5, 50):
        assert WAYPOINTS.at(t).position_world_m == pytest.approx(spline(t), abs=1e-9)
        assert WAYPOINTS.at(t).acceleration_world_m_s2 == pytest.approx(spline(t, 2), abs=1e-8)
    assert WAYPOINTS.at(99).position_world_m == pytest.approx(position[-1])
    # From 3 rad to -3 rad the short way leads over π.
    assert WAYPOINTS.at(3.0).yaw_rad == pytest.approx(2 * np.pi - 3)


def test_waypoints_from_csv(tmp_path):
    path = tmp_path / "path.csv"
    path.write_text("t, x, y, z\n# start\n0, 0, 0, 1\n\n2, 1, 0, 1\n", encoding="utf-8")
    trajectory = make_trajectory(str(path))
    assert trajectory.at(2.0).position_world_m.tolist() == [1, 0, 1]
    assert trajectory.at(1.0).position_world_m == pytest.approx([0.5, 0, 1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,x,y,z\n0,0,0,1\n1,zero,0,1\n", ["line 3", "x = 'zero'", "finite number"]),
        ("t,x,y,z\n0,0,0,1\n1,0,0,inf\n", ["line 3", "z = 'inf'"]),
        ("0,0,0,1\n1,0,0\n", ["line 2", "3 columns", "t,x,y,z"]),
        ("0,0,0,1\n1,0,0,1,0\n", ["line 2", "5 columns", "have 4"]),
        ("0,0,0,1\n2,0,0,1\n2,1,0,1\n", ["line 3", "t = 2", "rise"]),
        ("t,x,y,z\n0,0,0,1\n", ["1 waypoints", "two"]),
        ("", ["0 waypoints"]),
        ("a,b,c,d\n0,0,0,1\n1,0,0,1\n", ["line 1", "t = 'a'"]),
    ],
)
def test_a_wrong_csv_names_the_line(tmp_path, text, said):
    path = tmp_path / "path.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        make_trajectory(str(path))
    for part in [str(path), *said]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("figure8", "did you mean 'figure-eight'"),
        ("figure-eight:perod_s=3", "did you mean 'period_s'"),
        ("figure-eight:period_s=0", "period above 0"),
        ("figure-eight:period_s=fast", "name:key=number"),
        ("hover:position_m=1/2", "three finite numbers"),
        ("wander:sigma=-1", "sigma = -1"),
        ("nowhere.csv", "cannot be read"),
    ],
)
def test_a_wrong_trajectory_says_what_is_wrong(spec, said):
    with pytest.raises(ConfigError, match=said):
        make_trajectory(spec)


def test_vector_options_in_the_spec():
    assert make_trajectory("hover:position_m=1/2/3").at(0).position_world_m.tolist() == [1, 2, 3]
