"""Hybrid systems run with their files in ONNX Runtime: recorded, drawn, filmed."""
