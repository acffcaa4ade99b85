"""Makes the gate's networks: flights for their data, training in JAX, ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt

from haltere.fpga.features import ALWAYS, WINDOW
from haltere.fpga.gate import AtRandom, Gate, Static
from haltere.fpga.novelty import fit
from haltere.fpga.objective import SUBSETS, paths_of
from haltere.fpga.paths import FLOW, LIDAR
from haltere.fpga.quantise import INPUT_STEPS, Network, quantise
from haltere.policies.context import graphs, networks, training
from haltere.policies.zoo.shipped import GATE_ATTENTION, GATE_LOSS, GATE_PERCEPTRON
from haltere.tools.gating.flights import Flights, Log
from haltere.tools.gating.scenarios import KNOWN, NAMES, every_context, scenarios

Array = npt.NDArray[np.float64]
Status = Callable[[str], None]

LIMIT = 127 / INPUT_STEPS
LOSS_STRETCH_S = (3.0, 8.0)
TOGETHER = 4
"""Flights of each context and subset that are flown as one batch."""
LOST_M = 3.0
"""Error that a flight which ended in a crash counts as."""
_SEED = 7_000_000


def subset_losses(flights: Flights, seeds: int, status: Status) -> Array:
    """Returns the root mean square position error (C, 24) of each context with each subset, m.

    Each flight begins in clear weather and goes through one context for 8 s, with one subset all along.
    """
    squares = []
    for number in range(seeds // TOGETHER):
        status(f"flights with each subset, {TOGETHER * number} of {seeds}")
        squares.append(_subset_squares(flights, _SEED + 100 * number))
    return np.asarray(np.sqrt(np.mean(squares, axis=0)))


def _subset_squares(flights: Flights, seed: int) -> Array:
    """Mean square errors (C, 24) of `TOGETHER` flights each; those of different subsets are the same but for it."""
    rows = [(0, context) for context in range(KNOWN) for _ in range(TOGETHER)]
    flown = scenarios(rows, LOSS_STRETCH_S, seed).repeated(SUBSETS)
    subset = np.repeat(np.arange(SUBSETS), len(rows))
    log = flights.fly(flown, Gate(Static(subset), safe=False), seed, times=SUBSETS)
    late = log.time_s > LOSS_STRETCH_S[0] + 0.5
    error = np.where(np.isfinite(log.crashed_s), LOST_M, np.minimum(log.error_m[late], LOST_M))
    squares = (error.astype(np.float64) ** 2).reshape(-1, SUBSETS, KNOWN, TOGETHER)
    return np.asarray(squares.mean(axis=(0, 3)).T)


def watched(flights: Flights, seeds: int, status: Status) -> Log:
    """Flies every context with paths drawn by lot, flow and ring mostly on, for the features."""
    status("flights for the features")
    paths = paths_of(np.arange(SUBSETS))
    share = 0.2 + paths[:, FLOW] + paths[:, LIDAR]
    chooser = AtRandom(share / share.sum(), 3.0, np.random.default_rng(_SEED))
    flown = every_context(seeds, _SEED + 1, (4.0, 6.0, 6.0))
    return flights.fly(flown, Gate(chooser), _SEED + 1)


def train_gate(flights: Flights, folder: Path, seeds: int = 16, status: Status = lambda text: None) -> dict[str, float]:
    """Trains and writes the three networks.

    Args:
      flights: fly for the data.
      folder: of the files.
      seeds: flights of each context for the features; half of them of each context and subset for the losses.
      status: told what is being done.
    Returns:
      Shares of right answers on flights that were not trained on.
    """
    loss = subset_losses(flights, seeds // 2, status)
    log = watched(flights, seeds, status)
    status("training")
    alive = log.time_s[:, None] < log.crashed_s
    settled = _settled(log)
    train = np.arange(log.context.shape[1]) % 4 != 3
    usable = alive & (settled > 0.3)
    chosen = usable & train
    features = log.features.astype(np.float64)
    mean, deviation = features[chosen].mean(axis=0), features[chosen].std(axis=0) + 1e-3
    standard = np.clip((features - mean) / deviation, -LIMIT, LIMIT)
    label = log.context
    key = jax.random.key(_SEED)
    small = training.train(
        networks.perceptron(key, features.shape[-1], KNOWN), standard[chosen], label[chosen], training.cross_entropy
    )
    windows = np.stack([np.roll(standard, shift, axis=0) for shift in range(WINDOW - 1, -1, -1)], axis=2)
    whole = np.arange(len(log.time_s)) >= WINDOW
    looked = training.train(
        networks.attention(key, features.shape[-1], KNOWN),
        windows[chosen & whole[:, None]],
        label[chosen & whole[:, None]],
        training.cross_entropy,
    )
    losses = training.train(
        networks.perceptron(key, features.shape[-1], SUBSETS),
        standard[chosen],
        np.log(loss)[label[chosen]],
        training.squared,
    )
    sure = chosen & (settled > 1.0)
    novelty = fit(features[sure][:, :ALWAYS], label[sure], KNOWN, 0.999, 1.3)
    network = Network(mean, deviation, *(np.asarray(part, np.float64) for part in small))
    words = quantise(network, features[chosen])
    card = {
        "contexts": NAMES[:KNOWN],
        "loss_m": loss.tolist(),
        "centre": novelty.centre.tolist(),
        "whitening": novelty.whitening.tolist(),
        "limit": novelty.limit,
        "network": {name: np.asarray(value).tolist() for name, value in vars(network).items()},
        "words": {name: np.asarray(value).tolist() for name, value in vars(words).items()},
    }
    graphs.save_perceptron(small, mean, deviation, LIMIT, card, folder / GATE_PERCEPTRON.name)
    graphs.save_attention(looked, mean, deviation, LIMIT, WINDOW, {}, folder / GATE_ATTENTION.name)
    graphs.save_perceptron(losses, mean, deviation, LIMIT, {}, folder / GATE_LOSS.name)
    held = usable & ~train & (settled > 1.0)
    return {
        "perceptron": float((np.asarray(small(standard[held])).argmax(-1) == label[held]).mean()),
        "attention": float(
            (np.asarray(looked(windows[held & whole[:, None]])).argmax(-1) == label[held & whole[:, None]]).mean()
        ),
        "novelty, false alarms": float(novelty.unknown(features[held][:, :ALWAYS]).mean()),
    }


def _settled(log: Log) -> Array:
    """Time since the context has last changed, (T, N), s."""
    period = float(log.time_s[1] - log.time_s[0])
    since = np.zeros(log.context.shape)
    for row in range(1, len(since)):
        since[row] = np.where(log.context[row] == log.context[row - 1], since[row - 1] + period, 0.0)
    return since
