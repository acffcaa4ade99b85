"""The golden model as an estimator: it follows a vehicle, sleeps, wakes, and makes good delays and faults."""

from __future__ import annotations

import numpy as np
import pytest

from haltere.fpga.configuration import SENSORS, Sensor, configure, settled_gains
from haltere.fpga.golden import filter as kalman
from haltere.fpga.golden.device import GoldenDevice
from haltere.fpga.golden.fixed import signed
from haltere.fpga.paths import ALL_PATHS, FLOW, GPS, IMU, LIDAR, PATHS, RADAR, TICK_RATE_HZ
from haltere.fpga.registers import offset
from haltere.policies.errors import ConfigError

ROOM_M = 5.0


class Flight:
    """A vehicle on a wavy course, seen by five noisy sensors."""

    def __init__(self, seed: int = 0, sensors: tuple[Sensor, ...] = SENSORS) -> None:
        self.random = np.random.default_rng(seed)
        self.device = GoldenDevice()
        configure(self.device, sensors)
        self.write("DWELL", 0)
        self.write("WATCHDOG", 0xFFFF)
        self.tick = 0
        position, velocity, _ = self.truth(0.0)
        for axis in range(3):
            self.write("SEED_POSITION", round(position[axis] * 2**20), axis)
            self.write("SEED_VELOCITY", round(velocity[axis] * 2**20), axis)
        self.write("RELOAD", 0x11F)

    def write(self, name: str, value: int, index: int = 0) -> None:
        self.device.write(offset(name, index), value & 0xFFFFFFFF)

    @staticmethod
    def truth(time_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size, rate, phase = np.array([1.5, 1.0, 0.5]), np.array([1.1, 1.7, 0.9]), np.array([0.0, 1.0, 2.0])
        angle = rate * time_s + phase
        middle = np.array([0.0, 0.0, 2.0])
        return middle + size * np.sin(angle), size * rate * np.cos(angle), -size * rate**2 * np.sin(angle)

    def sample(self, path: int, late_s: float) -> tuple[int, ...]:
        position, velocity, acceleration = self.truth(self.tick / TICK_RATE_HZ - late_s)
        noise = self.random.normal(0.0, SENSORS[path].noise)
        if path == IMU:
            codes = (acceleration + noise) / 0.005
        elif path == FLOW:
            height = position[2] + noise[2]
            codes = np.append((velocity[:2] + noise[:2]) / height * 1000.0, height * 1000.0)
        elif path == LIDAR:
            seen = position[:2] + noise
            walls = [ROOM_M - seen[0], 7.0, ROOM_M - seen[1], 7.0, ROOM_M + seen[0], 7.0, ROOM_M + seen[1], 7.0]
            codes = np.array(walls) * 1000.0
        elif path == GPS:
            codes = np.append(position + noise, position[2] + noise[2]) / 0.01
        else:
            codes = (position[2:] + noise) / 0.01
        return tuple(int(code) for code in np.round(codes))

    def advance(self, ticks: int, silent: tuple[int, ...] = ()) -> np.ndarray:
        """Flies on; returns the error of the fused position at each tick, (ticks, 3), m."""
        errors = []
        for _ in range(ticks):
            self.write("HEARTBEAT", 1)
            for path, sensor in enumerate(SENSORS):
                if self.tick % round(TICK_RATE_HZ / sensor.rate_hz) == 0 and path not in silent:
                    self.device.push(path, self.sample(path, sensor.delay_s))
            self.device.advance(1)
            words = [signed(self.device.read(offset("POSITION", axis))) for axis in range(3)]
            errors.append(np.array(words) / 2**20 - self.truth(self.tick / TICK_RATE_HZ)[0])
            self.tick += 1
        return np.array(errors)


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).sum(axis=-1).mean()))


def test_follows_a_vehicle_with_everything_on() -> None:
    assert rms(Flight().advance(900)[400:]) < 0.04


def test_delays_are_made_good() -> None:
    timely = rms(Flight().advance(700)[400:])
    flight = Flight()
    for path in range(len(PATHS)):
        flight.write("FUSION", 0, 8 * path + 6)
    assert rms(flight.advance(700)[400:]) > 2 * timely


def test_each_path_helps() -> None:
    flight = Flight()
    flight.write("GATE", 1 << IMU | 1 << GPS)
    poor = rms(flight.advance(900)[400:])
    assert rms(Flight().advance(900)[400:]) < 0.5 * poor < 0.5


def test_a_sleeping_path_drops_and_wakes_with_the_fused_state() -> None:
    flight = Flight()
    flight.write("GATE", ALL_PATHS & ~(1 << LIDAR))
    flight.advance(300)
    dropped = flight.device.read(offset("DROPPED", 0, LIDAR))
    # One every 25 ticks; the first came while the path was still awake.
    assert dropped == 300 // 25 - 1
    flight.write("GATE", ALL_PATHS)
    flight.advance(1)
    woken = signed(flight.device.read(offset("PATH_POSITION", 0, LIDAR)))
    fused = signed(flight.device.read(offset("POSITION", 0)))
    assert abs(woken - fused) < 0.02 * 2**20
    assert not flight.device.read(offset("STATE", 0, LIDAR)) >> 31
    flight.advance(25)
    assert flight.device.read(offset("STATE", 0, LIDAR)) >> 29 == 0b111, "valid, awake and usable within 50 ms"


def test_a_lying_sensor_loses_its_say() -> None:
    flight = Flight()
    flight.advance(200)
    errors = []
    for tick in range(400):
        if tick % 20 == 0:
            flight.device.push(RADAR, (3000,))
        errors.append(flight.advance(1, silent=(RADAR,))[0])
    assert not flight.device.read(offset("STATE", 0, RADAR)) >> 28 & 1
    assert flight.device.read(offset("REPEATS", 0, RADAR)) == 19
    assert rms(np.array(errors)) < 0.08


def test_the_last_sensor_left_is_believed_in_the_end() -> None:
    flight = Flight()
    flight.write("GATE", 1 << IMU | 1 << LIDAR)
    flight.advance(200)
    # The fused state is put where it should not be: every sample is now a surprise.
    for axis in range(3):
        flight.write("SEED_POSITION", 4 << 20, axis)
    flight.write("RELOAD", 0x100)
    assert rms(flight.advance(10)[:, :2]) > 1.0
    assert rms(flight.advance(1500)[1250:, :2]) < 0.1


def test_without_an_imu_it_goes_on_with_the_others() -> None:
    flight = Flight()
    flight.advance(300)
    assert rms(flight.advance(600, silent=(IMU,))[300:]) < 0.3


def test_a_batch_is_its_elements() -> None:
    path, config = PATHS[LIDAR], _config()
    random = np.random.default_rng(0)
    batch = kalman.initial_state(path, (6,))
    single = [kalman.initial_state(path) for _ in range(6)]
    for _ in range(20):
        step, raw = random.integers(-(2**20), 2**20, (6, 2)), random.integers(-32768, 32768, (6, 8))
        here, seen = random.random(6) < 0.8, random.random(6) < 0.5
        batch = kalman.predict(path, batch, step, here)
        batch = kalman.update(path, config, batch, raw, (step, 2 * step), step, seen)
        for index in range(6):
            state = kalman.predict(path, single[index], step[index], here[index])
            single[index] = kalman.update(
                path, config, state, raw[index], (step[index], 2 * step[index]), step[index], seen[index]
            )
    for index in range(6):
        for name in ("position", "velocity", "innovation", "valid", "age", "nis", "samples", "rejected", "repeats"):
            np.testing.assert_array_equal(getattr(batch, name)[index], getattr(single[index], name), err_msg=name)


def _config() -> kalman.FilterConfig:
    random = np.random.default_rng(1)
    return kalman.FilterConfig(
        calibration=random.integers(-(2**20), 2**20, (2, 8)),
        offset=random.integers(-(2**20), 2**20, 2),
        gain_position=random.integers(0, 2**16, 2),
        gain_velocity=random.integers(0, 2**18, 2),
        precision=random.integers(0, 2**14, 2),
    )


def test_gains_are_the_kalman_filter_s() -> None:
    gains = settled_gains(20.0, 0.03, 3.0, velocity=False)
    # The alpha-beta relation of a filter in steady state, Kalata 1984, with noise that is white in acceleration.
    interval = 1 / 20.0
    alpha, beta = gains.position, gains.velocity * interval
    assert beta == pytest.approx(2 * (2 - alpha) - 4 * np.sqrt(1 - alpha), rel=0.1)
    assert gains.innovation_std > 0.03


def test_a_value_that_does_not_fit_is_refused() -> None:
    sensors = list(SENSORS)
    sensors[RADAR] = Sensor(((0.1,),), (0.1,), 25.0)
    with pytest.raises(ConfigError, match="radar CALIBRATION"):
        configure(GoldenDevice(), tuple(sensors))
