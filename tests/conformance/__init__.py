"""ONNX's own node cases, run on every backend; `make conformance` compares the outcome with the committed table."""
