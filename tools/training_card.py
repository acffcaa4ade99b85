"""Writes a trained student as a policy file, with its provenance and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from haltere.policies.card import Card
from haltere.policies.export.onnx_file import write_policy
from haltere.policies.foundation.plan import Plan
from haltere.policies.foundation.run import Outcome
from haltere.policies.foundation.student import fresh
from haltere.tools import provenance


def write_trained(outcome: Outcome, plan: Plan, seed: int, path: Path, begun: Card | None = None) -> Path:
    """Writes the policy file, and a record of the training beside it (`record.json`, `record.md`).

    Args:
      outcome: the student, and its learning curve, the last line of which becomes the scores.
      plan: how it was trained.
      seed: of the training.
      path: the `.onnx` file.
      begun: card of the policy that this training went on from; its time and steps count, too.
    """
    arrays = {name: np.asarray(value) for name, value in outcome.weights._asdict().items()}
    del arrays["initial_hidden_state"]
    last = outcome.progress[-1]
    before = {} if begun is None else begun.provenance
    card = Card(
        name="foundation",
        kind="quadrotor, recurrent, any size",
        initial_hidden_state=tuple(map(float, fresh(outcome.weights, 1)[:, 0])),
        provenance={
            "command": provenance.command(),
            "commit": provenance.commit(),
            "date": provenance.today(),
            "machine": provenance.machine(),
            "seed": seed,
            "training_s": round(last.seconds) + before.get("training_s", 0),
            "steps_with_gradient": plan.steps + before.get("steps_with_gradient", 0),
            **plan.described(),
            **({"begun_with": before} if before else {}),
            **({} if outcome.fit is None else {"teachers_fit": outcome.fit}),
        },
        scores={
            "validation_stable_percent": round(100 * last.stable, 2),
            "validation_steady_error_median_m": round(last.steady_error_m, 5),
            "validation_figure_eight_9s_median_rmse_m": round(last.figure_eight_m, 5),
        },
    )
    written = write_policy(path, arrays, card)
    record: dict[str, Any] = {"training": card.name, **card.provenance, "scores": card.scores}
    record["curve"] = [row._asdict() for row in outcome.progress]
    path.with_name("record.json").write_text(json.dumps(record, indent=1) + "\n")
    path.with_name("record.md").write_text(as_markdown(record))
    return written


def as_markdown(record: dict[str, Any]) -> str:
    """The record of a training as Markdown: where it came from, and the learning curve."""
    lines = [f"### training of {record['training']}", ""]
    for name in ("command", "seed", "commit", "date", "machine", "training_s", "steps_with_gradient", "teachers_fit"):
        if name not in record:
            continue
        lines.append(f"- {name}: {record[name]}")
    columns = ("update", "stage", "seconds", "loss", "stable", "steady_error_m", "figure_eight_m")
    lines += ["", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in record["curve"]:
        cells = (f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
