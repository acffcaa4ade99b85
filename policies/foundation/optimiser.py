"""The optimiser of every training."""

from __future__ import annotations

import optax

from haltere.policies.foundation.recipe import Stage


def adam(clip_norm: float, stage: Stage) -> optax.GradientTransformation:
    """Adam on a clipped gradient, its rate falling along a half cosine; an update that is not finite is skipped."""
    first, last = stage.learning_rate
    schedule = optax.cosine_decay_schedule(first, stage.updates, last / first)
    chain = optax.chain(optax.clip_by_global_norm(clip_norm), optax.adam(schedule))
    return optax.apply_if_finite(chain, max_consecutive_errors=10**6)
