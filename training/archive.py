"""Clips as the published data sets hold them: a zip of numbered pictures each, and a list of their lengths."""

from __future__ import annotations

import io
import json
import lzma
import os
import struct
import unicodedata
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import cast

import numpy as np
from PIL import Image

from models._spec import Size
from runtime.errors import InputError
from training.sample import BrokenSample, Drawn, Frames
from training.sampling import flipped_or_not, random_crop, resized, sample_indices

FOLDER = "JPEGImages"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_FORMATS = ("JPEG", "PNG")  # whatever the name says: others run programs, or are no pictures of a clip
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # modes of grey above 8 bits, which Pillow would clip
MOST_BYTES = 64 << 20  # of one picture in an archive; an 8K JPEG has less
MOST_PIXELS = 1 << 26  # of one picture, once decoded; 8K has half of that
MOST_OPEN = 64  # archives that a process keeps open; a system lets it have 1,024 files or fewer
AGAIN = "pack the clip again"
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    NotImplementedError,  # a method of packing that there is no module for
    RuntimeError,  # encrypted
    ValueError,  # a name that is no UTF-8
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
_BROKEN_PICTURE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError, Warning)


@dataclass(frozen=True, slots=True)
class Archive:
    """One clip's open zip, checked."""

    path: Path
    file: zipfile.ZipFile
    members: tuple[zipfile.ZipInfo, ...]  # the pictures in the order of their names

    def picture(self, index: int) -> Image.Image:
        """A decoded frame, RGB; raises `BrokenSample`."""
        member = self.members[index]
        place = f"{self.path}: {member.filename}"
        try:
            content = self.file.read(member)
        except _BROKEN_ZIP as error:
            raise BrokenSample(f"{place}: cannot be unpacked ({said(error)}); {AGAIN}") from None
        return decoded(content, place, AGAIN)


def decoded(content: bytes, place: str, remedy: str) -> Image.Image:
    """A picture file's content as RGB; raises `BrokenSample`, which begins with `place` and ends with `remedy`."""
    with opened_picture(content, place, remedy) as picture:
        return eight_bits(picture).convert("RGB")


def eight_bits(picture: Image.Image) -> Image.Image:
    """A grey PNG of 16 bits as one of 8, by its upper byte; any other picture as it is."""
    if picture.mode not in _DEEP:
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))


@contextmanager
def opened_picture(content: bytes, place: str, remedy: str) -> Generator[Image.Image, None, None]:
    """A picture file's content, not decoded yet; raises `BrokenSample`, also for what fails in the block."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # our own limit is below Pillow's
            stored = Image.open(io.BytesIO(content), formats=_FORMATS)
        with stored as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BrokenSample(f"{place}: says it is {picture.width}x{picture.height}, wanted 8K at most; {remedy}")
            yield picture
    except _BROKEN_PICTURE as error:
        raise BrokenSample(f"{place}: no picture that decodes ({said(error)}); {remedy}") from None


def open_archive(path: Path, frames: int) -> Archive:
    """The zip of a clip that is said to have `frames` frames; raises `BrokenSample` unless it holds just that."""
    try:
        file = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BrokenSample(f"{path}: is not there; pack the clip, or take it from the list") from None
    except _BROKEN_ZIP as error:
        raise BrokenSample(f"{path}: no zip that can be read ({said(error)}); {AGAIN}") from None
    try:
        return Archive(path, file, _pictures(path, file.infolist(), frames))
    except BrokenSample:
        file.close()
        raise


def _pictures(path: Path, members: list[zipfile.ZipInfo], frames: int) -> tuple[zipfile.ZipInfo, ...]:
    for member in members:
        name = member.filename
        if leaves_folder(name):
            raise BrokenSample(f"{path}: its member {name[:100]!r} leads out of the archive; do not use this file")
        if PurePosixPath(name).suffix.lower() not in SUFFIXES or "/" in name or not name.isprintable():
            raise BrokenSample(f"{path}: holds {name[:100]!r}; wanted pictures at its root, 00000.jpg and on")
        if member.file_size > MOST_BYTES:
            raise BrokenSample(
                f"{path}: {name[:100]!r} unpacks to {member.file_size >> 20} MB; wanted {MOST_BYTES >> 20} at most"
            )
    names = {member.filename for member in members}
    if len(names) != len(members):
        raise BrokenSample(f"{path}: holds a name twice; {AGAIN}")
    if len(members) != frames:
        raise BrokenSample(f"{path}: holds {len(members)} frames, the list says {frames}; correct it or pack again")
    return tuple(sorted(members, key=lambda member: frame_order(PurePosixPath(member.filename))))


def frame_order(path: PurePath) -> tuple[int, str]:
    """What sorts pictures by the number that ends their name, those without one first, else by name."""
    digits = path.stem[len(path.stem.rstrip("0123456789")) :]
    return (int(digits) if digits.isascii() and digits else -1, path.name)


def names_a_clip(name: str) -> bool:
    """Whether a zip of that name can lie in a data set on any system, and its name be listed and printed."""
    shown = all(character.isprintable() or unicodedata.category(character) == "Zs" for character in name)
    return bool(name) and shown and not leaves_folder(name) and "/" not in name and "\\" not in name


def leaves_folder(name: str) -> bool:
    """Whether a name, joined to a folder on any system, may lie outside of it."""
    windows = PureWindowsPath(name)
    return bool(windows.drive or windows.root) or ".." in windows.parts or "\0" in name


@dataclass(slots=True)
class OpenArchives:
    """The archives that this process holds open, the least lately used closed first; pickled and forked empty."""

    process: int = 0
    archives: OrderedDict[Path, Archive] = field(default_factory=OrderedDict[Path, Archive])

    def get(self, path: Path, frames: int) -> Archive:
        """The archive at `path`, opened on first use; raises `BrokenSample`."""
        if self.process != os.getpid():  # a forked process shares the parent's place in each file: open its own
            self.process, self.archives = os.getpid(), OrderedDict()
        archive = self.archives.get(path)
        if archive is None:
            archive = self.archives[path] = open_archive(path, frames)
            if len(self.archives) > MOST_OPEN:
                self.archives.popitem(last=False)[1].file.close()
        self.archives.move_to_end(path)
        return archive

    def __reduce__(self) -> tuple[type[OpenArchives], tuple[()]]:
        return OpenArchives, ()


@dataclass(frozen=True, slots=True)
class ArchivedClips:
    """A split of a data set on disk; a `ClipSource`."""

    folder: Path  # of the archives
    lengths: tuple[tuple[str, int], ...]  # name of each clip, and its frames
    smallest_crop: float  # share of the largest crop's sides
    apart: int = 1  # frames from one neighbour to the next, at most
    opened: OpenArchives = field(default_factory=OpenArchives, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.lengths)

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        """Frames of a clip drawn with equal chances; raises `BrokenSample`."""
        name, length = self.lengths[int(generator.integers(len(self.lengths)))]
        path = self.folder / f"{name}.zip"
        if length < frames:
            raise BrokenSample(f"{path}: {length} frames, the sample takes {frames}; leave the clip out")
        archive = self.opened.get(path, length)
        indices = sample_indices(generator, length, frames, self.apart)
        pictures = [archive.picture(index) for index in indices]
        for index, picture in zip(indices, pictures, strict=True):
            if picture.size != pictures[0].size:
                raise BrokenSample(
                    f"{path}: frame {index} is {picture.width}x{picture.height}, frame {indices[0]} is "
                    f"{pictures[0].width}x{pictures[0].height}; pack the clip again"
                )
        box = random_crop(generator, Size(*pictures[0].size), size, self.smallest_crop)
        shown: Frames = np.stack([resized(picture, box, size) for picture in pictures])
        return Drawn(flipped_or_not(generator, shown), indices, length)


def read_clips(root: Path, name: str, split: str, *, smallest_crop: float = 0.5, apart: int = 1) -> ArchivedClips:
    """The clips of `root/name/split.json` (name -> frames), their archives in `root/name/JPEGImages`.

    The archives are opened when they are drawn from.  Raises `InputError` for a list that cannot be used.
    """
    lengths = read_lengths(root / name / f"{split}.json")
    if not lengths:
        raise InputError(f"{root / name / split}.json: lists no clips; pack some with python -m training.pack")
    return ArchivedClips(root / name / FOLDER, tuple(sorted(lengths.items())), smallest_crop, apart)


def read_lengths(path: Path) -> dict[str, int]:
    """The list at `path`: frames by clip; raises `InputError`."""
    try:
        content: object = json.loads(path.read_bytes())
    except FileNotFoundError:
        split = "" if path.stem == "train" else f" --split {path.stem}"  # without it the other list would be made
        command = f"python -m training.pack {path.parent} VIDEO...{split}"
        raise InputError(f"{path}: is not there; make it with {command}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON ({said(error)}); wanted an object of clip names and frame counts") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; wanted an object of clip names and frame counts")
    lengths = cast("dict[str, object]", content)
    for clip, frames in lengths.items():
        if not names_a_clip(clip):
            raise InputError(f"{path}: clip name {clip[:100]!r} leads elsewhere; wanted the name of a zip without .zip")
        if not isinstance(frames, int) or isinstance(frames, bool) or frames < 1:
            raise InputError(
                f"{path}: clip {clip[:100]!r} has {json.dumps(frames)[:40]} frames; wanted a whole number above 0"
            )
    return cast("dict[str, int]", lengths)


def said(error: BaseException) -> str:
    """An error's own words on one line, or its kind where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
