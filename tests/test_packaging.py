"""The distribution: every folder is in it, the board's part needs no JAX, and the house's rules hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent
TOP = ("policies", "sim", "firmware_bridge", "fpga", "tools")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def folders() -> set[str]:
    found = set()
    for top in TOP:
        for file in (ROOT / top).rglob("*"):
            if file.suffix in (".py", ".toml", ".onnx", ".c", ".h") and "__pycache__" not in file.parts:
                found.add("haltere." + ".".join(file.parent.relative_to(ROOT).parts))
    return found


def test_every_folder_is_packaged() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders()


def test_every_package_is_typed() -> None:
    for name in PROJECT["tool"]["setuptools"]["packages"]:
        assert (ROOT / Path(*name.split(".")[1:]) / "py.typed").exists(), name


def test_package_files_hold_no_logic() -> None:
    for top in TOP:
        for file in (ROOT / top).rglob("__init__.py"):
            body = ast.parse(file.read_text()).body
            assert all(isinstance(node, ast.Expr) for node in body), file


@pytest.mark.parametrize(
    "module",
    [
        "haltere.policies.contract",
        "haltere.policies.policy_file",
        "haltere.firmware_bridge.runtime.loop",
        "haltere.firmware_bridge.client_c.programs",
        "haltere.tools.serve",
        "haltere.tools.info",
        "haltere.tools.cli",
    ],
)
def test_board_part_imports_neither_jax_nor_pybullet(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('jax', 'pybullet', 'flax', 'onnx')))"
    assert subprocess.run([sys.executable, "-c", code], cwd="/").returncode == 0


@pytest.mark.parametrize("top", ["policies", "firmware_bridge", "fpga"])
def test_dependencies_point_inwards(top: str) -> None:
    outside = {"policies": ("sim", "tools", "firmware_bridge", "fpga"), "firmware_bridge": ("sim", "tools", "fpga")}
    for file in (ROOT / top).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for other in outside.get(top, ("sim", "tools", "firmware_bridge")):
                    assert not node.module.startswith(f"haltere.{other}"), f"{file} imports {node.module}"


def test_board_part_parses_as_python_3_10() -> None:
    for top in ("policies", "firmware_bridge", "fpga", "tools"):
        for file in (ROOT / top).rglob("*.py"):
            ast.parse(file.read_text(), feature_version=(3, 10))
