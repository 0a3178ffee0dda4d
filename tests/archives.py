"""Small data sets of zips, good and bad, as training reads them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from runtime.frame import RGB
from tests.pictures import moving_pictures

WIDTH, HEIGHT = 48, 32


def encoded(picture: RGB, kind: str = "PNG") -> bytes:
    """The file of a picture."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, kind)
    return content.getvalue()


def members_of(pictures: Sequence[RGB]) -> dict[str, bytes]:
    """A lossless member for each picture, by name."""
    return {f"{index:05d}.png": encoded(picture) for index, picture in enumerate(pictures)}


def write_zip(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of those members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_set(folder: Path, lengths: Mapping[str, int], split: str = "train") -> dict[str, list[RGB]]:
    """A data set of lossless clips of `WIDTH` by `HEIGHT`; their pictures by name."""
    clips = {name: moving_pictures(length, WIDTH, HEIGHT, seed) for seed, (name, length) in enumerate(lengths.items())}
    for name, pictures in clips.items():
        write_zip(folder / "JPEGImages" / f"{name}.zip", members_of(pictures))
    (folder / f"{split}.json").write_text(json.dumps(dict(lengths)))
    return clips


def one_line(text: str) -> bool:
    """Whether an error's text is a line of its own, with what to do."""
    return bool(text) and "\n" not in text and (";" in text or "wanted" in text)


def grey(width: int, height: int) -> RGB:
    """A picture without anything in it."""
    return np.full((height, width, 3), 128, np.uint8)
