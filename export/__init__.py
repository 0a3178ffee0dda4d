"""Checkpoint -> stages -> ONNX -> targets -> a verified, sealed bundle."""

from __future__ import annotations

VERSION = "0.1.0"
