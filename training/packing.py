"""One clip into its zip, whole or not at all, and its length into the data set's list."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from calib.clips import read_pictures
from models._spec import Size
from runtime.errors import InputError, OutputError
from runtime.sidecar import written_whole
from training.archive import FOLDER, decoded, read_lengths
from training.footage import Footage

MOST_FRAMES = 100_000  # that five digits can number
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold: the same pictures give the same bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pictures are stored."""

    cover: Size | None  # shrunk, in proportion, until they just cover this; None: left at their size
    quality: int  # of JPEG, 1 to 100

    def note(self, footage: Footage) -> bytes:
        """What the zip says of its origin, so that the same clip is known again."""
        files = len(footage.pictures) or 1
        own = self.cover or "own size"
        size = footage.stored_bytes()
        text = f"vidmend: {footage.path.name}, {files} files, {size} bytes, {own}, quality {self.quality}"
        return text.encode(errors="replace")[:65535]


def pack_clip(
    footage: Footage, out: Path, recipe: Recipe, on_frame: Callable[[], None], *, overwrite: bool = False
) -> tuple[int, bool]:
    """Store the clip as `out/JPEGImages/NAME.zip`, unless the same lies there; its frames, and whether it was written.

    Raises `InputError` for what cannot be read, `OutputError` where the zip cannot be written or is another clip's.
    """
    path, note = out / FOLDER / f"{footage.name}.zip", recipe.note(footage)
    if path.exists() and not overwrite:
        return _kept(path, note), False
    frames = 0
    with _packed(path) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = note
        for content in _contents(footage, recipe):
            if frames == MOST_FRAMES:
                raise InputError(f"{footage.path}: more than {MOST_FRAMES} frames; cut it into several clips")
            archive.writestr(zipfile.ZipInfo(f"{frames:05d}.jpg", _EPOCH), content)
            frames += 1
            on_frame()
        if not frames:
            raise InputError(f"{footage.path}: no frames in it; leave it out")
    return frames, True


def add_length(path: Path, clip: str, frames: int) -> None:
    """Write the clip into the list at `path`, made where it is not there; raises `InputError`, `OutputError`."""
    lengths = read_lengths(path) if path.exists() else {}
    if lengths.get(clip) != frames:
        lengths[clip] = frames
        with _packed(path) as target:
            target.write(json.dumps(lengths, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n")


@contextmanager
def _packed(path: Path) -> Generator[BinaryIO, None, None]:
    """`written_whole`, in a folder that is made where it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    with written_whole(path) as target:
        yield target


def _kept(path: Path, note: bytes) -> int:
    """Frames of the zip at `path`, which must be of that origin."""
    try:
        with zipfile.ZipFile(path) as archive:
            found, frames = archive.comment, len(archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise OutputError(f"{path}: exists already and is no zip ({error}); give --overwrite to replace it") from None
    if found != note:
        origin = found.decode(errors="replace").removeprefix("vidmend: ") or "unknown origin"
        raise OutputError(
            f"{path}: exists already, from another source or packed otherwise ({origin}); give "
            f"--overwrite to replace it, or rename the clip"
        )
    return frames


def _contents(footage: Footage, recipe: Recipe) -> Iterator[bytes]:
    """The JPEG file of every frame; a JPEG that keeps its size is passed on as it is."""
    if not footage.pictures:
        for picture in read_pictures(footage.path):
            yield _encoded(_shrunk(Image.fromarray(picture), recipe.cover), recipe.quality)
        return
    first: tuple[int, int] | None = None
    for path in footage.pictures:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        picture = decoded(content, str(path), "replace it")
        first = first or picture.size
        if picture.size != first:
            raise InputError(
                f"{path}: {picture.width}x{picture.height}, the first picture is {first[0]}x{first[1]}; wanted one size"
            )
        small = _shrunk(picture, recipe.cover)
        as_is = small is picture and path.suffix.lower() != ".png"
        yield content if as_is else _encoded(small, recipe.quality)


def _shrunk(picture: Image.Image, cover: Size | None) -> Image.Image:
    if cover is None:
        return picture
    scale = max(cover.width / picture.width, cover.height / picture.height)
    if scale >= 1:
        return picture
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _encoded(picture: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality, subsampling=0)  # full colour: no second loss where it was halved
    return content.getvalue()
