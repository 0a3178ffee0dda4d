"""Which files of a folder, or of a pattern like `in/%05d.png`, are the frames of a video, and in what order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InputError
from runtime.patterns import is_pattern

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
PATTERN = re.compile(r"(?P<before>[^%]*)%(?:0(?P<digits>\d{1,2}))?d(?P<after>[^%]*)")


@dataclass(frozen=True, slots=True)
class Sequence:
    """Files in order, and the frame that each one is."""

    path: Path  # the folder or pattern
    files: tuple[tuple[int, Path], ...]  # index from 0, ascending; numbers that a pattern skips are skipped here
    notes: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Frames in all, those without a file included."""
        return self.files[-1][0] + 1


def names_sequence(path: Path) -> bool:
    """Whether `path` is a folder or a pattern, not a file."""
    named = is_pattern(path) and PATTERN.fullmatch(path.name) is not None
    return path.is_dir() or (named and not path.exists())


def find_sequence(path: Path) -> Sequence:
    """The pictures that `path` names; raises `InputError` when there are none."""
    try:
        return _folder(path) if path.is_dir() else _numbered(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be listed: {error.strerror}") from None


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which numbers in names compare as numbers: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def _folder(path: Path) -> Sequence:
    names = [entry.name for entry in path.iterdir() if entry.name[0] != "." and entry.is_file()]
    pictures = sorted((name for name in names if Path(name).suffix.lower() in SUFFIXES), key=natural)
    if not pictures:
        raise InputError(f"{path}: no pictures in this folder; wanted one a frame ({', '.join(sorted(SUFFIXES))})")
    others = len(names) - len(pictures)
    left = "is no picture and is left out" if others == 1 else "are no pictures and are left out"
    notes = (f"{others} of the folder's {len(names)} files {left}",) if others else ()
    return Sequence(path, tuple((index, path / name) for index, name in enumerate(pictures)), notes)


def _numbered(path: Path) -> Sequence:
    match = PATTERN.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: no pattern; wanted one number in it, as in in/%05d.png")
    width = int(match["digits"] or 1)
    wanted = re.compile(re.escape(match["before"]) + r"([0-9]+)" + re.escape(match["after"]))
    found: dict[int, Path] = {}
    if path.parent.is_dir():
        for entry in path.parent.iterdir():
            number = wanted.fullmatch(entry.name)
            if number is not None and number[1] == f"{int(number[1]):0{width}d}" and entry.is_file():
                found[int(number[1])] = entry
    if not found:
        first = f"{match['before']}{0:0{width}d}{match['after']}"
        raise InputError(f"{path}: no pictures of that pattern; wanted {first} and on, or from another number on")
    first = min(found)
    return Sequence(path, tuple((number - first, found[number]) for number in sorted(found)), ())
