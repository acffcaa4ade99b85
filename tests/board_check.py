"""Run by CI in an environment like a board's: serves a policy there, with no JAX and no PyBullet present.

Usage: python board_check.py PATH_OF_HALTERE
"""

import importlib.util
import os
import select
import subprocess
import sys
import time

from haltere.firmware_bridge.link.frame import FrameDecoder, encode
from haltere.firmware_bridge.link.messages import SCHEMA_HASH, Action, Hello, Mode, Role, State


def main() -> int:
    for absent in ("jax", "pybullet", "flax"):
        if importlib.util.find_spec(absent) is not None:
            print(f"{absent} is installed here, this check proves nothing")
            return 1
    import numpy
    import onnxruntime

    print(f"numpy {numpy.__version__}, onnxruntime {onnxruntime.__version__}")
    subprocess.run([sys.argv[1], "info"], check=True, stdout=subprocess.DEVNULL)
    runtime = subprocess.Popen([sys.argv[1], "serve", "pty:"], stdout=subprocess.PIPE, text=True)
    try:
        assert runtime.stdout is not None
        path = runtime.stdout.readline().strip()
        line = os.open(path, os.O_RDWR | os.O_NOCTTY)
        decoder = FrameDecoder()
        fast = 0
        os.write(line, encode(Hello(SCHEMA_HASH, Role.FLIGHT_CONTROLLER, 1, 100, "check"), 0, 0))
        deadline = time.monotonic() + 20
        for index in range(100):
            now_us = 1_000_000 + 10_000 * index
            state = State(now_us, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0,) * 4)
            os.write(line, encode(state, index + 1, now_us))
            answered = False
            while not answered and time.monotonic() < deadline:
                if select.select([line], [], [], 1.0)[0]:
                    for message, _, _ in decoder.feed(os.read(line, 4096)):
                        if isinstance(message, Action):
                            answered = True
                            fast += message.mode == Mode.FAST
        print(f"{fast} of 100 states were answered in FAST")
        return 0 if fast == 100 else 1
    finally:
        runtime.terminate()
        runtime.wait(5)


if __name__ == "__main__":
    sys.exit(main())
