"""Certified regions in the hybrid bench: ours count if proved, the regulator's as far as nothing contradicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from haltere.policies.export import hybrid_file
from haltere.policies.hybrid import level_boxes, linear, pogobot_claim, pogobot_mode
from haltere.policies.hybrid.certificate import Outcome, Verdict
from haltere.policies.hybrid.return_proof import Proved
from haltere.policies.zoo.shipped import POGOBOT
from haltere.tools.bench import hybrid_certificates
from haltere.tools.bench.table import Rows

MEASURES = ("certified region, of the domain", "certified region over LQR's")


def _measured(subject: hybrid_certificates.Subject, folder: Path) -> tuple[Rows, dict[tuple[str, str], float]]:
    rows = Rows()
    weights = hybrid_file.read(POGOBOT, pogobot_mode)
    hybrid_certificates.bench_subject(rows, subject, weights, folder, 0, lambda said: None)
    return rows, {(row.measure.split(": ")[1], row.method): row.value for row in rows.rows}


def test_what_is_not_proved_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(*_: Any, **__: Any) -> Proved:
        return Proved(0.1, 0.9, Verdict(Outcome.UNDECIDED, None, 7, 0.5), 7)

    monkeypatch.setattr(hybrid_certificates.return_proof, "largest_proved", undecided)
    monkeypatch.setattr(hybrid_certificates, "SAMPLES", 2000)
    rows, found = _measured(hybrid_certificates.POGOBOT, tmp_path)
    assert found[MEASURES[0], hybrid_certificates.OURS] == 0.0
    assert found[MEASURES[1], hybrid_certificates.OURS] == 0.0
    assert [row.measure for row in rows.failed] == [f"{hybrid_certificates.POGOBOT.name}: {MEASURES[1]}"]

    # The regulator's ellipse lies in the domain, and half as large a claim is not in doubt.
    theirs = found[MEASURES[0], hybrid_certificates.LQR]
    with jax.enable_x64(True):
        numbers = hybrid_certificates.POGOBOT.numbers
        weights = hybrid_file.read(POGOBOT, pogobot_mode)
        given = linear.regulator(pogobot_mode, weights.controller, jnp.asarray(numbers)[:, None])
        loop = pogobot_claim.hopping_of(given, numbers)
        whole = level_boxes.volume(pogobot_claim.HOP, loop, pogobot_claim.level(loop))
    assert 50 < theirs <= 100 * whole + 0.5 < 100 * np.pi / 4 + 0.5


def test_states_in_the_floor_count_for_nothing() -> None:
    subject = hybrid_certificates.LOW_POGOBOT
    with jax.enable_x64(True):
        loop = subject.loop_of(hybrid_file.read(POGOBOT, pogobot_mode), subject.numbers)
        states, share = hybrid_certificates._sampled(subject, loop, 1e6, 0)
    heights = subject.numbers[1] + pogobot_mode.DOMAIN.state[1] * states[:, 1]
    assert heights.min() >= pogobot_mode.LEAST_HEIGHT_M
    assert share == pytest.approx((1 + 0.03) / 2)


@pytest.mark.slow
def test_what_is_proved_counts(tmp_path: Path) -> None:
    small = hybrid_certificates.POGOBOT._replace(share=0.05)
    _, found = _measured(small, tmp_path)
    ours, theirs = (found[MEASURES[0], who] for who in (hybrid_certificates.OURS, hybrid_certificates.LQR))
    assert 0 < ours < 10
    assert found[MEASURES[1], hybrid_certificates.OURS] == pytest.approx(ours / theirs)
    assert len(list(tmp_path.iterdir())) == 1
    assert _measured(small, tmp_path)[1] == found
