"""Policies of other build: they can be trained and flown in the student's place."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.policies.foundation import student
from haltere.policies.foundation.cells import draw
from haltere.policies.foundation.recipe import Recipe, Stage
from haltere.tools.bench.ablation import SHIPPED, AblationBench
from haltere.tools.bench.directions import DirectionsBench


@pytest.mark.parametrize(
    ("cell", "size", "parameters"), [("gru", 16, 2084), ("world", 4, 236), ("liquid", 16, 2036), ("none", 33, 2018)]
)
def test_step_of_any_cell(cell: str, size: int, parameters: int) -> None:
    weights = draw(cell, size, 0)
    assert student.parameter_count(weights) == parameters
    hidden = student.fresh(weights, 5)
    observation = jax.random.normal(jax.random.key(0), (22, 5))
    action, after = student.step(weights, observation, hidden)
    assert (action.shape, after.shape) == ((4, 5), hidden.shape)
    alone = student.step(weights, observation[:, 2:3], hidden[:, 2:3])
    np.testing.assert_allclose(alone[0], action[:, 2:3], atol=1e-6)
    units = hidden.at[:-3].set(after[:-3])
    remembers = not np.allclose(student.step(weights, observation, units)[0], action, atol=1e-9)
    assert remembers == (cell != "none")
    integrated = hidden.at[-3:].set(1.0)
    assert not np.allclose(student.step(weights, observation, integrated)[0], action, atol=1e-9)


def test_liquid_state_lies_between_its_two_heads() -> None:
    weights = draw("liquid", 3, 1)
    bias = jnp.concatenate([jnp.full(3, 0.2), jnp.full(3, 0.9), jnp.array([-50.0, 0.0, 50.0])])
    weights = weights._replace(head_weight=weights.head_weight * 0, head_bias=bias)
    _, after = student.step(weights, jnp.ones((22, 1)), jnp.zeros((6, 1)))
    low, high = np.tanh([0.2, 0.9])
    np.testing.assert_allclose(after[:3, 0], [low, (low + high) / 2, high], atol=1e-6)


@pytest.mark.parametrize(("cell", "size"), [("lstm", 16), ("gru", 0)])
def test_unknown_cell_is_refused(cell: str, size: int) -> None:
    with pytest.raises(ConfigError, match=cell):
        draw(cell, size, 0)


@pytest.mark.slow
def test_directions_go_on_from_the_shipped_policy(tmp_path: Path) -> None:
    stages = (
        Stage("this way", 2, 10, 0.97, (3e-3, 1e-3), 3.0, 0.2),
        Stage("that way", 2, 10, 0.97, (1e-12, 1e-12), 3.0, 0.2),
    )
    rows = DirectionsBench(1.0, tmp_path, Recipe("wide", 16, 0.125, 8, 4, 0.5, stages))(
        True, 0, None, lambda text: None
    )
    steady = {row.method: row.value for row in rows.rows if row.measure == "hover: steady error, no force, median"}
    assert steady.keys() == {"shipped", "this way", "that way"}
    assert steady["that way"] == steady["shipped"] != steady["this way"]


@pytest.mark.slow
def test_ablation_trains_and_flies_each_variant(tmp_path: Path) -> None:
    recipe = Recipe("wide", 16, 0.125, 8, 4, 0.5, (Stage("only", 4, 10, 0.97, (3e-3, 1e-3), 3.0, 0.2),))
    bench = AblationBench(1.0, tmp_path, (("none", 33), ("liquid", 16), ("gru", 4)), recipe)
    rows = bench(True, 0, tmp_path / "bench.png", lambda text: None)
    counts = {row.method: row.value for row in rows.rows if row.measure == "parameters"}
    assert counts == {"no recurrence": 2018, "liquid 16": 2036, "GRU 4": 236, SHIPPED: 2084}
    assert {row.method for row in rows.rows if "RMSE" in row.measure} == counts.keys()
    assert (tmp_path / "bench.png").stat().st_size > 10_000
