"""`haltere export`: other forms of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from haltere.policies.zoo.shipped import FOUNDATION


def export(
    policy: Annotated[Path, typer.Argument(help="Policy file (.onnx).")] = FOUNDATION,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the C source, or .onnx file.")] = Path(
        "policy_c"
    ),
    raptor: Annotated[
        bool, typer.Option("--raptor", help="Export RAPTOR's published weights as a policy file instead.")
    ] = False,
) -> None:
    """Export a policy file as C source (one header, one .c, C99, no heap, self-test inside).

    With --raptor, write RAPTOR's published weights as a policy file, so that they can be flown and compared:
    haltere export --raptor -o raptor.onnx && haltere fly --policy raptor.onnx
    """
    console = Console()
    if raptor:
        import numpy as np

        from haltere.policies.card import Card
        from haltere.policies.export.onnx_file import write_policy
        from haltere.policies.foundation.raptor import raptor_weights
        from haltere.policies.foundation.student import fresh

        published = raptor_weights()
        weights = {name: np.asarray(value) for name, value in published._asdict().items()}
        del weights["initial_hidden_state"]
        initial = tuple(map(float, fresh(published, 1)[:, 0]))
        source = {"source": "PyPI foundation-policy; Eschmann et al. 2025"}
        path = output if output.suffix == ".onnx" else output / "raptor.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_policy(path, weights, Card("raptor", "quadrotor, recurrent, any size", initial, source, {}))
        console.print(f"wrote {path}")
        return
    from haltere.policies.export.c_source import write_c
    from haltere.policies.policy_file import load_policy

    _, file = load_policy(policy)
    header, source_file = write_c(file, output)
    console.print(f"wrote {header} and {source_file}; self-test on the target:")
    console.print(f"  cc -std=c99 -O3 -DHALTERE_POLICY_MAIN {source_file} -o self_test && ./self_test", soft_wrap=True)
