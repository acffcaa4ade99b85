"""Two devices on this machine's cores, and compiled programs kept between tests; set before JAX is imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command import Haltere

from haltere.policies.policy_file import RecurrentPolicy, load_policy
from haltere.policies.zoo.shipped import FOUNDATION

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))


@pytest.fixture(scope="module")
def foundation() -> RecurrentPolicy:
    """The shipped policy in ONNX Runtime."""
    return load_policy(FOUNDATION)[0]


@pytest.fixture
def haltere(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Haltere:
    """The `haltere` command, in this process."""
    return Haltere(monkeypatch, capfd)
