"""The walker by Hamilton-Jacobi reachability on a coarse grid: values, law, file, and rows of the bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import clf_qp, walk
from haltere.policies.hybrid.baselines import walker_reach, walker_reach_file
from haltere.policies.hybrid.baselines.walker_reach import FARTHEST, HIGH, LOW, Reach
from haltere.policies.hybrid.gaits import POST_IMPACT
from haltere.policies.plants import walker
from haltere.policies.plants.walker import Gait
from haltere.tools.bench import hybrid_walker, readme
from haltere.tools.bench.table import Rows

NODES = 9
GAIT = POST_IMPACT[8]


def quiet(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hj_reachability")
    path, said = tmp_path_factory.mktemp("reach") / "new" / "reach.npz", []
    walker_reach_file.read_or_solve(path, said.append, NODES)
    assert said[0].endswith("gait 1 of 15")
    assert "gait 15 of 15" in said[-1]
    assert "left" in said[-1]
    assert [other.name for other in path.parent.iterdir()] == ["reach.npz"]
    return path


@pytest.fixture(scope="module")
def reach(solved: Path) -> Reach:
    return walker_reach_file.read_or_solve(solved, lambda text: pytest.fail(f"it is there, but said {text}"))


def nodes() -> np.ndarray:
    """States (4, 9, 9, 9, 9) of the nodes."""
    axes = [np.linspace(low, high, NODES) for low, high in zip(LOW, HIGH, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def last_of_the_gait() -> tuple[jax.Array, jax.Array]:
    """The state (4, 1) of a walker in the gait at most a period before its impact, and just after it."""
    state, gait = jnp.asarray(GAIT)[:, None], Gait(jnp.asarray(GAIT[:1]))
    move = jax.jit(lambda x: walker.tick(x, clf_qp.law(x, gait)))
    for _ in range(walk.TICKS):
        after, impact = move(state)
        if impact[0]:
            return walker.glide(state, clf_qp.law(state, gait)), after
        state = after
    pytest.fail("no impact")


def test_an_impact_of_the_gait_is_at_no_distance_from_it() -> None:
    behind, after = last_of_the_gait()
    assert walker_reach.landed(behind).all()
    assert float(walker_reach.distance(behind, after[:, 0])[0]) < 0.02
    assert float(walker_reach.distance(behind, jnp.asarray(GAIT))[0]) < 0.1
    assert float(walker_reach.distance(behind, jnp.asarray(POST_IMPACT[14]))[0]) > 0.3


def test_an_impact_under_the_body_is_none() -> None:
    state = jnp.array([[-0.04], [-0.2], [-0.7], [0.4]])
    assert walker_reach.landed(state).all()
    assert float(walker_reach.distance(state, jnp.asarray(GAIT))[0]) == FARTHEST


def test_the_hamiltonian_is_the_least_rate_of_the_value() -> None:
    stride = walker_reach._Stride()
    state, slope = jnp.array([0.1, -0.1, -0.6, 1.0]), jnp.array([0.3, -0.2, 0.5, -0.4])
    rates = [
        float(slope @ walker.flow(0, state[:, None], jnp.full((1, 1), torque), Gait(state[:1]))[:, 0])
        for torque in np.linspace(-walker.LARGEST_TORQUE_N_M, walker.LARGEST_TORQUE_N_M, 9)
    ]
    assert float(stride.hamiltonian(state, 0.0, 0.0, slope)) == pytest.approx(min(rates), rel=1e-5)
    assert float(stride.hamiltonian(state.at[1].set(1.0), 0.0, 0.0, slope)) == 0.0


def test_values_are_finite_and_those_of_the_impact_where_there_is_one(reach: Reach) -> None:
    value, states = np.asarray(reach.value), nodes().reshape(4, -1)
    assert value.shape == (15, *(NODES,) * 4)
    assert np.isfinite(value).all()
    assert value.min() >= 0
    assert value.max() == FARTHEST
    assert (value.reshape(15, -1).min(1) < 0.3).all()
    fallen = np.asarray(walker_reach.fallen(jnp.asarray(states)))
    ended = np.asarray(walker_reach.landed(jnp.asarray(states))) & ~fallen
    for index in (0, 14):
        exact = walker_reach.distance(jnp.asarray(states[:, ended]), reach.target[index])
        np.testing.assert_allclose(value[index].ravel()[ended], exact, atol=2e-3)
        np.testing.assert_array_equal(value[index].ravel()[fallen], FARTHEST)


def test_most_starts_are_known_to_come_to_an_impact(reach: Reach) -> None:
    task = walk.many_gaits(2)
    which = walker_reach.plan(reach)(jnp.asarray(task.start), Gait(jnp.asarray(task.target[0])))
    np.testing.assert_allclose(reach.target[which], task.target.T, atol=1e-6)
    value = np.asarray(walker_reach.interpolate(reach, jnp.asarray(task.start), which))
    assert np.mean(value < FARTHEST) > 0.9


def test_interpolation_is_exact_at_the_nodes(reach: Reach) -> None:
    where = tuple(np.random.default_rng(0).integers(0, NODES, (4, 20)))
    which = np.arange(20) % 15
    found = walker_reach.interpolate(reach, jnp.asarray(nodes()[(slice(None), *where)]), jnp.asarray(which))
    np.testing.assert_allclose(found, np.asarray(reach.value)[(which, *where)], atol=1e-4)


def test_torque_is_limited_and_lowers_the_value(reach: Reach) -> None:
    key, other = jax.random.split(jax.random.key(0))
    low, high = jnp.array(LOW)[:, None], jnp.array(HIGH)[:, None]
    state = jax.random.uniform(key, (4, 400), minval=1.5 * low, maxval=1.5 * high)
    which = jax.random.randint(other, (400,), 0, 15)
    torque = jax.jit(walker_reach.law(reach))(state, which)
    assert torque.shape == (1, 400)
    assert (jnp.abs(torque) <= walker.LARGEST_TORQUE_N_M).all()
    push = walker_reach.PROBE_S * walker.affine(state)[1]
    ahead, back = (
        walker_reach.interpolate(reach, state + sign * jnp.sign(torque) * push, which) for sign in (1.0, -1.0)
    )
    assert (ahead <= back + 1e-6).all()
    assert float((jnp.abs(torque) == walker.LARGEST_TORQUE_N_M).mean()) > 0.1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"value": None}, "expected an .npz with target, value and box"),
        ({"value": np.zeros((15, 5, 5, 5, 6), np.float16)}, r"shape \(15, n, n, n, n\), got \(15, 5, 5, 5, 6\)"),
        ({"value": np.zeros((), np.float16)}, r"got \(\)"),
        ({"value": np.full((15, 2, 2, 2, 2), np.nan, np.float16)}, "expected finite values"),
        ({"target": np.zeros((15, 4), np.float32)}, "expected the gaits and the grid of this version"),
        ({"box": np.zeros((2, 4), np.float32)}, "expected the gaits and the grid of this version"),
    ],
)
def test_a_wrong_file_says_what_was_expected(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    arrays = {
        "target": walker_reach.targets(),
        "value": np.zeros((15, 2, 2, 2, 2), np.float16),
        "box": walker_reach_file.BOX,
    }
    path = tmp_path / "reach.npz"
    np.savez(path, **arrays)
    assert walker_reach_file.read(path).value.shape == (15, 2, 2, 2, 2)
    np.savez(path, **{name: array for name, array in {**arrays, **wrong}.items() if array is not None})
    with pytest.raises(ConfigError, match=says):
        walker_reach_file.read(path)


def test_what_is_no_file_of_arrays_says_so(tmp_path: Path) -> None:
    path = tmp_path / "reach.npz"
    for content in (b"", b"no arrays", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="cannot read"):
            walker_reach_file.read_or_solve(path, quiet)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(ConfigError, match=r"expected an \.npz"):
        walker_reach_file.read(path.with_suffix(".npy"))


def test_a_file_that_cannot_be_written_is_refused_before_the_solving(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        walker_reach_file.read_or_solve(
            tmp_path / "taken" / "reach.npz", lambda text: pytest.fail(f"began to solve: {text}")
        )


def test_the_bench_measures_it_as_the_others(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid_walker, "CLOCKED", 1)
    rows = Rows()
    hybrid_walker.bench_reach(rows, reach, (walk.same_gait(3), walk.many_gaits(1)), quiet)
    found = {row.measure: row for row in rows.rows}
    wanted = {f"walker, {task}: {measure}" for task in hybrid_walker.TASKS for measure in hybrid_walker.MEASURES}
    assert found.keys() == wanted | {"walker: time per control step"}
    assert {row.method for row in rows.rows} == {"Hamilton-Jacobi"}
    assert all(np.isfinite(row.value) and row.asked is None for row in rows.rows)


@pytest.mark.parametrize("there", [False, True])
def test_the_table_of_the_readme_has_its_column_when_it_was_measured(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, measure = Rows(), "walker, same gait: RMSE"
    rows.add(measure, "CLF-QP", 2.13, "1")
    rows.at_most(measure, "Haltere", 0.32, "1", 1.2)
    if there:
        rows.add(measure, "Hamilton-Jacobi", 0.55, "1")
    record = {"command": "c", "date": "d", "machine": "m", "rows": [vars(row) for row in rows.rows]}
    monkeypatch.setattr(readme, "load_record", lambda name: record)
    head, rule, line, *_ = readme.hybrid_table()
    assert ("| Hamilton-Jacobi |" in head) == there
    assert ("| 0.55 |" in line) == there
    assert head.count("|") == rule.count("|") == line.count("|")
