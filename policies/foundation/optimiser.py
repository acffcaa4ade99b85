"""The optimiser of every training."""

from __future__ import annotations

import optax
import optax.contrib

from haltere.policies.foundation.recipe import Stage


def make_optimiser(clip_norm: float, stage: Stage) -> optax.GradientTransformation:
    """The stage's rule on a clipped gradient, the rate falling along a half cosine; what is not finite is skipped."""
    first, last = stage.learning_rate
    schedule = optax.cosine_decay_schedule(first, stage.updates, last / first)
    rule = {"adam": optax.adam, "muon": optax.contrib.muon}[stage.optimiser]
    chain = optax.chain(optax.clip_by_global_norm(clip_norm), rule(schedule))
    return optax.apply_if_finite(chain, max_consecutive_errors=10**6)
