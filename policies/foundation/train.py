"""Trains the student by analytic policy gradient: the cost is differentiated through the vehicle's physics.

Windows over persistent vehicles: physical and hidden state go on from update to update with the gradient
cut between them, so that the policy meets the long run (drift, limit cycles) at the price of short windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.checkpoint import Progress, restore, save
from haltere.policies.foundation.condition import apply, change
from haltere.policies.foundation.cost import cost
from haltere.policies.foundation.fleet import BOX_M, Fleet, launch, switched_on
from haltere.policies.foundation.line import clean_line, deepest
from haltere.policies.foundation.optimiser import make_optimiser
from haltere.policies.foundation.population import Population, load_population, sample
from haltere.policies.foundation.recipe import Recipe, Stage
from haltere.policies.foundation.rollout import Loop, advance, fade
from haltere.policies.foundation.spread import AXIS, EVERYWHERE, along, collect, mesh_for, place
from haltere.policies.plants.quadrotor import short_step


class Training(NamedTuple):
    """All that goes on from one update to the next; a checkpoint holds exactly this."""

    weights: student.Weights
    average: student.Weights
    optimiser: Any
    fleet: Fleet
    update: jax.Array


class Start(NamedTuple):
    """What a training goes on from, where it does not begin from nothing.

    Attributes:
      weights: the student.
      progress: learning curve of the trainings before.
      identity: of the last of them.
    """

    weights: student.Policy
    progress: list[Progress]
    identity: str


def window_loss(weights: student.Policy, fleet: Fleet, noise: jax.Array, stage: Stage) -> tuple[jax.Array, Loop]:
    """Mean cost over one window, and the loop at its end.

    Args:
      weights: the student.
      fleet: V vehicles.
      noise: (window, 18 + n, V) standard normal, for the observation and for n units; n = 0 if these have none.
      stage: weights of the cost, decay of the gradient.
    """
    decide = partial(student.step, weights)
    vehicle = apply(fleet.built, fleet.condition)
    decay, limit = stage.horizon(vehicle.mass.size)

    @jax.checkpoint
    def tick(loop: Loop, drawn: jax.Array) -> tuple[Loop, jax.Array]:
        loop = loop._replace(state=fade(loop.state, decay, limit))
        after = advance(decide, vehicle, fleet.line, fleet.reference, loop, drawn[:18], BOX_M, short_step)
        flown = cost(after, loop, stage).mean()
        return after._replace(hidden=after.hidden.at[: len(drawn) - 18].add(stage.memory_noise * drawn[18:])), flown

    end, costs = jax.lax.scan(tick, switched_on(fleet.loop, weights), noise)
    return costs.mean(), end


def make_update(
    recipe: Recipe, stage: Stage, population: Population, mesh: Mesh, draw: Callable[..., Fleet]
) -> Callable[[Training, jax.Array], tuple[Training, jax.Array, jax.Array]]:
    """Compiles one update: redraw, fly one window, differentiate, step. The vehicle axis is sharded.

    `draw` gives as many vehicles as the recipe says, at the start of their flight; key and `again` as of `launch`.
    The update takes the training and its seed.
    """
    optimiser = make_optimiser(recipe.clip_norm, stage)
    fleet_spec = jax.tree.map(along, jax.eval_shape(draw, jax.random.key(0)))
    noise_spec = PartitionSpec(None, None, AXIS)

    def gradient(weights: Any, fleet: Fleet, noise: jax.Array) -> Any:
        (loss, end), slope = jax.value_and_grad(window_loss, has_aux=True)(weights, fleet, noise, stage)
        return jax.lax.pmean(loss, AXIS), jax.lax.pmean(slope, AXIS), end

    sharded = jax.shard_map(
        gradient,
        mesh=mesh,
        in_specs=(EVERYWHERE, fleet_spec, noise_spec),
        out_specs=(EVERYWHERE, EVERYWHERE, fleet_spec.loop),
        check_vma=False,
    )

    def update(training: Training, seed: jax.Array) -> tuple[Training, jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), training.update), 4)
        old = training.fleet
        redrawn = jax.random.uniform(keys[1], (recipe.vehicles,)) < (stage.redraw or recipe.redraw)
        lost = ~old.loop.alive
        new = draw(keys[0], again=(lost & ~redrawn, old) if stage.second_chances else None)
        fresh = lost | redrawn
        fleet = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), new, old)
        # Of Philox: Threefry takes a fifth of the update for as much.
        quick = jax.random.wrap_key_data(jax.random.bits(keys[2], (4,)), impl="rbg")
        units = training.weights.initial_hidden_state.size if stage.memory_noise else 0
        noise = jax.random.normal(quick, (stage.window, 18 + units, recipe.vehicles))
        passed_s = stage.window * NATIVE_PERIOD_S
        condition = change(keys[3], fleet.built, fleet.condition, population, passed_s)
        fleet = fleet._replace(condition=condition)
        loss, slope, end = sharded(training.weights, fleet, noise)
        norm = optax.global_norm(slope)
        delta, state = optimiser.update(slope, training.optimiser, training.weights)
        weights = optax.apply_updates(training.weights, delta)
        average = optax.incremental_update(weights, training.average, 1 - stage.averaging)
        sound = jax.tree.reduce(
            jnp.logical_and,
            jax.tree.map(lambda leaf: jnp.isfinite(leaf).reshape(-1, recipe.vehicles).all(0), end),
        )
        end = end._replace(alive=end.alive & sound)
        return Training(weights, average, state, fleet._replace(loop=end), training.update + 1), loss, norm

    return jax.jit(update)


def validate(weights: student.Policy, count: int, population: Population) -> tuple[float, float, float]:
    """Judges a policy on vehicles never trained on.

    Returns:
      Share stable, median steady error (m, no force), median RMSE (m) of a 9 s figure-eight.
    """
    vehicle = sample(jax.random.key(2**31 - 1), count, population)
    vehicle = vehicle._replace(force=vehicle.force * 0)
    line = clean_line(count)._replace(latency=jnp.arange(count) % len(population.latency_share))
    begin = evaluate.scatter(jax.random.key(2**31 - 2), vehicle, "code")
    key = jax.random.key(0)
    hover = evaluate.hover_scores(
        evaluate.roll_out(student.step, weights, vehicle, line, evaluate.still(count), begin, key, 500)
    )
    eight = evaluate.tracking_rmse_m(
        evaluate.roll_out(
            student.step,
            weights,
            vehicle,
            line,
            evaluate.figure_eight(count, 9.0),
            evaluate.at_rest(vehicle),
            key,
            1000,
        )
    )
    return float(hover.stable.mean()), float(np.median(hover.error_m)), float(np.median(eight))


def populations_of(recipe: Recipe) -> list[Population]:
    """The populations that its stages name."""
    return [load_population(name) for name in sorted({stage.population for stage in recipe.stages} - {""})]


def train(
    recipe: Recipe,
    seed: int,
    output: Path,
    report: Callable[[int, float, Progress | None], None],
    restart: bool = False,
    begin: Start | None = None,
) -> tuple[student.Weights, list[Progress]]:
    """Trains a policy.

    Args:
      recipe: what to train on, and how long.
      seed: of weights, vehicles, references and noise.
      output: folder for checkpoint and learning curve; a checkpoint found there is resumed. The stages that it has not
        begun may have changed since.
      report: called with (update, loss, new line of the curve or None).
      restart: ignore a checkpoint.
      begin: what to go on from; by default the weights are drawn.
    Returns:
      The weights, and the learning curve.
    Raises:
      ConfigError: the population is wrong, or the checkpoint belongs to another training.
    """
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.npz"
    population = load_population(recipe.population)
    # As much as any stage needs: so that the fleet flies on from one stage to the next.
    remembered = deepest([population, *populations_of(recipe)])

    def identity(updates: int) -> str:
        """What the training is after so many updates, of which the first `earlier` are those before."""
        known = recipe.until(updates - earlier)
        after = f", after {begin.identity}" if begin else ""
        return f"{known}, {population}, {populations_of(known)}, seed {seed}{after}"

    mesh = mesh_for(recipe.vehicles)
    weights: Any = begin.weights if begin else student.Student(nnx.Rngs(seed)).weights()
    hidden_size = student.fresh(weights, 1).shape[0]

    @partial(jax.jit, static_argnames=("flown", "acceleration_m_s2"))
    def draw(
        key: jax.Array, flown: Population, acceleration_m_s2: float, again: tuple[jax.Array, Fleet] | None = None
    ) -> Fleet:
        return launch(key, recipe.vehicles, flown, acceleration_m_s2, remembered, hidden_size, again)

    first = recipe.stages[0]
    training = Training(
        weights,
        weights,
        make_optimiser(recipe.clip_norm, first).init(weights),
        draw(jax.random.key(seed), population, first.acceleration_m_s2),
        jnp.int32(0),
    )
    progress = list(begin.progress) if begin else []
    earlier, seconds = (progress[-1].update, progress[-1].seconds) if progress else (0, 0.0)
    if checkpoint.exists() and not restart:

        def like(updates: int) -> Training:
            return training._replace(
                optimiser=make_optimiser(recipe.clip_norm, recipe.stage_at(updates - earlier - 1)).init(weights)
            )

        training, progress, seconds = restore(like, identity, checkpoint)
    # Fleet apart: all else is everywhere.
    fleet, rest = place(training.fleet, mesh), place(training._asdict() | {"fleet": None}, mesh, EVERYWHERE)
    training = Training(**rest | {"fleet": fleet})

    done, end, sown = int(training.update), 0, place(jnp.uint32(seed), mesh, EVERYWHERE)
    for stage in recipe.stages:
        first_update, end = end, end + stage.updates
        if done >= end:
            continue
        if done == first_update:
            optimiser = place(make_optimiser(recipe.clip_norm, stage).init(weights), mesh, EVERYWHERE)
            reach = place(weights.integral_reach * stage.integral, mesh, EVERYWHERE)
            begun = training.weights._replace(integral_reach=reach)
            training = training._replace(optimiser=optimiser, weights=begun, average=begun)
        flown = load_population(stage.population) if stage.population else population
        drawn = partial(draw, flown=flown, acceleration_m_s2=stage.acceleration_m_s2)
        update = make_update(recipe, stage, flown, mesh, drawn)
        clock = time.monotonic()
        while done < end:
            training, loss, norm = update(training, sown)
            done += 1
            line = None
            if done % recipe.checkpoint_every == 0 or done == recipe.updates:
                now = time.monotonic()
                seconds, clock = seconds + now - clock, now
                scores = validate(collect(training.average), recipe.validation_vehicles, population)
                line = Progress(earlier + done, stage.name, seconds, float(loss), float(norm), *scores)
                progress.append(line)
                save(training, progress, seconds, identity(earlier + done), checkpoint)
            report(done, float(loss), line)
        seconds += time.monotonic() - clock
    return collect(training.average), progress
