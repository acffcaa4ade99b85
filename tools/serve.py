"""`haltere serve`: the runtime on the board."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from haltere.firmware_bridge.link.transport import open_transport
from haltere.firmware_bridge.runtime.black_box import BlackBox
from haltere.firmware_bridge.runtime.loop import serve as serve_line
from haltere.policies.policy_file import load_policy
from haltere.policies.zoo.shipped import FOUNDATION


def serve(
    uri: Annotated[
        str,
        typer.Argument(
            help="pty: | pty:/dev/pts/N | tcp-listen://HOST:PORT | tcp://HOST:PORT | serial:/dev/NAME?baud=921600"
        ),
    ],
    policy: Annotated[Path, typer.Option(help="Policy file (.onnx).")] = FOUNDATION,
    backend: Annotated[str, typer.Option(help="onnxruntime, c or numpy.")] = "onnxruntime",
    black_box: Annotated[
        Path | None, typer.Option(help="Ring of the last five minutes, in a file that outlives a kill.")
    ] = None,
) -> None:
    """Serve a policy to a flight controller over a link, until interrupted.

    Checks the policy file first, and refuses a bad one. Speaks only when spoken to; when the line closes, it
    is opened again.
    """
    console = Console(stderr=True)
    loaded, file = load_policy(policy, backend)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    runtime = serve_line(
        loaded,
        lambda: open_transport(uri),
        file.card.name,
        stop.is_set,
        BlackBox(black_box) if black_box else None,
        lambda text: console.print(text, highlight=False, soft_wrap=True),
    )
    if runtime is not None:
        status = runtime.status()
        console.print(
            f"{status.states_received} states, {status.actions_sent} actions, {status.frames_dropped} bad frames; "
            f"inference p50 {status.inference_p50_us:.1f} µs, p99 {status.inference_p99_us:.1f} µs, "
            f"max {status.inference_max_us:.1f} µs",
            highlight=False,
            soft_wrap=True,
        )
