"""Choosing teachers: the choice covers the vehicles, and avoids those on which no teacher gets far."""

import numpy as np
import pytest

from haltere.policies.foundation.choice import choose, distances, slope_of, standardised

PLACES = np.random.default_rng(0).normal(size=(200, 2))


def covered(chosen: list[int], slope: float = 0.5) -> float:
    """Mean over vehicles of what the best chosen teacher is worth, if all are worth 1 on their own."""
    return float((1 - slope * distances(PLACES)[chosen].min(0)).mean())


def test_choice_covers_more_than_chance() -> None:
    chosen = choose(PLACES, 8, lambda index: 1.0, 0.5)
    assert len(set(chosen)) == 8
    drawn = [list(np.random.default_rng(seed).choice(200, 8, replace=False)) for seed in range(20)]
    assert covered(chosen) > max(map(covered, drawn))


def test_vehicles_that_cannot_be_taught_are_avoided() -> None:
    hopeless = PLACES[:, 0] > 0.5
    asked: list[int] = []

    def perform(index: int) -> float:
        asked.append(index)
        return 0.0 if hopeless[index] else 0.9

    chosen = choose(PLACES, 16, perform, 0.5)
    assert asked == chosen  # each is trained once, when it is chosen
    assert hopeless[chosen].mean() < 0.5 * hopeless.mean() + 0.1


def test_slope_is_that_of_the_losses() -> None:
    distance = np.linspace(0, 2, 50)
    assert slope_of(distance, 0.3 * distance) == pytest.approx(0.3)
    assert slope_of(distance, -distance) == 0


def test_traits_that_do_not_vary_do_not_count() -> None:
    places = standardised({"mass": np.array([1.0, 2.0, 3.0]), "latency": np.zeros(3)})
    assert places.shape == (3, 1)
    np.testing.assert_allclose([places.mean(), places.std()], [0, 1], atol=1e-12)


@pytest.mark.parametrize("count", [0, 201])
def test_wrong_number_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="of 200 vehicles"):
        choose(PLACES, count, lambda index: 1.0, 0.5)
