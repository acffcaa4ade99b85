"""The shipped policy files."""

from __future__ import annotations

from pathlib import Path

FOUNDATION = Path(__file__).with_name("foundation.onnx")
"""The foundation policy: flies any quadrotor."""
CAR = Path(__file__).with_name("car.onnx")
"""The car on icy roads: controller, Lyapunov function, region of attraction."""
CAR_PLANNER = Path(__file__).with_name("car_planner.onnx")
"""The car's planner: from the road ahead to the next reference."""
POGOBOT = Path(__file__).with_name("pogobot.onnx")
"""The pogobot from apex to apex: the same."""
WALKER = Path(__file__).with_name("walker.onnx")
"""The walker from impact to impact: the same."""
QUADROTOR = Path(__file__).with_name("quadrotor.onnx")
"""The quadrotor under the foundation policy: Lyapunov function and regions of attraction of its modes."""
GATE_PERCEPTRON = FOUNDATION.with_name("gate_perceptron.onnx")
"""Which context the sensors see: one hidden layer. Its card has the losses, the novelty and the int8 words."""
GATE_ATTENTION = FOUNDATION.with_name("gate_attention.onnx")
"""The same from the last second."""
GATE_LOSS = FOUNDATION.with_name("gate_loss.onnx")
"""The position error to be expected with each subset of the paths."""
BASELINES = FOUNDATION.with_name("baselines")
"""Folder of policies by reinforcement learning, to compare with: SYSTEM_ALGORITHM.npz."""
