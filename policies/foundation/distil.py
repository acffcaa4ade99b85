"""Distils the teachers into the one recurrent student: it flies, they say what they would have done.

On-policy imitation: the student flies every teacher's vehicle as it will fly it later, over its late and noisy
line; each step is labelled by that vehicle's teacher, who sees the exact state. In the first updates the teachers
fly, as the student cannot. Windows over persistent vehicles; the gradient goes through the student's hidden state
and not through the physics.

Source: Eschmann et al. 2025 (RAPTOR), whose student learns from whole episodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from haltere.policies.errors import ConfigError
from haltere.policies.foundation import course, student, teacher
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.course import Course, Report, follow
from haltere.policies.foundation.fleet import Fleet, grounded, switched_on, take_off
from haltere.policies.foundation.line import deepest
from haltere.policies.foundation.optimiser import make_optimiser
from haltere.policies.foundation.plan import DistilRecipe, TeacherRecipe
from haltere.policies.foundation.population import Population, load_population
from haltere.policies.foundation.rollout import Loop, move, observe
from haltere.policies.foundation.spread import AXIS, EVERYWHERE, STACKED, along, collect, mesh_for, place
from haltere.policies.foundation.teaching import begin_anew, pupils, sound
from haltere.policies.foundation.teaching import identity as teachers_identity
from haltere.policies.foundation.train import validate

BOX_M = 3.0
"""Beyond it a vehicle is lost: as far out as the teachers' cost still told them to come back."""


class Apprenticeship(NamedTuple):
    """All that goes on from one update to the next; a checkpoint holds exactly this."""

    weights: student.Weights
    optimiser: Any
    fleet: Fleet
    update: jax.Array


def chosen(fit: np.ndarray, devices: int) -> np.ndarray:
    """Indices of the teachers that are fit, the first of them once more if the devices could not share them evenly.

    Raises:
      ConfigError: none is fit.
    """
    indices = np.flatnonzero(fit)
    if not indices.size:
        raise ConfigError(f"none of {fit.size} teachers is fit: train them for longer (teachers: updates)")
    return np.concatenate([indices, np.resize(indices, -indices.size % devices)])


def begin(
    recipe: DistilRecipe, taught: TeacherRecipe, population: Population, seed: int, which: np.ndarray
) -> Apprenticeship:
    """An untrained student, and the vehicles of the chosen teachers, which begin to fly in the first update."""
    copies = max(1, recipe.vehicles // which.size)
    vehicle, line = jax.tree.map(
        lambda leaf: jnp.repeat(leaf[..., which], copies, -1), pupils(taught, population, seed)
    )
    fleet = grounded(vehicle, line, deepest([population]))
    weights = student.Student(nnx.Rngs(seed)).weights()
    # Teachers integrate nothing: what they say is no answer to a shifted error.
    weights = weights._replace(integral_reach=jnp.float32(0.0))
    return Apprenticeship(weights, make_optimiser(recipe.clip_norm, recipe.stage).init(weights), fleet, jnp.int32(0))


def fly(
    weights: student.Weights, teachers: teacher.Teachers, fleet: Fleet, noise: jax.Array, led: jax.Array
) -> tuple[Loop, jax.Array, jax.Array, jax.Array]:
    """One window of V vehicles without gradient.

    Args:
      weights: the student.
      teachers: N; V is a multiple of it.
      fleet: V vehicles.
      noise: (window, 18, V) standard normal.
      led: () bool; the teachers fly, and the student watches.
    Returns:
      The loop at the end; what the student observed (window, 22, V); what the teachers would have done
      (window, 4, V); which vehicles were not lost (window, V).
    """

    def tick(loop: Loop, drawn: jax.Array) -> tuple[Loop, tuple[jax.Array, jax.Array, jax.Array]]:
        observation, velocity = observe(fleet.line, loop, drawn)
        seen = teacher.features(fleet.built, fleet.line, loop)
        action, hidden = student.step(weights, observation, loop.hidden)
        action = jax.lax.cond(led, lambda: teacher.decide(teachers, seen), lambda: action)
        loop = loop._replace(hidden=hidden, velocity=velocity)
        after = move(fleet.built, fleet.line, fleet.reference, loop, action, BOX_M)
        return after, (observation, seen, loop.alive)

    end, (observations, seen, alive) = jax.lax.scan(tick, switched_on(fleet.loop, weights), noise)
    window, features, vehicles = seen.shape
    # All control periods of a teacher in one product: its weights are read once a window.
    labels = teacher.decide(teachers, seen.transpose(1, 2, 0).reshape(features, vehicles * window))
    labels = labels.reshape(-1, vehicles, window).transpose(2, 0, 1)
    return end, observations, jnp.clip(labels, -1.0, 1.0), alive


def disagreement(
    weights: student.Weights, begin: Loop, observations: jax.Array, labels: jax.Array, alive: jax.Array
) -> jax.Array:
    """Sum over control periods and vehicles of the mean squared difference of the four setpoints.

    The labels are clipped and the student is not: outside [-1, 1] it would have no gradient to come back by.

    Args:
      weights: the student.
      begin: the loop at the start of the window.
      observations: (window, 22, V).
      labels: (window, 4, V) in [-1, 1].
      alive: (window, V); others do not count.
    """

    def tick(hidden: jax.Array, row: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        observation, label, counts = row
        action, hidden = student.step(weights, observation, hidden)
        return hidden, jnp.where(counts, ((action - label) ** 2).mean(0), 0.0).sum()

    return jax.lax.scan(tick, switched_on(begin, weights).hidden, (observations, labels, alive))[1].sum()


def make_update(
    recipe: DistilRecipe, population: Population, seed: int, fleet: Fleet, mesh: Mesh
) -> Callable[[Apprenticeship, teacher.Teachers], tuple[Apprenticeship, jax.Array, jax.Array]]:
    """Compiles one update: begin some flights anew, fly one window, let it be labelled, learn. `fleet` is a pattern."""
    optimiser = make_optimiser(recipe.clip_norm, recipe.stage)
    spec = jax.tree.map(along, fleet)
    vehicles = fleet.loop.alive.shape[0]

    def gradient(weights: Any, teachers: Any, fleet: Fleet, noise: jax.Array, led: jax.Array) -> Any:
        end, observations, labels, alive = fly(weights, teachers, fleet, noise, led)
        loss, slope = jax.value_and_grad(disagreement)(weights, fleet.loop, observations, labels, alive)
        loss, slope, count = jax.lax.psum((loss, slope, alive.sum().astype(jnp.float32)), AXIS)
        return loss / count, jax.tree.map(lambda leaf: leaf / count, slope), end

    sharded = jax.shard_map(
        gradient,
        mesh=mesh,
        in_specs=(EVERYWHERE, STACKED, spec, PartitionSpec(None, None, AXIS), EVERYWHERE),
        out_specs=(EVERYWHERE, EVERYWHERE, spec.loop),
        check_vma=False,
    )

    def update(training: Apprenticeship, teachers: teacher.Teachers) -> tuple[Apprenticeship, jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 4), training.update), 5)
        old = training.fleet
        new = take_off(keys[:3], old.built, old.line, deepest([population]), recipe.acceleration_m_s2)
        fleet = begin_anew(keys[3], old, new, recipe.redraw)
        noise = jax.random.normal(keys[4], (recipe.window, 18, vehicles))
        loss, slope, end = sharded(training.weights, teachers, fleet, noise, training.update < recipe.teacher_updates)
        delta, state = optimiser.update(slope, training.optimiser, training.weights)
        weights = optax.apply_updates(training.weights, delta)
        after = Apprenticeship(weights, state, fleet._replace(loop=sound(end)), training.update + 1)
        return after, loss, optax.global_norm(slope)

    return jax.jit(update)


def distil(
    recipe: DistilRecipe,
    taught: TeacherRecipe,
    teachers: teacher.Teachers,
    fit: np.ndarray,
    seed: int,
    output: Path,
    report: Report,
    before: list[Progress],
    restart: bool = False,
) -> tuple[student.Weights, list[Progress]]:
    """Trains the student on its own flights, labelled by the teachers.

    Args:
      recipe: of the distillation.
      taught: how the teachers were trained; says which vehicles are theirs.
      teachers: N.
      fit: (N,) bool; the others, and their vehicles, are left out.
      seed: the teachers' own.
      output: folder for the checkpoint `distil.npz` and the learning curve; a checkpoint there is resumed.
      report: called after every update.
      before: learning curve of the teachers.
      restart: ignore a checkpoint.
    Returns:
      The student, and the learning curve.
    Raises:
      ConfigError: no teacher is fit, or the checkpoint belongs to another training.
    """
    population = load_population(taught.population)
    which = chosen(fit, len(jax.devices()))
    mesh = mesh_for(which.size)
    teachers = place(jax.tree.map(lambda leaf: leaf[which], collect(teachers)), mesh, STACKED)

    def scores(training: Apprenticeship) -> tuple[float, float, float]:
        return validate(collect(training.weights), recipe.validation_vehicles, population)

    whole = f"{identity(recipe, taught, seed)}, teachers {hashlib.sha256(np.packbits(fit).tobytes()).hexdigest()}"
    plan = Course("distil", recipe.updates, recipe.checkpoint_every, scores, whole, output)
    training, progress, seconds = course.resume(plan, begin(recipe, taught, population, seed, which), before, restart)
    fleet = place(training.fleet, mesh)
    weights, optimiser, done = place((training.weights, training.optimiser, training.update), mesh, EVERYWHERE)
    learn = make_update(recipe, population, seed, fleet, mesh)

    def update(training: Apprenticeship) -> tuple[Apprenticeship, float, float]:
        training, loss, norm = learn(training, teachers)
        return training, float(loss), float(norm)

    training = follow(plan, update, Apprenticeship(weights, optimiser, fleet, done), progress, seconds, report)
    return collect(training.weights), progress


def identity(recipe: DistilRecipe, taught: TeacherRecipe, seed: int) -> str:
    """Of a distillation, for its checkpoint."""
    return f"{recipe}, {teachers_identity(taught, seed)}"
