"""How well holes are filled on clips that nothing was calibrated on, in one type beside another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib.evaluation.network import Network
from calib.metrics import psnr_in_hole
from calib.observe import Clip, holed_clip
from runtime.bundle import Bundle
from runtime.frame import RGB, Hole
from runtime.program import Backend, Precision
from runtime.progress import Progress
from runtime.session import Session, Settings


@dataclass(frozen=True, slots=True)
class Filled:
    """A clip of the hold-out, filled."""

    clip: Clip
    truth: RGB  # its middle frame
    hole: Hole  # of that frame
    picture: RGB  # of that frame, filled
    psnr_db: float  # in the holes of all its frames


def fill(
    bundle: Bundle, clips: Sequence[Clip], backend: Backend, precision: Precision, progress: Progress
) -> tuple[Filled, ...]:
    """The first frames of every clip, under holes as training draws them, against what was there.

    As many as a full window has targets and references, since libraries run full windows with kernels of their own.
    """
    with Session(bundle, backend, Settings(precision=precision, dilate=0)) as session:
        network = Network(session)
        phase = f"filling the hold-out, {network.session.precision}"
        rule = bundle.manifest.schedule
        found: list[Filled] = []
        for number, clip in enumerate(clips):
            progress(phase, number, len(clips))
            truth, holes = holed_clip(clip.path, bundle, rule.targets + rule.references)
            pictures = list(network(truth, holes))
            middle = len(truth) // 2
            quality = psnr_in_hole(pictures, truth, holes)
            found.append(Filled(clip, truth[middle], holes[middle], pictures[middle], quality))
        progress(phase, len(clips), len(clips))
        return tuple(found)


def drop_db(exact: Sequence[Filled], found: Sequence[Filled]) -> float:
    """How much the mean PSNR in the hole falls; negative where it rises.  NaN compares with nothing: it is infinity."""
    losses = [one.psnr_db - other.psnr_db for one, other in zip(exact, found, strict=True)]
    mean = float(np.mean(losses))
    return mean if math.isfinite(mean) else math.inf
