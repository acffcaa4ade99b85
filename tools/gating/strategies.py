"""The strategies that a bench compares, by name, so that another process can build them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haltere.fpga.energy import Constants
from haltere.fpga.features import WINDOW
from haltere.fpga.gate import AtRandom, ByContext, ByLoss, Chooser, Gate, Orders, Static, View
from haltere.fpga.objective import EVERYTHING, Objective
from haltere.fpga.power import subset_energy
from haltere.fpga.recognition import Int8Recogniser, OnnxScores, Recogniser, read_gate
from haltere.fpga.street import STREET_SENSORS
from haltere.policies.errors import ConfigError
from haltere.policies.zoo.shipped import GATE_ATTENTION, GATE_LOSS, GATE_PERCEPTRON

CLOCK_HZ = 100e6
FLOW_AND_RING, FLOW_ALONE, FLOW_AND_BURSTS, BURSTS_AND_RADAR = 3, 1, 17, 20
"""Numbers of subsets."""
KNOWLEDGE = {
    "clear": FLOW_AND_RING,
    "fog": FLOW_ALONE,
    "rain": FLOW_AND_BURSTS,
    "snow": BURSTS_AND_RADAR,
    "night": BURSTS_AND_RADAR,
    "bare ground": BURSTS_AND_RADAR,
    "no GPS": FLOW_AND_RING,
    "vibration": FLOW_AND_BURSTS,
    "fast": FLOW_AND_RING,
}
"""What one would switch on who knows the sensors: no flow without light or texture, no ring in fog,
and the ring in bursts where a little more error does not show."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Strategy:
    """One row of the comparison.

    Attributes:
      name: in tables.
      kind: static, knowledge, perceptron, attention, int8, loss, oracle or random.
      subset: of a static one.
      gamma, weight: of the objective.
      handover_s: for which the paths of before run on.
      share: of a random one, how often each subset is drawn.
    """

    name: str
    kind: str
    subset: int = EVERYTHING
    gamma: float = 0.05
    weight: float = 0.5
    handover_s: float = 0.0
    share: tuple[float, ...] = ()

    @property
    def watching(self) -> bool:
        """Whether the sensors by which the context is known stay on."""
        return self.kind not in ("static", "random")


class Watched:
    """A gate that keeps what it has told: contexts and alarms, at each decision."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.contexts: list[npt.NDArray[np.int64]] = []
        self.alarms: list[Flags] = []

    def decide(self, view: View) -> Orders:
        """See `Gate.decide`."""
        found = self._gate.decide(view)
        self.contexts.append(self._gate.context.copy())
        self.alarms.append(self._gate.unknown.copy())
        return found


def build(strategy: Strategy, seed: int, constants: Constants) -> Watched:
    """Builds a strategy's gate.

    Args:
      strategy: which.
      seed: of lots.
      constants: of the energy model.

    Raises:
      ConfigError: there is no such kind.
    """
    if strategy.kind == "static":
        return Watched(Gate(Static(strategy.subset), safe=False))
    if strategy.kind == "random":
        share = np.array(strategy.share)
        return Watched(Gate(AtRandom(share / share.sum(), 5.0, np.random.default_rng([seed, 3])), safe=False))
    file = read_gate(GATE_PERCEPTRON)
    power = subset_energy(constants, STREET_SENSORS, CLOCK_HZ)
    objective = Objective(strategy.gamma, strategy.weight)
    best = objective.choose(file.loss, power)
    if strategy.kind == "loss":
        return Watched(
            Gate(ByLoss(OnnxScores(GATE_LOSS), objective, power), file.novelty, handover_s=strategy.handover_s)
        )
    recognisers: dict[str, Recogniser | None] = {
        "perceptron": OnnxScores(GATE_PERCEPTRON),
        "attention": OnnxScores(GATE_ATTENTION, WINDOW),
        "int8": Int8Recogniser(file.network, file.words),
        "knowledge": Int8Recogniser(file.network, file.words),
        "oracle": None,
    }
    if strategy.kind not in recognisers:
        raise ConfigError(f"no strategy is of the kind {strategy.kind!r}")
    if strategy.kind == "knowledge":
        best = np.array([KNOWLEDGE[name] for name in file.contexts])
    chooser: Chooser = ByContext(recognisers[strategy.kind], best)
    return Watched(Gate(chooser, None if strategy.kind == "oracle" else file.novelty, handover_s=strategy.handover_s))
