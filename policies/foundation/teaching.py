"""Trains the teachers by analytic policy gradient, all in one program, each a problem of its own.

Gradient norm, check for finite numbers and Adam are each teacher's own, and nothing is summed over teachers: one
that diverges leaves the others as they are, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from haltere.policies.foundation import course, teacher
from haltere.policies.foundation.checkpoint import Progress
from haltere.policies.foundation.cost import cost
from haltere.policies.foundation.course import Course, Report, follow
from haltere.policies.foundation.fleet import BOX_M, Fleet, grounded, take_off
from haltere.policies.foundation.judge import Verdict, judge
from haltere.policies.foundation.line import Line, clean_line, deepest, sample_line
from haltere.policies.foundation.optimiser import make_optimiser
from haltere.policies.foundation.plan import TeacherRecipe
from haltere.policies.foundation.population import Population, load_population, sample
from haltere.policies.foundation.recipe import Stage
from haltere.policies.foundation.rollout import Loop, fade, move
from haltere.policies.foundation.spread import EVERYWHERE, STACKED, along, mesh_for, place
from haltere.policies.plants.quadrotor import Quadrotor, short_step

BLOCK = 32
"""Teachers that go through a window together, at most: their weights and gradients stay in the cache."""


_sample_line = jax.jit(sample_line, static_argnames=("vehicles", "population"))


class School(NamedTuple):
    """All that goes on from one update to the next; a checkpoint holds exactly this.

    Attributes:
      teachers: weights of N teachers.
      optimiser: state of N optimisers, every array with N leading.
      fleet: N E vehicles.
      update: updates so far.
    """

    teachers: teacher.Teachers
    optimiser: Any
    fleet: Fleet
    update: jax.Array


def pupils(recipe: TeacherRecipe, population: Population, seed: int) -> tuple[Quadrotor, Line]:
    """Draws the N vehicles, as built, and their lines; both belong to the teachers from now on."""
    k = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 2)
    return sample(k[0], recipe.count, population), _sample_line(k[1], recipe.count, population)


def found(recipe: TeacherRecipe, population: Population, seed: int) -> School:
    """Untrained teachers, with E copies of each one's vehicle, which begin to fly in the first update."""
    vehicle, line = pupils(recipe, population, seed)
    key = jax.random.fold_in(jax.random.key(seed), 2)
    teachers = teacher.untrained(key, vehicle, deepest([population]).whole)
    exact = clean_line(recipe.count)._replace(latency=line.latency)
    vehicles, lines = jax.tree.map(lambda leaf: jnp.repeat(leaf, recipe.environments, -1), (vehicle, exact))
    optimiser = jax.jit(jax.vmap(make_optimiser(recipe.clip_norm, recipe.stage).init))(teachers)
    return School(teachers, optimiser, grounded(vehicles, lines, deepest([population])), jnp.int32(0))


def window_loss(teachers: teacher.Teachers, fleet: Fleet, stage: Stage) -> tuple[jax.Array, tuple[jax.Array, Loop]]:
    """Sum over the teachers of each one's mean cost over a window, those means (N,), and the loop at its end."""
    count = teachers.output_bias.shape[0]
    decay, limit = stage.horizon(fleet.built.mass.size // count)

    @jax.checkpoint
    def tick(loop: Loop, _: None) -> tuple[Loop, jax.Array]:
        loop = loop._replace(state=fade(loop.state, decay, limit))
        seen = teacher.features(fleet.built, fleet.line, loop)
        after = move(fleet.built, fleet.line, fleet.reference, loop, teacher.decide(teachers, seen), BOX_M, short_step)
        return after, cost(after, loop, stage)

    end, costs = jax.lax.scan(tick, fleet.loop, None, length=stage.window)
    each = costs.mean(0).reshape(count, -1).mean(1)
    return each.sum(), (each, end)


def seat(school: School, mesh: Mesh) -> School:
    """Spreads teachers and vehicles over the devices, each teacher beside its vehicles."""
    teachers, optimiser = place((school.teachers, school.optimiser), mesh, STACKED)
    return School(teachers, optimiser, place(school.fleet, mesh), place(school.update, mesh, EVERYWHERE))


def make_update(
    recipe: TeacherRecipe, population: Population, seed: int, mesh: Mesh
) -> Callable[[School], tuple[School, jax.Array, jax.Array]]:
    """Compiles one update: begin some flights anew, fly one window, differentiate, step. Losses and norms (N,)."""
    optimiser = make_optimiser(recipe.clip_norm, recipe.stage)
    shapes = jax.eval_shape(lambda: found(recipe, population, 0))
    fleet_spec = jax.tree.map(along, shapes.fleet)
    share = recipe.count // mesh.size
    block = max(size for size in range(1, min(BLOCK, share) + 1) if share % size == 0)

    def learn(teachers: teacher.Teachers, fleet: Fleet) -> Any:
        (_, (losses, end)), slope = jax.value_and_grad(window_loss, has_aux=True)(teachers, fleet, recipe.stage)
        return losses, end, slope

    def improve(teachers: teacher.Teachers, state: Any, fleet: Fleet) -> Any:
        blocks = share // block
        stacked = jax.tree.map(lambda leaf: leaf.reshape(blocks, block, *leaf.shape[1:]), teachers)
        apart = jax.tree.map(
            lambda leaf: jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], blocks, block * recipe.environments), -2, 0), fleet
        )
        losses, end, slope = jax.lax.map(lambda pair: learn(*pair), (stacked, apart))
        slope = jax.tree.map(lambda leaf: leaf.reshape(share, *leaf.shape[2:]), slope)
        end = jax.tree.map(
            lambda leaf: jnp.moveaxis(leaf, 0, -2).reshape(*leaf.shape[1:-1], share * recipe.environments), end
        )
        delta, state = jax.vmap(optimiser.update)(slope, state, teachers)
        return optax.apply_updates(teachers, delta), state, end, losses.reshape(-1), jax.vmap(optax.global_norm)(slope)

    sharded = jax.shard_map(
        improve,
        mesh=mesh,
        in_specs=(STACKED, STACKED, fleet_spec),
        out_specs=(STACKED, STACKED, fleet_spec.loop, STACKED, STACKED),
        check_vma=False,
    )

    def update(school: School) -> tuple[School, jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), school.update), 4)
        old = school.fleet
        new = take_off(keys[:3], old.built, old.line, deepest([population]), recipe.stage.acceleration_m_s2)
        fleet = begin_anew(keys[3], old, new, recipe.redraw)
        teachers, optimiser, end, losses, norms = sharded(school.teachers, school.optimiser, fleet)
        return School(teachers, optimiser, fleet._replace(loop=sound(end)), school.update + 1), losses, norms

    return jax.jit(update)


def begin_anew(key: jax.Array, old: Fleet, new: Fleet, share: float) -> Fleet:
    """Takes from `new` the lost vehicles and a share of the others."""
    fresh = ~old.loop.alive | (jax.random.uniform(key, old.loop.alive.shape) < share)
    fleet: Fleet = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), new, old)
    return fleet


def sound(loop: Loop) -> Loop:
    """Counts vehicles with numbers that are not finite as lost."""
    vehicles = loop.alive.shape[0]
    finite = jax.tree.map(lambda leaf: jnp.isfinite(leaf).reshape(-1, vehicles).all(0), loop)
    return loop._replace(alive=loop.alive & jax.tree.reduce(jnp.logical_and, finite))


def identity(recipe: TeacherRecipe, seed: int) -> str:
    """Of a training of teachers, for its checkpoint."""
    return f"{recipe}, {load_population(recipe.population)}, seed {seed}"


def teach(
    recipe: TeacherRecipe, seed: int, output: Path, report: Report, restart: bool = False
) -> tuple[teacher.Teachers, Verdict, list[Progress]]:
    """Trains the teachers, and judges them.

    Args:
      recipe: of the teachers.
      seed: of vehicles, weights, references.
      output: folder for the checkpoint `teachers.npz` and the learning curve; a checkpoint there is resumed.
      report: called after every update.
      restart: ignore a checkpoint.
    Returns:
      N teachers, the verdict on each, the learning curve (its share `stable` is the share fit).
    Raises:
      ConfigError: the population is wrong, or the checkpoint belongs to another training.
    """
    population = load_population(recipe.population)
    vehicle, line = pupils(recipe, population, seed)
    mesh = mesh_for(recipe.count)
    verdict_on = partial(judge, vehicle=vehicle, line=line, remember=deepest([population]), mesh=mesh)

    def scores(school: School) -> tuple[float, float, float]:
        return verdict_on(school.teachers).scores()

    plan = Course("teachers", recipe.stage.updates, recipe.checkpoint_every, scores, identity(recipe, seed), output)
    school, progress, seconds = course.resume(plan, found(recipe, population, seed), [], restart)
    compiled = make_update(recipe, population, seed, mesh)

    def update(school: School) -> tuple[School, float, float]:
        school, losses, norms = compiled(school)
        # Those that diverged say nothing about the others.
        return school, float(jnp.nanmean(losses)), float(jnp.nanmedian(norms))

    school = follow(plan, update, seat(school, mesh), progress, seconds, report)
    return school.teachers, verdict_on(school.teachers), progress
