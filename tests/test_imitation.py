"""Teachers and distillation: both learn, no teacher disturbs another, a kill changes nothing."""

import dataclasses
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.errors import ConfigError
from haltere.policies.foundation import distil, judge, spread, student, teacher, teaching
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.cost import COST_CAP
from haltere.policies.foundation.fleet import grounded
from haltere.policies.foundation.line import clean_line, deepest
from haltere.policies.foundation.plan import SHIPPED, DistilRecipe, Plan, TeacherRecipe, load_plan
from haltere.policies.foundation.population import load_population
from haltere.policies.foundation.recipe import Recipe, Stage
from haltere.policies.foundation.rollout import Loop
from haltere.policies.foundation.run import Outcome, run
from haltere.tools.bench.recipes import RecipesBench, cheap_plans
from haltere.tools.bench.teachers import TeachersBench

TEACHERS = TeacherRecipe(
    population="wide",
    count=4,
    environments=8,
    redraw=0.125,
    checkpoint_every=80,
    clip_norm=1.0,
    stage=Stage("teachers", 160, 40, 0.98, (4e-3, 3e-4), 3.0, 0.2),
)
DISTIL = DistilRecipe(
    vehicles=32,
    redraw=0.125,
    updates=60,
    teacher_updates=10,
    window=40,
    learning_rate=(5e-3, 5e-4),
    acceleration_m_s2=3.0,
    clip_norm=1.0,
    checkpoint_every=30,
    validation_vehicles=8,
)
DIRECT = Recipe("raptor", 16, 0.125, 8, 4, 0.5, (Stage("first", 6, 10, 0.97, (3e-3, 1e-3), 3.0, 0.2),))
PLAN = Plan(TEACHERS, DISTIL, DIRECT)
WIDE = load_population("wide")

Row = tuple[str, int, float]


class Stop(Exception):
    pass


def follow(folder: Path, plan: Plan = PLAN, stop_at: tuple[str, int] = ("", 0)) -> tuple[Outcome | None, list[Row]]:
    """Runs the plan until it is stopped; the outcome, and all that was reported."""
    rows: list[Row] = []

    def report(name: str, update: int, total: int, loss: float, line: Progress | None) -> None:
        rows.append((name, update, loss))
        if (name, update) == stop_at:
            raise Stop

    try:
        return run(plan, 0, folder, report), rows
    except Stop:
        return None, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("straight")


@pytest.fixture(scope="module")
def straight(folder: Path) -> tuple[Outcome, list[Row]]:
    outcome, rows = follow(folder)
    assert outcome is not None
    return outcome, rows


def flat(weights: student.Weights) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in weights])


def losses(rows: list[Row], name: str) -> np.ndarray:
    return np.array([loss for part, _, loss in rows if part == name])


@pytest.mark.slow
def test_teachers_and_student_learn(straight: tuple[Outcome, list[Row]]) -> None:
    """The student's disagreement falls on its own flights, which come after the teachers'."""
    _, rows = straight
    of_teachers, of_student = losses(rows, "teachers"), losses(rows, "distil")[DISTIL.teacher_updates :]
    assert of_teachers[-20:].mean() < 0.6 * of_teachers[:10].mean()
    assert of_student[-10:].mean() < 0.7 * of_student[:5].mean()


def verdict_on(teachers: teacher.Teachers) -> judge.Verdict:
    vehicle, line = teaching.pupils(TEACHERS, WIDE, 0)
    return judge.judge(teachers, vehicle, line, deepest([WIDE]), spread.mesh_for(TEACHERS.count))


@pytest.fixture(scope="module")
def taught(straight: tuple[Outcome, list[Row]], folder: Path) -> teacher.Teachers:
    """The trained teachers, from their checkpoint."""
    return teaching.teach(TEACHERS, 0, folder, lambda *_: pytest.fail("a finished part was repeated"))[0]


@pytest.mark.slow
def test_trained_teachers_fly_better_than_untrained(taught: teacher.Teachers) -> None:
    before, after = verdict_on(teaching.found(TEACHERS, WIDE, 0).teachers), verdict_on(taught)
    assert not before.fit.any()
    assert after.fit.sum() >= 3
    assert np.isfinite(after.error_m).sum() > np.isfinite(before.error_m).sum()


def broken(teachers: teacher.Teachers, index: int) -> teacher.Teachers:
    return teachers._replace(first_weight=teachers.first_weight.at[index].set(jnp.nan))


@pytest.mark.slow
def test_unfit_teachers_are_left_out(taught: teacher.Teachers) -> None:
    sound, verdict = verdict_on(taught), verdict_on(broken(taught, 1))
    assert not verdict.fit[1]
    assert np.isinf(verdict.error_m[1])
    np.testing.assert_array_equal(np.delete(verdict.error_m, 1), np.delete(sound.error_m, 1))
    which = distil.chosen(np.array([True, False, True, True]), devices=2)
    assert which.tolist() == [0, 2, 3, 0]
    training = distil.begin(DISTIL, TEACHERS, WIDE, 0, which)
    own, _ = teaching.pupils(TEACHERS, WIDE, 0)
    np.testing.assert_array_equal(training.fleet.built.mass, np.repeat(np.asarray(own.mass)[which], 8))
    with pytest.raises(ConfigError, match="none of 4 teachers is fit"):
        distil.chosen(np.zeros(4, bool), devices=2)


@pytest.mark.slow
def test_unfit_teachers_are_counted(straight: tuple[Outcome, list[Row]], taught: teacher.Teachers) -> None:
    assert straight[0].fit == verdict_on(taught).fit.sum()


def test_broken_teacher_does_not_disturb_the_others() -> None:
    mesh = spread.mesh_for(TEACHERS.count)
    update = teaching.make_update(TEACHERS, WIDE, 0, mesh)
    results = []
    for damage in (False, True):
        school = teaching.found(TEACHERS, WIDE, 0)
        if damage:
            school = school._replace(teachers=broken(school.teachers, 2))
        school = teaching.seat(school, mesh)
        for _ in range(3):
            school, each, _ = update(school)
        results.append((school.teachers, np.asarray(each)))
    (good, good_losses), (bad, bad_losses) = results
    assert bad_losses[2] == COST_CAP
    assert np.isnan(bad.first_weight[2]).all()
    others = [0, 1, 3]
    np.testing.assert_array_equal(bad_losses[others], good_losses[others])
    for a, b in zip(good, bad, strict=True):
        np.testing.assert_array_equal(np.asarray(a)[others], np.asarray(b)[others])


@pytest.mark.slow
def test_resumes_to_the_same_result_in_every_part(tmp_path: Path, straight: tuple[Outcome, list[Row]]) -> None:
    """Stopped between checkpoints, once in each part; what was finished is not repeated."""
    for part, stop_at, goes_on_at in (("teachers", 100, 1), ("distil", 40, 81), ("first", 5, 31)):
        outcome, rows = follow(tmp_path, stop_at=(part, stop_at))
        assert outcome is None
        assert rows[0][1] == goes_on_at
    outcome, rows = follow(tmp_path)
    assert outcome is not None
    assert rows[0][:2] == ("first", 5)
    np.testing.assert_array_equal(flat(outcome.weights), flat(straight[0].weights))
    expected = [(row.update, row.stage, row.loss) for row in straight[0].progress]
    assert [(row.update, row.stage, row.loss) for row in outcome.progress] == expected
    assert [row[0] for row in expected] == [80, 160, 190, 220, 224, 226]


@pytest.mark.slow
def test_checkpoint_of_other_teachers_is_refused(
    tmp_path: Path, straight: tuple[Outcome, list[Row]], folder: Path
) -> None:
    shutil.copy(folder / "teachers.npz", tmp_path)
    more = dataclasses.replace(PLAN, teachers=dataclasses.replace(TEACHERS, redraw=0.5))
    with pytest.raises(ConfigError, match="another recipe"):
        follow(tmp_path, more)
    other = dataclasses.replace(PLAN, distil=dataclasses.replace(DISTIL, redraw=0.5))
    shutil.copy(folder / "distil.npz", tmp_path)
    with pytest.raises(ConfigError, match=r"distil\.npz belongs to another recipe"):
        follow(tmp_path, other)


def test_teacher_knows_what_its_vehicle_has_not_yet_obeyed() -> None:
    """Pending actions are shown up to the vehicle's latency, newest first, clipped; beyond it there are zeros."""
    vehicle, _ = teaching.pupils(TEACHERS, WIDE, 0)
    fleet = grounded(vehicle, clean_line(4), deepest([WIDE]))
    late = len(fleet.loop.pending)
    line = fleet.line._replace(latency=jnp.arange(4))
    pending = tuple(jnp.full((4, 4), value) for value in (5.0, 0.4, 0.5, 0.6))
    loop: Loop = fleet.loop._replace(pending=pending[:late])
    seen = teacher.features(fleet.built, line, loop)
    assert seen.shape == (teacher.inputs(late), 4)
    shown = np.asarray(seen[-4 * late :]).reshape(late, 4, 4)
    for vehicle in range(4):
        np.testing.assert_allclose(shown[:, 0, vehicle], np.where(np.arange(late) < vehicle, [1.0, 0.4, 0.5], 0.0))


def test_stacked_teachers_are_as_many_networks() -> None:
    stacked = teaching.found(TEACHERS, WIDE, 0).teachers
    seen = jax.random.normal(jax.random.key(1), (teacher.inputs(3), 4 * 5))
    actions = teacher.decide(stacked, seen)
    for index in range(4):
        own = jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], stacked)
        x = np.asarray(seen[:, 5 * index : 5 * index + 5])
        x = np.tanh(own.first_weight @ x + own.first_bias[:, None])
        x = np.tanh(own.second_weight @ x + own.second_bias[:, None])
        x = own.output_weight @ x + own.output_bias[:, None]
        np.testing.assert_allclose(actions[:, 5 * index : 5 * index + 5], x, atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_sound(name: str) -> None:
    plan = load_plan(name)
    assert (plan.teachers is None) == (name == "direct")
    assert (plan.direct is None) == (name == "meta-imitation")
    for recipe in (plan.teachers, plan.direct):
        assert recipe is None or load_population(recipe.population)
    short = plan.scaled(1e-4)
    assert short.teachers is None or short.teachers.stage.updates == 1


def test_number_of_teachers() -> None:
    chosen = load_plan("meta-imitation").with_teachers(16).teachers
    assert chosen is not None
    assert chosen.count == 16
    with pytest.raises(ConfigError, match="no table teachers"):
        load_plan("direct").with_teachers(16)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count = 1000", "count = 0", "teachers: count = 0, allowed 1"),
        ("count = 1000", "", "count"),
        ("[teachers]", "[teachers]\npupils = 3", "pupils"),
        ("gradient_decay = 0.99", "gradient_decay = 1.7", r"teachers: gradient_decay = 1\.7, allowed 0"),
        ("teacher_updates", "tutor_updates", "tutor_updates"),
        ("[distil]", "[distill]", "distill"),
        ("[teachers]", "colour = 3\n[teachers]", "colour"),
    ],
)
def test_bad_recipe_names_the_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (Path(teaching.__file__).parent / "recipes" / "meta-imitation.toml").read_text()
    assert old in text
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as caught:
        load_plan(file)
    assert "mine.toml" in str(caught.value)


def test_bad_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no recipe meta-imitaton.*meta-imitation\+direct"):
        load_plan("meta-imitaton")


def test_base_gives_what_a_recipe_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "meta-imitation"\n[teachers]\ncount = 7\n')
    expected = load_plan("meta-imitation").with_teachers(7)
    assert load_plan(file) == expected


def test_stages_are_taken_from_a_base_by_name(tmp_path: Path) -> None:
    plan, direct = load_plan("meta-imitation+direct"), load_plan("direct").direct
    assert plan.teachers is not None
    assert plan.direct is not None
    assert direct is not None
    assert plan.direct.stages == direct.stages[-4:]
    file = tmp_path / "mine.toml"
    file.write_text('base = "direct"\nstages = ["refine", "hover"]\n')
    with pytest.raises(ConfigError, match=r"no stage 'hover', expected some of learn to fly,"):
        load_plan(file)


@pytest.mark.slow
def test_bench_of_few_teachers(straight: tuple[Outcome, list[Row]], folder: Path, tmp_path: Path) -> None:
    """Goes on from the teachers that are there; a student of two, one of two others, one of all."""
    shutil.copy(folder / "teachers.npz", tmp_path)
    bench = TeachersBench(PLAN, tmp_path, few=(2,))
    rows = bench(True, 0, tmp_path / "bench.png", lambda text: None).rows
    assert {row.method for row in rows if "RMSE" in row.measure} == {"2 chosen", "2 by lot", "all 4"}
    assert (tmp_path / "bench.png").stat().st_size > 10_000


@pytest.mark.slow
def test_bench_of_recipes(tmp_path: Path) -> None:
    bench = RecipesBench({"direct": Plan(None, None, DIRECT)}, 2, tmp_path)
    rows = bench(True, 0, tmp_path / "bench.png", lambda text: None).rows
    assert {row.method for row in rows} == {"direct"}
    assert {row.measure for row in rows if "RMSE" in row.measure} == {
        "figure-eight 9 s: RMSE, median (median of 2 seeds)",
        "figure-eight 9 s: RMSE, median (largest less smallest)",
    }
    assert (tmp_path / "bench.png").stat().st_size > 10_000


def test_cheap_plans_are_as_long_as_is_said() -> None:
    short, long = cheap_plans(4.0, 128), cheap_plans(8.0, 128)
    assert set(short) == set(SHIPPED)
    for name in SHIPPED:
        assert 1.8 < long[name].steps / short[name].steps < 2.2
