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
import optax.contrib
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from haltere.policies.contract import HIDDEN_SIZE, NATIVE_PERIOD_S
from haltere.policies.foundation import evaluate, student
from haltere.policies.foundation.checkpoint import Progress, restore, save, write_curve
from haltere.policies.foundation.condition import Condition, apply, as_built, change
from haltere.policies.foundation.line import Depth, Line, clean_line, deepest, sample_line
from haltere.policies.foundation.population import Population, load_population, sample
from haltere.policies.foundation.recipe import Recipe, Stage
from haltere.policies.foundation.rollout import Loop, Reference, advance, fade, start
from haltere.policies.plants.quadrotor import Quadrotor

BOX_M = 6.0
COST_CAP = 3.0
MOVING_SHARE = 0.6


class Fleet(NamedTuple):
    """V vehicles in flight, each with its own condition, line and reference."""

    built: Quadrotor
    condition: Condition
    line: Line
    reference: Reference
    loop: Loop


class Training(NamedTuple):
    """All that goes on from one update to the next; a checkpoint holds exactly this."""

    weights: student.Weights
    optimiser: Any
    fleet: Fleet
    update: jax.Array


def wandering(key: jax.Array, vehicles: int, acceleration_m_s2: float) -> Reference:
    """Draws references: some at rest, the others a sinusoid per axis with periods of 1.5 to 12 s."""
    k = jax.random.split(key, 5)
    rate = 2 * jnp.pi / jnp.exp(jax.random.uniform(k[0], (3, vehicles), minval=jnp.log(1.5), maxval=jnp.log(12.0)))
    share = jax.random.uniform(k[1], (3, vehicles)) * jnp.array([[1.0], [1.0], [0.4]])
    moving = jax.random.uniform(k[2], (vehicles,)) < MOVING_SHARE
    amplitude = jnp.minimum(acceleration_m_s2 * share / rate**2, 1.5) * moving
    phase = jax.random.uniform(k[3], (3, vehicles), maxval=2 * jnp.pi)
    return Reference(amplitude, rate, phase, jnp.ones(vehicles))


def launch(key: jax.Array, vehicles: int, population: Population, acceleration_m_s2: float, remembered: Depth) -> Fleet:
    """Draws V vehicles at the start of their flight, with room for latencies up to `remembered`."""
    k = jax.random.split(key, 6)
    vehicle = sample(k[0], vehicles, population)
    line = sample_line(k[1], vehicles, population)
    reference = wandering(k[2], vehicles, acceleration_m_s2)
    near, far = (evaluate.scatter(k[3], vehicle, kind) for kind in ("code", "paper"))
    which = jax.random.uniform(k[4], (vehicles,)) < 0.5
    initial = jax.tree.map(lambda a, b: jnp.where(which, a, b), near, far)
    loop = start(
        initial.state,
        initial.action,
        jnp.zeros((HIDDEN_SIZE, vehicles)),
        reference,
        remembered,
    )
    return Fleet(vehicle, as_built(vehicles), line, reference, loop)


def cost(loop: Loop, before: Loop, reference: Reference, stage: Stage) -> jax.Array:
    """Cost of one control period per vehicle, (V,), at most `COST_CAP`.

    Distances count by their norm rounded off near zero, so that the last centimetre still matters.
    """
    position, velocity = reference.at(loop.time)

    def distance(difference: jax.Array, soft: float) -> jax.Array:
        return jnp.sqrt((difference**2).sum(0) + soft**2) - soft

    w, x, y, z = loop.state.quat_wxyz
    heading = 1 - (1 - 2 * (y * y + z * z)) / jnp.sqrt(
        (1 - 2 * (y * y + z * z)) ** 2 + (2 * (x * y + w * z)) ** 2 + 1e-4
    )
    overshoot = jax.nn.relu(jnp.abs(loop.action) - 1.0)
    total = (
        distance(loop.state.position - position, stage.position_soft_m)
        + stage.velocity_weight * distance(loop.state.velocity - velocity, stage.velocity_soft_m_s)
        + 0.02 * distance(loop.state.angular_velocity, 0.5)
        + 0.1 * heading
        + stage.action_weight * distance(loop.action - before.action, 0.05)
        + 0.05 * (overshoot**2).sum(0)
    )
    return jnp.where(loop.alive, jnp.minimum(total, COST_CAP), COST_CAP)


def window_loss(weights: student.Weights, fleet: Fleet, noise: jax.Array, stage: Stage) -> tuple[jax.Array, Loop]:
    """Mean cost over one window, and the loop at its end.

    Args:
      weights: the student.
      fleet: V vehicles.
      noise: (window, 18, V) standard normal.
      stage: weights of the cost, decay of the gradient.
    """
    decide = partial(student.step, weights)
    vehicle = apply(fleet.built, fleet.condition)

    @jax.checkpoint
    def tick(loop: Loop, drawn: jax.Array) -> tuple[Loop, jax.Array]:
        loop = loop._replace(state=fade(loop.state, jnp.float32(stage.gradient_decay)))
        after = advance(decide, vehicle, fleet.line, fleet.reference, loop, drawn, BOX_M)
        return after, cost(after, loop, fleet.reference, stage).mean()

    end, costs = jax.lax.scan(tick, fleet.loop, noise)
    return costs.mean(), end


def _optimiser(recipe: Recipe, stage: Stage) -> optax.GradientTransformation:
    first, last = stage.learning_rate
    schedule = optax.cosine_decay_schedule(first, stage.updates, last / first)
    rule = {"adam": optax.adam, "muon": optax.contrib.muon}[stage.optimiser]
    chain = optax.chain(optax.clip_by_global_norm(recipe.clip_norm), rule(schedule))
    return optax.apply_if_finite(chain, max_consecutive_errors=10**6)


def _per_vehicle(leaf: jax.Array) -> PartitionSpec:
    return PartitionSpec(*([None] * (leaf.ndim - 1) + ["vehicle"]))


def make_update(
    recipe: Recipe, stage: Stage, population: Population, seed: int, mesh: Mesh, remembered: Depth
) -> Callable[[Training], tuple[Training, jax.Array, jax.Array]]:
    """Compiles one update: redraw, fly one window, differentiate, step. The vehicle axis is sharded."""
    optimiser = _optimiser(recipe, stage)
    fleet_shape = jax.eval_shape(
        lambda: launch(jax.random.key(0), recipe.vehicles, population, stage.acceleration_m_s2, remembered)
    )
    fleet_spec = jax.tree.map(_per_vehicle, fleet_shape)
    everywhere = PartitionSpec()
    noise_spec = PartitionSpec(None, None, "vehicle")

    def gradient(weights: Any, fleet: Fleet, noise: jax.Array) -> Any:
        (loss, end), slope = jax.value_and_grad(window_loss, has_aux=True)(weights, fleet, noise, stage)
        return jax.lax.pmean(loss, "vehicle"), jax.lax.pmean(slope, "vehicle"), end

    sharded = jax.shard_map(
        gradient,
        mesh=mesh,
        in_specs=(everywhere, fleet_spec, noise_spec),
        out_specs=(everywhere, everywhere, fleet_spec.loop),
        check_vma=False,
    )

    def update(training: Training) -> tuple[Training, jax.Array, jax.Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), training.update), 4)
        old = training.fleet
        new = launch(keys[0], recipe.vehicles, population, stage.acceleration_m_s2, remembered)
        fresh = ~old.loop.alive | (jax.random.uniform(keys[1], (recipe.vehicles,)) < recipe.redraw)
        fleet = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), new, old)
        noise = jax.random.normal(keys[2], (stage.window, 18, recipe.vehicles))
        passed_s = stage.window * NATIVE_PERIOD_S
        condition = change(keys[3], fleet.built, fleet.condition, population, passed_s)
        fleet = fleet._replace(condition=condition)
        loss, slope, end = sharded(training.weights, fleet, noise)
        norm = optax.global_norm(slope)
        delta, state = optimiser.update(slope, training.optimiser, training.weights)
        weights = optax.apply_updates(training.weights, delta)
        sound = jax.tree.reduce(
            jnp.logical_and,
            jax.tree.map(lambda leaf: jnp.isfinite(leaf).reshape(-1, recipe.vehicles).all(0), end),
        )
        end = end._replace(alive=end.alive & sound)
        return Training(weights, state, fleet._replace(loop=end), training.update + 1), loss, norm

    return jax.jit(update)


def validate(weights: student.Weights, recipe: Recipe, population: Population) -> tuple[float, float, float]:
    """Judges a policy on vehicles never trained on.

    Returns:
      Share stable, median steady error (m, no force), median RMSE (m) of a 9 s figure-eight.
    """
    count = recipe.validation_vehicles
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


def train(
    recipe: Recipe,
    seed: int,
    output: Path,
    report: Callable[[int, float, Progress | None], None],
    restart: bool = False,
) -> tuple[student.Weights, list[Progress]]:
    """Trains a policy.

    Args:
      recipe: what to train on, and how long.
      seed: of weights, vehicles, references and noise.
      output: folder for checkpoint and learning curve; a checkpoint found there is resumed.
      report: called with (update, loss, new line of the curve or None).
      restart: ignore a checkpoint.
    Returns:
      The weights, and the learning curve.
    Raises:
      ConfigError: the population is wrong, or the checkpoint belongs to another training.
    """
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.npz"
    population = load_population(recipe.population)
    populations = [load_population(name) for name in sorted({stage.population for stage in recipe.stages} - {""})]
    # As much as any stage needs: so that the fleet flies on from one stage to the next.
    remembered = deepest([population, *populations])
    identity = f"{recipe}, {population}, {populations}, seed {seed}"
    devices = jax.local_devices()
    mesh = Mesh(np.array(devices[: max(n for n in range(1, len(devices) + 1) if recipe.vehicles % n == 0)]), "vehicle")
    everywhere = NamedSharding(mesh, PartitionSpec())

    def place(training: Training) -> Training:
        fleet = jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, _per_vehicle(leaf))), training.fleet)
        weights, optimiser, update = jax.device_put((training.weights, training.optimiser, training.update), everywhere)
        return Training(weights, optimiser, fleet, update)

    weights = student.Student(nnx.Rngs(seed)).weights()
    first = recipe.stages[0]
    training = Training(
        weights,
        _optimiser(recipe, first).init(weights),
        launch(jax.random.key(seed), recipe.vehicles, population, first.acceleration_m_s2, remembered),
        jnp.int32(0),
    )
    progress: list[Progress] = []
    seconds = 0.0
    if checkpoint.exists() and not restart:

        def like(updates: int) -> Training:
            return training._replace(optimiser=_optimiser(recipe, recipe.stage_at(updates - 1)).init(weights))

        training, progress, seconds = restore(like, identity, checkpoint)
    training = place(training)

    done, end = int(training.update), 0
    for stage in recipe.stages:
        begin, end = end, end + stage.updates
        if done >= end:
            continue
        if done == begin:
            training = training._replace(
                optimiser=jax.device_put(_optimiser(recipe, stage).init(training.weights), everywhere)
            )
        flown = load_population(stage.population) if stage.population else population
        update = make_update(recipe, stage, flown, seed, mesh, remembered)
        clock = time.monotonic()
        while done < end:
            training, loss, norm = update(training)
            done += 1
            line = None
            if done % recipe.checkpoint_every == 0 or done == recipe.updates:
                now = time.monotonic()
                seconds, clock = seconds + now - clock, now
                scores = validate(training.weights, recipe, population)
                line = Progress(done, stage.name, seconds, float(loss), float(norm), *scores)
                progress.append(line)
                save(training, progress, seconds, identity, checkpoint)
                write_curve(progress, output / "curve.csv")
            report(done, float(loss), line)
        seconds += time.monotonic() - clock
    return training.weights, progress
