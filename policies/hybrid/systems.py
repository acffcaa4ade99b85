"""The hybrid plants by name."""

from __future__ import annotations

from typing import Any

from haltere.policies.plants import car, pogobot, walker
from haltere.policies.plants.hybrid import HybridSystem

SYSTEMS: dict[str, HybridSystem[Any]] = {"car": car, "pogobot": pogobot, "walker": walker}
