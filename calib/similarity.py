"""Structural similarity by the field's convention, over the picture and in the hole."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.errors import UsageError
from runtime.frame import RGB, Hole

WINDOW = 65  # pixels of a side; what the field's evaluation programs pass, in place of the usual 7
RIM = WINDOW // 2  # pixels along the edge where the window reaches beyond the picture


@dataclass(frozen=True, slots=True)
class Similarity:
    """Structural similarity of a clip, 1 where nothing differs."""

    whole: float  # mean of its frames, the rim left out
    hole: float  # mean of the samples inside its holes, the rim included


def why_not() -> str | None:
    """None when similarity can be computed here, else one sentence that says what is missing and how to get it."""
    if importlib.util.find_spec("skimage") is None:
        return "the package scikit-image is not installed: pip install scikit-image."
    return None


def similarity(found: Iterable[RGB], truth: Iterable[RGB], holes: Iterable[Hole]) -> Similarity:
    """Structural similarity of a clip; uint8 pictures `[H, W, 3]` of at least `WINDOW` each way, holes `[H, W]`.

    `whole` is what scikit-image's `structural_similarity(data_range=255, channel_axis=-1, win_size=65)` gives: square
    windows of even weight, sample covariances, the mean over what lies at least `RIM` from every edge and over the
    channels; then the mean over the frames.  `hole` is the mean of the same map over every sample inside a hole, those
    of all frames together.  There the rim counts, the picture mirrored beyond its edge, else a hole that touches the
    edge would have none.  A window is as large as many a hole: its surroundings count with it.  Raises `UsageError`
    when a picture is too small, `ValueError` when no frame has a hole or the iterables differ in length.  Source:
    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.
    """
    whole: list[float] = []
    inside, samples = 0.0, 0
    for picture, wanted, hole in zip(found, truth, holes, strict=True):
        levels = _map(picture, wanted)
        whole.append(float(levels[RIM:-RIM, RIM:-RIM].mean()))
        inside += float(levels[hole].sum())
        samples += 3 * int(hole.sum())
    if not samples:
        raise ValueError("no frame has a hole")
    return Similarity(float(np.mean(whole)), inside / samples)


def check_size(width: int, height: int) -> None:
    """Raises `UsageError` when the window does not fit into pictures of that size."""
    if min(width, height) < WINDOW:
        raise UsageError(
            f"--size {width}x{height}: similarity looks through a window of {WINDOW}x{WINDOW} pixels; wanted at least "
            f"{WINDOW} each way"
        )


def _map(found: RGB, truth: RGB) -> npt.NDArray[np.float64]:
    """Structural similarity at every sample, `[H, W, 3]`."""
    check_size(truth.shape[1], truth.shape[0])
    compare: Any = importlib.import_module("skimage.metrics").structural_similarity  # it comes without types
    _, levels = compare(found, truth, data_range=255, channel_axis=-1, win_size=WINDOW, full=True)
    return np.asarray(levels, np.float64)  # which it computes in for 8-bit samples
