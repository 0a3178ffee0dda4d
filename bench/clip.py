"""The clip that is measured: real frames of the demo at the network's size, played to and fro to any length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runtime.frame import Frame, Layout
from runtime.video import VideoReader, open_writer

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "assets" / "demo" / "city.mp4"
SOURCE_MASK = ROOT / "assets" / "demo" / "city_mask.mp4"
