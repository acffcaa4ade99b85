"""`haltere`: the command line. Each command imports what it needs, so that the board needs the least."""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.metadata import version
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from haltere.policies.errors import HaltereError

COMMANDS = {
    "fly": "Fly a simulated vehicle: world, C flight controller and runtime, joined by a real link.",
    "serve": "Serve a policy to a flight controller over a link (this is what runs on the board).",
    "info": "Show a policy file's card, and check the file.",
    "train": "Train a policy.",
    "export": "Turn a policy file into C source, or RAPTOR's published weights into a policy file.",
    "run": "Run a hybrid system, car, pogobot or walker, under its learned controller.",
    "certify": "Prove or disprove regions of attraction of a hybrid controller's file.",
    "fpga": "Test, synthesise and build the RTL of the gated sensing paths; train their gate.",
    "bench": "Measure, against the published systems, and against what was asked.",
}

app = typer.Typer(
    name="haltere",
    help="Adaptive control for small robots: learned in JAX, carried as ONNX, called over a serial line.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)
EXTRAS = {
    "jax": "train",
    "flax": "train",
    "optax": "train",
    "onnx": "train",
    "matplotlib": "sim",
    "pybullet": "sim",
    "gymnasium": "sim",
    "mcap": "sim",
    "imageio": "sim",
    "foundation_policy": "bench",
    "casadi": "bench",
    "hj_reachability": "bench",
    "brax": "rl",
}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"haltere {version('haltere')}")
        raise typer.Exit


@app.callback()
def _options(
    show: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Adaptive control for small robots."""


@functools.cache
def _load(name: str) -> None:
    module = importlib.import_module(f"haltere.tools.{'bench.commands' if name == 'bench' else name}")
    command: Any = getattr(module, name)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, help=COMMANDS[name])
    else:
        app.command(name, help=(command.__doc__ or "").split("\n\n    Args:")[0])(command)


def main() -> None:
    """Entry point of the `haltere` command."""
    for name in COMMANDS:
        _load(name)
    console = Console(stderr=True)
    try:
        app()
    except HaltereError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        console.print(
            f"[bold red]error:[/] {error.name} is not installed: pip install 'haltere\\[{extra}]'",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(2)
