"""What `haltere certify` looks at for each system: a claim, how it is proved, and what to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from haltere.policies.errors import ConfigError

if TYPE_CHECKING:
    from haltere.policies.hybrid.learned import Learned
    from haltere.policies.hybrid.mode import Mode
    from haltere.policies.hybrid.return_map import ReturnMap

Report = Callable[[str], None]
Look = Callable[[Any, Report], tuple[bool, str]]
"""(configuration, progress) -> (whether all is proved, what to say); the numbers, or the name of a vehicle."""
NAMED = ("VEHICLE",)
"""Names of a configuration that is a word."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks.

    Attributes:
      box: size of the first box, in half widths.
      rate: of the decrease, 1/s, or of each hop or stride.
      hole: share of the level, below which nothing decreases.
      seconds: time limit of each configuration.
      lyapunov: the file's V instead of a norm, of the car.
      error: of the model in each coordinate of the next state, in half widths of the domain; of return maps.
      share: of the level that the file tells, with which to begin; of return maps.
      regulator: the linear regulator instead of the file's controller, and V of return maps.
      proofs: folder in which what is left of a proof is kept, to go on from there; of return maps.
    """

    box: float
    rate: float
    hole: float
    seconds: float
    lyapunov: bool
    error: float = 0.0
    share: float = 1.0
    regulator: bool = False
    proofs: Path | None = None


@dataclass(frozen=True)
class Subject:
    """A system.

    Attributes:
      names: of the numbers of a configuration.
      usual: configurations that are looked at unless others are asked for.
      look: at one of them.
    """

    names: tuple[str, ...]
    usual: tuple[str, ...]
    look: Look


def subject(file: Path, asked: Asked) -> Subject:
    """What a file is about; `toy` and `quadrotor` are words: two spirals, and the shipped foundation policy.

    Raises:
      ConfigError: nothing can be proved of that file.
      PolicyFileError: it cannot be read.
    """
    if str(file) == "toy":
        return Subject(("dwell_s",), ("25",), _toy(asked))
    if str(file) == "quadrotor" or _is_policy(file):
        from haltere.policies.zoo.shipped import FOUNDATION
        from haltere.tools import quadrotor_certificate

        return quadrotor_certificate.subject(FOUNDATION if str(file) == "quadrotor" else file, asked)
    from haltere.policies.export import hybrid_file
    from haltere.policies.hybrid import car_claim, car_mode, pogobot_claim, pogobot_mode, walker_claim, walker_mode

    name = hybrid_file.name_of(file)
    if name == "car":
        look = _car_v if asked.lyapunov else _car_norm
        return Subject(
            car_claim.NUMBERS, ("1,10,0", "0.1,10,0", "0.1,5,0"), look(hybrid_file.read(file, car_mode), asked)
        )
    if name == "pogobot":
        weights = hybrid_file.read(file, pogobot_mode)
        hop = _returning(pogobot_mode, pogobot_claim.HOP, pogobot_claim.hopping_of, pogobot_claim.level, weights, asked)
        return Subject(pogobot_claim.NUMBERS, ("1,1.8",), hop)
    if name == "walker":
        weights = hybrid_file.read(file, walker_mode)
        stride = _returning(
            walker_mode, walker_claim.STRIDE, walker_claim.walking_of, walker_claim.level, weights, asked
        )
        return Subject(walker_claim.NUMBERS, ("0.13",), stride)
    raise ConfigError(f"{file} is of {name or 'no system'}: expected a file of car, pogobot, walker or policy, or toy")


def _is_policy(file: Path) -> bool:
    """Whether a file is a foundation policy's."""
    from haltere.policies import contract
    from haltere.policies.policy_file import read_content

    return read_content(file)[1].get("haltere.contract") == contract.CONTRACT


def _car_norm(weights: Learned, asked: Asked) -> Look:
    """The closed loop contracts in a ball."""
    from haltere.policies.hybrid import car_claim, car_mode

    def look(numbers: tuple[float, ...], report: Report) -> tuple[bool, str]:
        given = _regulator(car_mode, weights, numbers) if asked.regulator else weights
        loop = car_claim.loop_of(given, numbers)
        _driving(asked.box, numbers)
        try:
            unit = car_claim.ball_of(loop)
        except ConfigError as error:
            return False, f"disproved ({error})"
        first = unit._replace(radius=unit.radius * asked.box)
        factor = 1 - max(asked.rate, 1e-6) * car_mode.DOMAIN.period_s
        ball, verdict = car_claim.certified(loop, first, factor, asked.seconds, report=report)
        if ball is None:
            said = _errors("not contracting at", verdict.state)
            return False, f"{verdict.outcome.value} ({said}{verdict.boxes} boxes)"
        widths = _errors("half widths", ball.half_widths())
        return True, f"proved (contracts in a ball with {widths}{verdict.boxes} boxes)"

    return look


def _car_v(weights: Learned, asked: Asked) -> Look:
    """The file's V decreases in a box."""
    from haltere.policies.hybrid import car_claim, car_mode
    from haltere.policies.hybrid.certificate import Outcome

    def look(numbers: tuple[float, ...], report: Report) -> tuple[bool, str]:
        loop, keep = car_claim.loop_of(weights, numbers), 1 - asked.rate * car_mode.DOMAIN.period_s
        _driving(asked.box, numbers)
        report("looking for a state that contradicts")
        state = car_claim.search(loop, asked.box, keep)
        if state is not None:
            return False, f"disproved ({_errors('V does not decrease at', state).rstrip('; ')})"
        found = car_claim.largest_found(loop, asked.box, keep, asked.seconds, report=report)
        if found.outcome is not Outcome.PROVED:
            said = _errors("V does not decrease at", found.state) or _errors("open still in a box of", found.widths)
            return False, f"{found.outcome.value} ({said.rstrip('; ')})"
        widths = _errors("half widths", found.widths)
        return True, f"proved (V decreases in a box of {widths}region of attraction {{V <= {found.level:.3g}}})"

    return look


def _driving(box: float, numbers: tuple[float, ...]) -> None:
    from haltere.policies.hybrid import car_claim

    most = car_claim.largest_box(numbers)
    if box >= most:
        raise ConfigError(f"box is {box:g}: expected less than {most:.3g}, where the car still drives forwards")


def _errors(what: str, state: Any) -> str:
    """Scaled errors of the car in their units, or nothing."""
    from haltere.policies.hybrid import car_mode

    if state is None:
        return ""
    numbers = np.asarray(state) * np.array(car_mode.DOMAIN.state)
    return f"{what} {', '.join(f'{x:.3g}' for x in numbers)}; "


def _returning(
    mode: Mode,
    returns: ReturnMap,
    loop_of: Callable[..., Any],
    level_of: Callable[[Any], float],
    weights: Learned,
    asked: Asked,
) -> Look:
    """V decreases from apex to apex, or from impact to impact."""
    from haltere.policies.hybrid.certificate import Outcome
    from haltere.policies.hybrid.return_proof import largest_proved

    def look(numbers: tuple[float, ...], report: Report) -> tuple[bool, str]:
        given = _regulator(mode, weights, numbers) if asked.regulator else weights
        loop = loop_of(given, numbers)
        told, keep = level_of(loop), 1 - max(asked.rate, 1e-6)
        found = largest_proved(
            returns,
            loop,
            asked.share * told,
            keep,
            asked.hole,
            asked.error,
            asked.seconds,
            report=report,
            folder=asked.proofs,
        )
        if found.verdict.outcome is Outcome.PROVED:
            said = f"V falls below {asked.hole:g} of {{V <= {found.level:.3g}}}, {found.level / told:.3g} of its "
            said += f"level, {100 * found.volume:.3g} % of the domain"
            return True, f"proved ({said}, {found.boxes} boxes)"
        if found.verdict.state is None:
            left = f"{100 * found.verdict.remaining:.4g} % of the last level set is left"
            return False, f"undecided ({left}, {found.boxes} boxes)"
        where = ", ".join(f"{x:.3g}" for x in found.verdict.state)
        return False, f"disproved (V does not decrease at {where}, in half widths; {found.boxes} boxes)"

    return look


def _regulator(mode: Mode, weights: Learned, numbers: tuple[float, ...]) -> Learned:
    """The linear regulator of a configuration; the learned controller finds the action that keeps it there."""
    import jax.numpy as jnp

    from haltere.policies.hybrid import linear

    return linear.regulator(mode, weights.controller, jnp.asarray(numbers)[:, None])


def _toy(asked: Asked) -> Look:
    """Both modes decrease, and switching after a dwell time lands in the other one's level set."""
    from haltere.policies.hybrid import switched_toy
    from haltere.policies.hybrid.certificate import Outcome, prove
    from haltere.policies.hybrid.decrease import prove_decrease

    period_s = 0.01

    def look(numbers: tuple[float, ...], report: Report) -> tuple[bool, str]:
        (dwell_s,) = numbers
        if dwell_s <= 0:
            raise ConfigError(f"dwell_s is {dwell_s:g}: expected more than 0")
        said, whole = [], True
        for mode in range(2):
            report(f"mode {mode}")
            loop = switched_toy.sampled(mode, period_s)
            found = prove_decrease(switched_toy.SAMPLED, loop, switched_toy.BOX, 1 - asked.rate * period_s)
            claim = switched_toy.landing(mode, dwell_s)
            lands = prove(claim, -switched_toy.BOX, switched_toy.BOX, most=10**9, seconds=asked.seconds)
            whole &= found.outcome is Outcome.PROVED and lands.outcome is Outcome.PROVED
            level = f" in {{V <= {found.level:.3g}}}" if found.outcome is Outcome.PROVED else ""
            said.append(f"mode {mode}: V decreases{level} {found.outcome.value}, a switch lands {lands.outcome.value}")
        return whole, f"{'proved' if whole else 'not proved'} ({'; '.join(said)})"

    return look
