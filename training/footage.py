"""Which clips lie in what the user named: videos, folders of pictures, DAVIS and YouTube-VOS trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from calib.clips import count_frames
from runtime.errors import InputError, UsageError
from training.archive import SUFFIXES, frame_order, names_a_clip

LAYOUTS = "pictures, folders of pictures, or the tree of DAVIS or YouTube-VOS"


@dataclass(frozen=True, slots=True)
class Footage:
    """One clip as it was found."""

    name: str  # of the clip in the data set
    path: Path  # of the video, or of the folder of pictures
    pictures: tuple[Path, ...]  # in order; empty where `path` is a video

    def count(self) -> int | None:
        """Its frames; None where a video does not say.  Raises `InputError`."""
        return len(self.pictures) or count_frames(self.path)

    def stored_bytes(self) -> int:
        """Of all its files; raises `InputError`."""
        try:
            return sum(path.stat().st_size for path in self.pictures or (self.path,))
        except OSError as error:
            raise InputError(f"{error.filename or self.path}: cannot be read: {error.strerror}") from None


def find_footage(inputs: Sequence[Path], split: str) -> list[Footage]:
    """Every clip in `inputs`; of a tree that has splits, those of `split`.

    Raises `InputError` where there is none, `UsageError` where two would have the same name.
    """
    found: dict[str, Footage] = {}
    for path in inputs:
        try:
            clips = list(_clips_in(path, split))
        except OSError as error:
            raise InputError(f"{error.filename or path}: cannot be listed: {error.strerror}") from None
        for clip in clips:
            if not names_a_clip(clip.name):  # else the list that is written could not be read again
                raise UsageError(f"{str(clip.path)!r}: no clip can be named {clip.name!r} in a data set; rename it")
            other = found.setdefault(clip.name, clip)
            if other is not clip:
                raise UsageError(
                    f"{clip.path}: the clip would be named {clip.name} as {other.path} is; rename one, or pack them "
                    f"into two data sets"
                )
    return list(found.values())


def _clips_in(path: Path, split: str) -> Iterator[Footage]:
    if not path.exists():
        raise InputError(f"{path}: is not there; wanted a video or a folder")
    if not path.is_dir():
        yield Footage(path.stem, path, ())
        return
    if pictures := _pictures(path):
        yield Footage(path.resolve().name, path, pictures)
        return
    davis, listed = path / "JPEGImages", _list_of(path / "ImageSets" / "2017", split)
    # YouTube-VOS has every fifth frame in `train`, what STTN was trained on in `train_all_frames`
    every, fifth = path / f"{split}_all_frames" / "JPEGImages", path / split / "JPEGImages"
    for folder in (davis / "480p", davis / "Full-Resolution", every, fifth, davis, path):
        clips = [Footage(below.name, below, files) for below in _folders(folder) if (files := _pictures(below))]
        if clips:
            chosen = (
                listed.read_text(encoding="utf-8", errors="replace").split()
                if listed is not None
                else [clip.name for clip in clips]
            )
            yield from (clip for clip in clips if clip.name in chosen)
            return
    raise InputError(f"{path}: no pictures in this folder or below it; wanted {LAYOUTS}")


def _list_of(lists: Path, split: str) -> Path | None:
    """The list of a DAVIS tree's split; none where the tree has no lists at all.

    Those of its trainval download are called train and val; its held-out clips are what is measured on.
    """
    if not lists.is_dir():
        return None
    names = [split, "val"] if split == "test" else [split]
    for name in names:
        if (found := lists / f"{name}.txt").is_file():
            return found
    raise InputError(f"{lists}: no list of the split {split!r}; wanted {' or '.join(f'{name}.txt' for name in names)}")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _pictures(folder: Path) -> tuple[Path, ...]:
    """Pictures in the order of the numbers that end their names, else of the names."""
    files = [entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]
    return tuple(sorted(files, key=frame_order))
