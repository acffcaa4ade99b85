"""`haltere bench runtime`: what an answer costs, alone and through the whole runtime.

Times are absolute and belong to the machine that the record names; the ratios between methods travel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from haltere.firmware_bridge.client_c.programs import flight_controller_program
from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import Motors, MotorSource, Setpoint, State
from haltere.policies.errors import LinkTimeout
from haltere.policies.export.c_source import build_self_test
from haltere.policies.policy_file import load_policy, read_policy
from haltere.policies.zoo.shipped import FOUNDATION
from haltere.tools.bench.table import Rows

OURS = "Haltere"
ZERO = (0.0, 0.0, 0.0)
WARM_UP = 200
ROUNDS = 20
RAPTOR_SHARE = 13.0 / 36.0
"""What is asked of ONNX Runtime, as a share of RAPTOR's Python package, on the machine where that takes 36 µs."""


def _times_us(
    calls: dict[str, Callable[[np.ndarray], object]], observations: np.ndarray, count: int
) -> dict[str, np.ndarray]:
    """Times single calls, in µs: `count` of each method, in `ROUNDS` rounds that every method takes part in.

    A shared machine changes its speed from minute to minute; so each method meets the same minutes.
    """
    clock = time.perf_counter_ns
    each = count // ROUNDS
    taken = {name: np.zeros((ROUNDS, each)) for name in calls}
    for turn in range(ROUNDS):
        for name, call in calls.items():
            row = taken[name][turn]
            for index in range(-WARM_UP, each):  # the warm-up's times are overwritten
                observation = observations[index % len(observations)]
                begun = clock()
                call(observation)
                row[index] = clock() - begun
    return {name: rows.ravel() / 1e3 for name, rows in taken.items()}


def round_trips_us(policy: Path, count: int, backend: str = "onnxruntime") -> np.ndarray:
    """Times states through C client, pty, runtime and back, by the flight controller's own clock.

    Args:
      policy: policy file.
      count: how many states, one after the other.
      backend: of the runtime.
    Returns:
      (count,) µs from writing the state to having decoded its action.
    Raises:
      LinkTimeout: the runtime did not answer.
    """
    serve = [sys.executable, "-m", "haltere.tools", "serve", "pty:", "--policy", str(policy), "--backend", backend]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as runtime:
        assert runtime.stdout is not None
        path = runtime.stdout.readline().strip()
        command = [str(flight_controller_program()), "--port", path, "--lockstep-wait-us", "200000"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as controller:
            try:
                return _exchange(controller, count)
            finally:
                assert controller.stdin is not None
                controller.stdin.close()
                runtime.terminate()


def _exchange(controller: subprocess.Popen[bytes], count: int) -> np.ndarray:
    assert controller.stdin is not None
    assert controller.stdout is not None
    decoder = FrameDecoder()
    trips: list[int] = []
    deadline = time.monotonic() + 60
    index = 0
    while len(trips) < count + WARM_UP:
        now_us = 1_000_000 + 10_000 * index
        frames = encode(Setpoint(now_us, (0.0, 0.0, 1.0), ZERO, ZERO, 0.0), 2 * index, now_us)
        state = State(now_us, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), ZERO, ZERO, (0.0,) * 4)
        frames += encode(state, 2 * index + 1, now_us)
        controller.stdin.write(frames)
        answered = False
        while not answered:
            for message, _, _ in decoder.feed(controller.stdout.read(4096)):
                if isinstance(message, Motors):
                    answered = True
                    if message.source == MotorSource.POLICY and message.round_trip_us:
                        trips.append(message.round_trip_us)
        index += 1
        if time.monotonic() > deadline:
            raise LinkTimeout(f"only {len(trips)} of {count} states were answered within a minute")
    return np.array(trips[WARM_UP:], float)


class RuntimeBench:
    """The bench; `policy` is the file that is timed."""

    def __init__(self, policy: Path = FOUNDATION) -> None:
        self._policy = policy

    def __call__(self, quick: bool, seed: int, picture: Path | None, status: Callable[[str], None]) -> Rows:
        """See `table.Bench`."""
        rows = Rows()
        count = 5_000 if quick else 50_000
        observations = np.random.default_rng(seed).normal(size=(64, 22)).astype(np.float32)
        limits = {"onnxruntime": 13.0, "c": 2.0, "numpy": None}
        names = {"onnxruntime": "ONNX Runtime", "c": "exported C through ctypes", "numpy": "NumPy"}
        from foundation_policy import Raptor

        raptor = Raptor()
        raptor.reset()
        calls: dict[str, Callable[[np.ndarray], object]] = {
            backend: load_policy(self._policy, backend)[0].step for backend in limits
        }
        calls["raptor"] = lambda row: raptor.evaluate_step(row[None])
        status("inference")
        taken = _times_us(calls, observations, count)
        median = {name: float(np.median(times)) for name, times in taken.items()}
        for backend, limit in limits.items():
            measure = f"inference, {names[backend]}, call from Python included: median"
            if limit is None:
                rows.add(measure, OURS, median[backend], "µs")
            else:
                rows.at_most(measure, OURS, median[backend], "µs", limit)
            rows.add(measure.replace("median", "p99"), OURS, np.percentile(taken[backend], 99), "µs")
        rows.add("inference, its own Python package: median", "RAPTOR", median["raptor"], "µs")
        rows.add("inference, its own Python package: p99", "RAPTOR", np.percentile(taken["raptor"], 99), "µs")
        rows.at_most(
            "inference, ONNX Runtime: median over that of RAPTOR's package",
            OURS,
            median["onnxruntime"] / median["raptor"],
            "1",
            RAPTOR_SHARE,
            "13 µs where RAPTOR's takes 36",
        )
        status("inference, exported C alone")
        self_test = build_self_test(read_policy(self._policy))
        printed = subprocess.run([self_test], capture_output=True, text=True, check=True).stdout
        found = re.search(r"(\d+) ns a step", printed)
        assert found is not None
        rows.at_most("inference, exported C alone: best of 20 rounds", OURS, int(found[1]) / 1e3, "µs", 0.3)

        for backend in ("onnxruntime", "c"):
            status(f"round trip over a pty, {backend}")
            trips = round_trips_us(self._policy, 2_000 if quick else 20_000, backend)
            measure = f"pty round trip, unpaced, C client to runtime ({names[backend]}) and back: median"
            if backend == "onnxruntime":
                rows.at_most(measure, OURS, float(np.median(trips)), "µs", 250.0)
            else:
                rows.add(measure, OURS, np.median(trips), "µs")
            rows.add(measure.replace("median", "p99"), OURS, np.percentile(trips, 99), "µs")
            rows.add(measure.replace("median", "max"), OURS, trips.max(), "µs")
        return rows
