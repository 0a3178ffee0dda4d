"""Bundles to repaired video; imports neither torch nor onnx."""
