"""Gains of the flight controller's attitude hold, from the vehicle's data, as any flight controller has them."""

from __future__ import annotations

import numpy as np

from haltere.sim.vehicle import Vehicle

_FASTEST_RATE_LOOP_1_S = 12.0


def fallback_options(vehicle: Vehicle) -> list[str]:
    """Command-line options of the C flight controller's fallback.

    The rate loop is placed at the motors' bandwidth (damping .5), so that what the last action of a runtime that died
    has set turning is caught soon; the attitude loop at a third of the rate loop.

    Args:
      vehicle: what flies.
    """
    _, linear, quadratic = vehicle.thrust_curve_n
    slope_n = 0.5 * (linear + 2 * quadratic * vehicle.hover_rotor_speed)  # of one rotor, per motor setpoint
    arm_x, arm_y = np.abs(vehicle.rotor_position_m[:, :2]).mean(0)
    lag_s = 2 / (1 / vehicle.motor_rise_s + 1 / vehicle.motor_fall_s)  # a torque is one pair up, the other down
    rate_loop_1_s = min(_FASTEST_RATE_LOOP_1_S, 1.0 / lag_s)
    levers_m = np.array([arm_y, arm_x, vehicle.torque_constant_m])
    gains = rate_loop_1_s * np.asarray(vehicle.inertia_kg_m2) / (4 * slope_n * levers_m)
    gains[2] = min(gains[2], 0.5)
    climb = vehicle.mass_kg * 2.0 / (4 * slope_n)  # vertical speed settles at 2 1/s
    values = {
        "--hover-throttle": vehicle.hover_action,
        "--rate-gain-roll": gains[0],
        "--rate-gain-pitch": gains[1],
        "--rate-gain-yaw": gains[2],
        "--attitude-gain": rate_loop_1_s / 3,
        "--climb-gain": climb,
    }
    return [text for name, value in values.items() for text in (name, f"{float(value):.6g}")]
