"""What `haltere certify` proves of the foundation policy: with named quadrotors, the closed loop contracts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from haltere.policies.contract import NATIVE_PERIOD_S
from haltere.policies.errors import ConfigError
from haltere.policies.hybrid import ball_shape, common_norm, curvature
from haltere.policies.hybrid import quadrotor_claim as claim
from haltere.sim.vehicle import load_vehicle
from haltere.tools.bench.contestants import load_student
from haltere.tools.bench.foundation import as_plant
from haltere.tools.certificates import NAMED, Asked, Report, Subject

USUAL = ("arpl", "flightmare", "soft", "racer250")
BOX = 1e-4
"""Half widths of the box over which derivatives are bounded, to choose the ball's shape."""
FIRST, SHRINK, TRIES = 6.0, 0.7, 16
"""The first ball over the one that was chosen; each next one over the one before; how many."""


def subject(policy: Path, asked: Asked) -> Subject:
    """The policy's file, with a vehicle as the configuration."""
    weights = load_student(policy)

    def look(name: str, report: Report) -> tuple[bool, str]:
        vehicle, begun = load_vehicle(name), time.monotonic()
        report("flying to the equilibrium")
        cases, centre = claim.cases_of(weights, as_plant([vehicle]))
        kinds = "one case" if len(cases) == 1 else f"{len(cases)} cases of the rotors' lag"
        if not np.isfinite(centre).all():
            return False, f"undecided (no equilibrium was found; {kinds})"
        slopes = np.stack([claim.slope_of(case, centre) for case in cases])
        largest = np.abs(np.linalg.eigvals(slopes)).max(1)
        if max(largest) >= 1:
            # Where the loop is smooth, nothing contracts; else the cases' mixture may.
            outcome = "disproved" if len(cases) == 1 else "undecided"
            return False, f"{outcome} (at the equilibrium, the largest eigenvalue is {max(largest):.4f}; {kinds})"
        report("bounding derivatives")
        widths, factor = np.full(claim.STATES, BOX), 1 - max(asked.rate, 1e-6) * NATIVE_PERIOD_S
        near = [curvature.local(claim.PIECE, case, centre, widths) for case in cases[:: max(len(cases) // 3, 1)]]
        guards = curvature.guarded(claim.PIECE, cases[0], centre, widths)
        report("choosing a norm")
        try:
            if len(cases) == 1:
                ball = ball_shape.shaped(near, guards, widths, centre, factor)
            else:
                frame = common_norm.common_frame(slopes)
                ball = ball_shape.shaped(near, guards, widths, centre, factor, frame, rounds=0)
        except ConfigError as error:
            return False, f"undecided ({error}; {kinds})"
        if ball.radius == 0:
            return (
                False,
                f"undecided (each case is stable, but they do not contract in one norm that was tried; {kinds})",
            )
        ball = ball._replace(radius=FIRST * ball.radius)
        for _ in range(TRIES):
            report(f"ball of {1e3 * ball.half_widths()[:3].max():.3g} mm")
            radius = curvature.contracts(claim.PIECE, cases, ball, factor)
            if radius > 0:
                return True, f"proved ({_widths(ball._replace(radius=radius).half_widths())}; {kinds})"
            ball = ball._replace(radius=SHRINK * ball.radius)
            if time.monotonic() - begun > asked.seconds:
                break
        return False, f"undecided (no ball down to {1e3 * ball.half_widths()[:3].max():.3g} mm; {kinds})"

    return Subject(NAMED, USUAL, look)


def _widths(half: np.ndarray) -> str:
    """Half widths of a ball, least and largest of each part, in words."""
    parts = (
        ("position", "mm", 1e3 * half[:3]),
        ("tilt", "mrad", 2e3 * half[3:6]),
        ("velocity", "mm/s", 1e3 * half[6:9]),
        ("rates", "mrad/s", 1e3 * half[9:12]),
        ("rotors", "1e-3", 1e3 * half[12:16]),
        ("hidden state", "1e-3", 1e3 * half[16:]),
    )
    said = ", ".join(f"{name} {values.min():.2g} to {values.max():.2g} {unit}" for name, unit, values in parts)
    return f"all {len(half)} states contract in a ball with half widths of {said}"
