"""The numbers of a configuration for which something is to be proved."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from haltere.policies.errors import ConfigError
from haltere.policies.hybrid.domain import Domain


def checked(names: tuple[str, ...], numbers: tuple[float, ...], domain: Domain) -> jax.Array:
    """The numbers as an array (c, 1) of float64.

    Args:
      names: with units.
      numbers: one for each.
      domain: within which they must be.
    Raises:
      ConfigError: there are more or fewer, or one is outside of what was learned.
    """
    if len(numbers) != len(names):
        raise ConfigError(f"a configuration of {len(numbers)} numbers: expected {len(names)}, {','.join(names)}")
    for name, number, low, high in zip(names, numbers, domain.low, domain.high, strict=True):
        if not low <= number <= high:
            raise ConfigError(f"{name} is {number:g}: expected {low:g} to {high:g}, where the file was learned")
    return jnp.asarray(numbers, jnp.float64)[:, None]
