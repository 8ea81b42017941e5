"""The ONNX frontend: a ModelProto to a Graph, one small function for each ONNX operator."""

from neurenix.frontends.onnx.load import import_onnx, load_onnx

__all__ = ["import_onnx", "load_onnx"]
