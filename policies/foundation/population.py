"""Populations of quadrotors: which vehicles exist, what befalls them, and how a policy sees them.

Source: Eschmann et al. 2025 (RAPTOR), supplementary S5-S27, and the released sampler. `raptor.toml` is
that population, `wide.toml` the one that our policy is trained on.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from haltere.policies.errors import ConfigError
from haltere.policies.plants.quadrotor import GRAVITY_M_S2, Quadrotor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_REFERENCE_ARM_M = 0.0396
_REFERENCE_MASS_KG = 0.0306
_PITCH_TO_ROLL_INERTIA = 1.024
_YAW_TO_ROLL_INERTIA = 1.854

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Population:
    """Ranges of vehicles and of the line to them; each is explained in `wide.toml`.

    Attributes: see the TOML files beside this module; ranges are (low, high).
    """

    thrust_to_weight: Range
    mass_kg: Range
    torque_to_inertia: Range
    torque_constant_m: Range
    motor_rise_s: Range
    motor_fall_s: Range
    arm_spread: float
    force_spread_m_s2: float
    thrust_curves: tuple[tuple[float, float, float], ...]
    strong_fraction: float = 0.0
    strong_thrust_to_weight: float = 5.0
    strong_yaw_fraction: float = 0.0
    strong_yaw_torque_constant_m: float = 0.05
    sluggish_fraction: float = 0.0
    aspect_spread: float = 0.0
    inertia_spread: float = 0.0
    fast_motor_rise_s: float = 0.03
    drag_per_mass_s: Range = (0.0, 0.0)
    latency_share: tuple[float, ...] = (1.0,)
    position_noise_m: float = 0.0
    rotation_noise: float = 0.0
    velocity_noise_m_s: float = 0.0
    angular_velocity_noise_rad_s: float = 0.0
    noisy_fraction: float = 0.0
    noisy_factor: float = 1.0
    velocity_latency_share: tuple[float, ...] = (1.0,)
    rotation_bias: float = 0.0
    velocity_bias_m_s: float = 0.0
    angular_velocity_bias_rad_s: float = 0.0
    rotor_spread: float = 0.0
    worn_fraction: float = 0.0
    worn_efficiency: float = 0.7
    center_of_mass_spread: float = 0.0
    changes_per_s: float = 0.0
    payload_spread: float = 0.0
    gust_spread: float = 0.0
    sag_per_s: float = 0.0
    least_charge: float = 1.0
    least_thrust_to_weight: float = 1.25

    def __post_init__(self) -> None:
        for name in ("latency_share", "velocity_latency_share"):
            share = getattr(self, name)
            if not 0 < len(share) <= 5 or not sum(share) > 0 or min(share) < 0:
                raise ConfigError(f"{name} = {list(share)}: expected up to five shares >= 0")
        for name in ("worn_efficiency", "least_charge"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: expected a share above 0, at most 1")
        for name in ("rotor_spread", "payload_spread"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: expected a share from 0 to below 1")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "Range":
                if not (0 <= value[0] <= value[1]):
                    raise ConfigError(f"{field.name} = {list(value)}: expected [low, high] with 0 <= low <= high")
            elif isinstance(value, float | int) and value < 0:
                raise ConfigError(f"{field.name} = {value}: expected a number >= 0")
        if min(self.thrust_to_weight[0], self.least_thrust_to_weight) <= 1:
            low = f"thrust_to_weight = {list(self.thrust_to_weight)}, at least {self.least_thrust_to_weight}"
            raise ConfigError(f"{low}: below 1 nothing flies")


def load_population(path: str | Path) -> Population:
    """Reads a population from TOML.

    Args:
      path: a file, or the name of a shipped population (a TOML file in this folder). A key `base` names the
        population whose values hold where the file has none.
    Raises:
      ConfigError: the file, a key or a value is wrong.
    """
    file = Path(path)
    if not file.suffix:
        file = Path(__file__).with_name(f"{path}.toml")
    if not file.exists():
        shipped = ", ".join(sorted(other.stem for other in Path(__file__).parent.glob("*.toml")))
        raise ConfigError(f"no population {path!s}: give a TOML file, or one of {shipped}")
    try:
        table = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    known = {field.name: field for field in dataclasses.fields(Population)}
    values: dict[str, Any] = {}
    if "base" in table:
        values = dataclasses.asdict(load_population(table.pop("base")))
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"{file}: unknown key {key}" + (f"; did you mean {near[0]}?" if near else ""))
        values[key] = _frozen(value)
    missing = [n for n, f in known.items() if f.default is dataclasses.MISSING and n not in values]
    if missing:
        raise ConfigError(f"{file}: missing {', '.join(missing)}")
    try:
        return Population(**values)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


@partial(jax.jit, static_argnames=("vehicles", "population"))
def sample(key: jax.Array, vehicles: int, population: Population) -> Quadrotor:
    """Draws vehicles.

    Args:
      key: random key.
      vehicles: how many, V.
      population: the ranges.
    Returns:
      Parameters of V vehicles, with a constant disturbance force.
    """
    keys = iter(jax.random.split(key, 20))

    def uniform(low: float, high: float) -> jax.Array:
        return jax.random.uniform(next(keys), (vehicles,), minval=low, maxval=high)

    def chance(fraction: float) -> jax.Array:
        return jax.random.uniform(next(keys), (vehicles,)) < fraction

    low, high = population.thrust_to_weight
    ratio = jnp.where(
        chance(population.strong_fraction),
        uniform(high, max(high, population.strong_thrust_to_weight)),
        uniform(low, high),
    )
    mass = uniform(population.mass_kg[0] ** (1 / 3), population.mass_kg[1] ** (1 / 3)) ** 3
    full_thrust = ratio * mass * GRAVITY_M_S2

    spread = population.arm_spread * jax.random.normal(next(keys), (vehicles,))
    factor = jnp.where(spread < 0, 1 / (1 - spread), 1 + spread)
    arm = _REFERENCE_ARM_M * (mass / _REFERENCE_MASS_KG) ** (1 / 3) * factor

    curves = jnp.array(population.thrust_curves)
    curve = curves[jax.random.randint(next(keys), (vehicles,), 0, len(population.thrust_curves))].T
    curve = curve / curve.sum(0) * full_thrust / 4

    low, high = population.torque_to_inertia
    torque_to_inertia = jnp.where(
        chance(population.sluggish_fraction), low * (high / low) ** uniform(0, 1), uniform(low, high)
    )
    roll_inertia = full_thrust / 4 * arm / torque_to_inertia
    inertia = roll_inertia * jnp.array([[1.0], [_PITCH_TO_ROLL_INERTIA], [_YAW_TO_ROLL_INERTIA]])
    shape = jax.random.fold_in(key, 1)
    inertia = inertia * jnp.exp(population.inertia_spread * jax.random.normal(shape, (3, vehicles)))
    aspect = jnp.exp(population.aspect_spread * jax.random.normal(jax.random.fold_in(key, 2), (vehicles,)))

    torque_constant = jnp.where(
        chance(population.strong_yaw_fraction),
        uniform(
            population.torque_constant_m[1],
            max(population.torque_constant_m[1], population.strong_yaw_torque_constant_m),
        ),
        uniform(*population.torque_constant_m),
    )
    sigma = uniform(0, population.force_spread_m_s2) * (ratio - 1) * ratio * mass / 3
    reach = arm / jnp.sqrt(2.0)

    # Streams of their own, so that a population without these draws the same vehicles as before they existed.
    spread, worn, which, left, offset = (jax.random.fold_in(key, index) for index in range(3, 8))
    efficiency = 1 + population.rotor_spread * jax.random.uniform(spread, (4, vehicles), minval=-1)
    one = jax.nn.one_hot(jax.random.randint(which, (vehicles,), 0, 4), 4, axis=0, dtype=bool)
    one = one & (jax.random.uniform(worn, (vehicles,)) < population.worn_fraction)
    efficiency = jnp.where(one, jax.random.uniform(left, (vehicles,), minval=population.worn_efficiency), efficiency)
    efficiency = jnp.maximum(efficiency, jnp.minimum(population.least_thrust_to_weight / ratio, 1.0))
    offset = population.center_of_mass_spread * arm * jax.random.normal(offset, (2, 1, vehicles))
    return Quadrotor(
        mass=mass,
        inertia=inertia,
        rotor_x=reach / aspect * jnp.array([[1.0], [-1.0], [-1.0], [1.0]]) - offset[0],
        rotor_y=reach * aspect * jnp.array([[-1.0], [-1.0], [1.0], [1.0]]) - offset[1],
        thrust_curve=curve[:, None] * efficiency,
        torque_constant=torque_constant,
        motor_rise=uniform(min(population.fast_motor_rise_s, population.motor_rise_s[0]), population.motor_rise_s[1]),
        motor_fall=uniform(min(population.fast_motor_rise_s, population.motor_fall_s[0]), population.motor_fall_s[1]),
        drag=uniform(*population.drag_per_mass_s) * mass,
        force=sigma * jax.random.normal(next(keys), (3, vehicles)),
        torque=jnp.zeros((3, vehicles)),
    )
