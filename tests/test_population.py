"""Populations: what is drawn lies where the file says, and a bad file is refused."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.policies.foundation.line import sample_line
from haltere.policies.foundation.population import load_population, sample

COUNT = 4000


def test_raptor_population_is_the_published_one() -> None:
    vehicle = sample(jax.random.key(0), COUNT, load_population("raptor"))
    full = vehicle.thrust_curve.sum((0, 1))
    ratio = np.asarray(full / (vehicle.mass * 9.81))
    assert ratio.min() >= 1.4999
    assert ratio.max() <= 5.0001
    assert np.isclose(ratio.mean(), 3.25, atol=0.05)
    assert np.isclose(np.median(vehicle.mass), ((0.02 ** (1 / 3) + 5 ** (1 / 3)) / 2) ** 3, atol=0.1)
    arm = jnp.hypot(vehicle.rotor_x[0], vehicle.rotor_y[0])
    sluggishness = np.asarray(full / 4 * arm / vehicle.inertia[0])
    assert sluggishness.min() >= 39.9
    assert sluggishness.max() <= 1200.5
    np.testing.assert_allclose(vehicle.inertia[1] / vehicle.inertia[0], 1.024, rtol=1e-4)
    np.testing.assert_allclose(vehicle.inertia[2] / vehicle.inertia[0], 1.854, rtol=1e-4)
    assert np.all(vehicle.rotor_y[0] < 0)  # front-right is to the right,
    assert np.all(vehicle.rotor_x[0] > 0)  # and in front
    assert float(sample_line(jax.random.key(1), COUNT, load_population("raptor")).latency.max()) == 0


def test_wide_population_has_late_and_hard_vehicles() -> None:
    population = load_population("wide")
    vehicle = sample(jax.random.key(0), COUNT, population)
    ratio = np.asarray(vehicle.thrust_curve.sum((0, 1)) / (vehicle.mass * 9.81))
    assert np.isclose((ratio > 5.0).mean(), population.strong_fraction, atol=0.03)
    latency = np.asarray(sample_line(jax.random.key(1), COUNT, population).latency)
    assert set(latency) == {0, 1, 2, 3}


def test_shaped_population_is_the_wide_one_in_other_shapes() -> None:
    wide, shaped = load_population("wide"), load_population("shaped")
    assert shaped.mass_kg == wide.mass_kg
    vehicle = sample(jax.random.key(0), COUNT, shaped)
    ratio = np.log(np.asarray(vehicle.inertia[1] / vehicle.inertia[0]) / 1.024)
    assert np.isclose(ratio.std(), shaped.inertia_spread * 2**0.5, rtol=0.1)
    aspect = np.log(np.asarray(-vehicle.rotor_y[0] / vehicle.rotor_x[0])) / 2
    assert np.isclose(aspect.std(), shaped.aspect_spread, rtol=0.1)


def test_draws_depend_on_the_key_alone() -> None:
    population = load_population("wide")
    first, again, other = (sample(jax.random.key(k), 8, population) for k in (1, 1, 2))
    np.testing.assert_array_equal(first.mass, again.mass)
    assert not np.array_equal(first.mass, other.mass)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("thrust_to_weight = [1.5, 5.0]", "thrust_to_weight = [5.0, 1.5]"), ["thrust_to_weight", "low <= high"]),
        (("thrust_to_weight = [1.5, 5.0]", "thrust_to_weight = [0.5, 5.0]"), ["thrust_to_weight", "flies"]),
        (("mass_kg", "mass_gk"), ["mass_gk", "did you mean mass_kg"]),
        (("arm_spread = 0.1", ""), ["missing arm_spread"]),
        (("arm_spread = 0.1", "arm_spread = -0.1"), ["arm_spread", ">= 0"]),
        (("arm_spread = 0.1", "arm_spread ="), ["not TOML"]),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, change: tuple[str, str], names: list[str]) -> None:
    import haltere.policies.foundation.population as module

    text = Path(module.__file__).with_name("raptor.toml").read_text()
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_population(file)
    for name in [*names, str(file)]:
        assert name in str(caught.value)


def test_unknown_population_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="raptor, shaped, wide, world"):
        load_population("raptro")
