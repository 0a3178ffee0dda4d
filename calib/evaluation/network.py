"""A bundle as one of the ways to fill holes, run as a real run would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from calib.baselines import blanked
from calib.clips import frame_of, picture_of, whole_frame
from runtime.bundle import Bundle
from runtime.frame import RGB, Hole, Masked
from runtime.program import Backend
from runtime.session import Session, Settings


@dataclass(frozen=True, slots=True)
class Network:
    """A `Fill`: the frames of a clip through a session of their bundle, as lossless RGB, before any codec.

    To be closed, after which it fills nothing.
    """

    session: Session

    def close(self) -> None:
        """Let go of the session."""
        self.session.close()

    def __call__(self, pictures: Sequence[RGB], holes: Sequence[Hole]) -> Iterator[RGB]:
        """Pictures uint8 `[H, W, 3]` with their holes `[H, W]` -> the same, what the network painted in the holes."""
        clip = [
            _masked(picture, hole, index) for index, (picture, hole) in enumerate(zip(pictures, holes, strict=True))
        ]
        with closing(self.session.restore(clip, [whole_frame(clip[0].frame)])) as restored:
            for done, picture, hole in zip(restored, pictures, holes, strict=True):
                yield np.where(hole[..., None], picture_of(done.frame), picture)


def open_network(bundle: Bundle, backend: Backend, settings: Settings, size: tuple[int, int]) -> Network:
    """The bundle on a backend, for frames of `size`, width and height; raises what `Session` does.

    Holes come dilated, whatever `settings` say.  Where the network's size is another they are dilated once more at that
    size, by the bundle's own rule, since resizing mixes what lies in a hole into its rim; what the network paints there
    is not taken.
    """
    rule = bundle.manifest.pixels
    dilate = 0 if size == (rule.width, rule.height) else None
    return Network(Session(bundle, backend, replace(settings, dilate=dilate)))


def _masked(picture: RGB, hole: Hole, index: int) -> Masked:
    shown = blanked(picture, hole)  # for networks that look at what lies in a hole
    return Masked(frame_of(shown, index), hole if hole.any() else None)
