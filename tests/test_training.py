"""Training: a kill changes nothing, learning happens, and the number of devices and hosts does not matter."""

import csv
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from haltere.policies.errors import ConfigError
from haltere.policies.export.weights import weights_from_onnx
from haltere.policies.foundation import student, train
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.fleet import launch
from haltere.policies.foundation.line import Depth
from haltere.policies.foundation.plan import load_plan
from haltere.policies.foundation.population import load_population
from haltere.policies.foundation.recipe import Recipe, Stage, load_recipe
from haltere.policies.foundation.run import run as run_plan
from haltere.policies.policy_file import load_policy
from haltere.tools.cores import join_hosts

TINY = Recipe(
    population="wide",
    vehicles=16,
    redraw=0.125,
    validation_vehicles=8,
    checkpoint_every=4,
    clip_norm=0.5,
    stages=(
        Stage("first", 6, 10, 0.97, (3e-3, 1e-3), 3.0, 0.2, optimiser="muon"),
        Stage("second", 6, 12, 0.99, (1e-3, 1e-4), 5.0, 0.3, population="world", memory_noise=1e-3),
    ),
)

OTHER_END = dataclasses.replace(TINY, stages=(TINY.stages[0], dataclasses.replace(TINY.stages[1], updates=9)))


class Stop(Exception):
    pass


def run(folder: Path, recipe: Recipe = TINY, stop_at: int = 0, seed: int = 0) -> np.ndarray:
    def report(update: int, loss: float, line: Progress | None) -> None:
        assert np.isfinite(loss)
        if update == stop_at:
            raise Stop

    weights, _ = train.train(recipe, seed, folder, report)
    return np.concatenate([np.ravel(leaf) for leaf in weights])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return run(tmp_path_factory.mktemp("straight"))


@pytest.mark.parametrize(("stop_at", "recipe"), [(5, OTHER_END), (9, TINY)])
def test_resumes_to_the_same_result(tmp_path: Path, straight: np.ndarray, stop_at: int, recipe: Recipe) -> None:
    """Stopped between checkpoints, in either stage; a stage that had not begun may change."""
    with pytest.raises(Stop):
        run(tmp_path, recipe, stop_at)
    np.testing.assert_array_equal(run(tmp_path), straight)
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["update"]) for row in rows] == [4, 8, 12]


def test_noise_is_put_on_the_units_and_not_on_the_integral() -> None:
    weights = student.Student(nnx.Rngs(0)).weights()
    fleet = launch(jax.random.key(0), 4, load_population("wide"), 3.0, Depth(0, 0), 19)
    stage = Stage("one period", 1, 1, 0.97, (1e-3, 1e-3), 3.0, 0.2, memory_noise=0.01)
    noise = jax.random.normal(jax.random.key(1), (1, 34, 4))
    _, noisy = train.window_loss(weights, fleet, noise, stage)
    _, quiet = train.window_loss(weights, fleet, noise, dataclasses.replace(stage, memory_noise=0.0))
    _, none = train.window_loss(weights, fleet, noise[:, :18], dataclasses.replace(stage, memory_noise=0.0))
    np.testing.assert_allclose(noisy.hidden[:16] - quiet.hidden[:16], 0.01 * noise[0, 18:], atol=1e-6)
    np.testing.assert_array_equal(noisy.hidden[16:], quiet.hidden[16:])
    np.testing.assert_array_equal(none.hidden, quiet.hidden)


def test_seed_matters(tmp_path: Path, straight: np.ndarray) -> None:
    assert not np.array_equal(run(tmp_path, seed=1), straight)


def test_what_is_learned_and_what_is_not(tmp_path: Path) -> None:
    weights, _ = train.train(TINY, 0, tmp_path, lambda update, loss, line: None)
    assert np.abs(weights.initial_hidden_state).min() > 0
    np.testing.assert_array_equal(weights.observation_limit, student.observation_limits())
    assert weights.integral_reach == np.float32(student.INTEGRAL_REACH_M)


def test_a_stage_can_do_without_the_integral(tmp_path: Path) -> None:
    stage = dataclasses.replace(TINY.stages[-1], integral=False)
    recipe = dataclasses.replace(TINY, stages=(stage,))
    weights, _ = train.train(recipe, 0, tmp_path, lambda update, loss, line: None)
    assert weights.integral_reach == 0


def command(folder: Path, updates: int, *options: str) -> list[str]:
    """Command that trains one small stage."""
    recipe = folder / "recipe.toml"
    recipe.write_text(
        'population = "wide"\nvehicles = 16\nredraw = 0.125\nvalidation_vehicles = 8\ncheckpoint_every = 5\n'
        f'clip_norm = 0.5\n[[stage]]\nname = "only"\nupdates = {updates}\nwindow = 10\ngradient_decay = 0.97\n'
        "learning_rate = [3e-3, 1e-3]\nacceleration_m_s2 = 3.0\nvelocity_weight = 0.2\n"
        "second_chances = true\n"
    )
    program = [sys.executable, "-m", "haltere.tools", "train", "foundation"]
    return [*program, "--recipe", str(recipe), "--output", str(folder / "out"), *options]


def trained_on(folder: Path, devices: int, hosts: int) -> dict[str, np.ndarray]:
    """Weights of ten updates on that many devices of as many processes, which talk over the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    processes = []
    for host in range(hosts):
        options = ["--coordinator", address, "--hosts", str(hosts), "--host", str(host)] if hosts > 1 else []
        processes.append(subprocess.Popen(command(folder, 10, *options), env=environment, stdout=subprocess.DEVNULL))
    assert [process.wait(timeout=280) for process in processes] == [0] * hosts
    return weights_from_onnx((folder / "out" / "foundation.onnx").read_bytes())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return trained_on(tmp_path_factory.mktemp("alone"), devices=1, hosts=1)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "hosts"), [(4, 1), (1, 2)])
def test_number_of_devices_and_hosts_does_not_matter(
    tmp_path: Path, alone: dict[str, np.ndarray], devices: int, hosts: int
) -> None:
    for name, weights in trained_on(tmp_path, devices, hosts).items():
        np.testing.assert_allclose(weights, alone[name], atol=1e-4)


def test_hosts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="need --coordinator"):
        join_hosts(None, 2, 0)
    with pytest.raises(ConfigError, match="expected 0 to 1"):
        join_hosts("127.0.0.1:1", 2, 2)


def test_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path, stop_at=5)
    with pytest.raises(ConfigError, match="another recipe"):
        run(tmp_path, dataclasses.replace(TINY, clip_norm=0.6))
    with pytest.raises(ConfigError, match="another recipe"):
        run(tmp_path, dataclasses.replace(TINY, stages=TINY.stages[1:]))
    with pytest.raises(ConfigError, match="seed"):
        run(tmp_path, seed=1)


def test_loss_falls(tmp_path: Path) -> None:
    """All vehicles are drawn anew for each window, so that the windows can be compared."""
    losses: list[float] = []
    stage = Stage("first", 200, 40, 0.97, (3e-3, 1e-3), 0.0, 0.2)
    recipe = dataclasses.replace(TINY, vehicles=64, redraw=1.0, checkpoint_every=200, stages=(stage,))
    train.train(recipe, 0, tmp_path, lambda update, loss, line: losses.append(loss))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10]), (np.mean(losses[:10]), np.mean(losses[-10:]))


@pytest.mark.timeout(600)
def test_command_survives_a_kill(tmp_path: Path) -> None:
    """The command line, killed with SIGKILL, goes on from its checkpoint and writes a policy that loads."""
    train_it = command(tmp_path, 60)
    process = subprocess.Popen(train_it, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "out" / "checkpoint.npz"
    deadline = time.monotonic() + 200
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    done = subprocess.run(train_it, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    _, file = load_policy(tmp_path / "out" / "foundation.onnx")
    assert file.card.provenance["seed"] == 0
    assert (tmp_path / "out" / "curve.png").stat().st_size > 5000

    (tmp_path / "on").mkdir()
    before = tmp_path / "out" / "foundation.onnx"
    done = subprocess.run(command(tmp_path / "on", 5, "--begin", str(before)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, after = load_policy(tmp_path / "on" / "out" / "foundation.onnx")
    assert after.card.provenance["begun_with"] == file.card.provenance
    assert after.card.provenance["steps_with_gradient"] == 65 * 10 * 16
    assert after.card.provenance["training_s"] >= file.card.provenance["training_s"]
    weights = [weights_from_onnx(policy.content)["output_weight"] for policy in (file, after)]
    assert 0 < np.abs(weights[1] - weights[0]).max() < 0.1  # not drawn anew


def test_what_cannot_be_gone_on_from_is_refused(tmp_path: Path) -> None:
    start = train.Start(student.Student(nnx.Rngs(0)).weights(), [], "a policy")
    with pytest.raises(ConfigError, match="begins with teachers"):
        run_plan(load_plan("meta-imitation+direct"), 0, tmp_path, lambda *_: None, begin=start)
    with pytest.raises(Stop):
        run(tmp_path, stop_at=5)
    with pytest.raises(ConfigError, match="another recipe"):
        train.train(TINY, 0, tmp_path, lambda *_: None, begin=start)
    program = [sys.executable, "-m", "haltere.tools", "train", "foundation", "--recipe", "fine-tune"]
    done = subprocess.run([*program, "--output", str(tmp_path / "on")], capture_output=True, text=True)
    assert done.returncode != 0
    assert "give --begin FILE" in " ".join(done.stderr.split())


def test_shipped_recipe_is_sound() -> None:
    recipe = load_recipe()
    assert recipe.stage_at(0) is recipe.stages[0]
    assert recipe.stage_at(recipe.updates - 1) is recipe.stages[-1]


def test_bad_recipe_names_the_value(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    text = (Path(train.__file__).parent / "recipes" / "direct.toml").read_text()
    file.write_text(text.replace("gradient_decay = 0.97", "gradient_decay = 1.7"))
    with pytest.raises(ConfigError, match=r"gradient_decay = 1\.7, allowed 0"):
        load_recipe(file)
