"""The environments by the name of their system."""

from __future__ import annotations

from collections.abc import Callable

from haltere.policies.hybrid.baselines.car_environment import CarEnvironment
from haltere.policies.hybrid.baselines.environment import Environment
from haltere.policies.hybrid.baselines.pogobot_environment import PogobotEnvironment
from haltere.policies.hybrid.baselines.walker_environment import WalkerEnvironment

ENVIRONMENTS: dict[str, Callable[[], Environment]] = {
    "car": CarEnvironment,
    "pogobot": PogobotEnvironment,
    "walker": WalkerEnvironment,
}
