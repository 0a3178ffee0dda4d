"""What clips are called in tables: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime._report.markup import visible
from runtime.errors import UsageError


def names_of(clips: Sequence[Path]) -> tuple[str, ...]:
    """A name of its own for each clip: less its suffix, or where others are called so with it, or with its folders.

    Raises `UsageError` for a clip that is named twice, which would count twice in every mean.
    """
    paths = [clip.resolve() for clip in clips]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise UsageError(f"{clips[index]}: is named twice; name every clip once")
    names = [_name(path, [other for other in paths if other.stem == path.stem]) for path in paths]
    # A file may be called as another one and its suffix together.
    return tuple(map(visible, names if len(set(names)) == len(names) else map(str, paths)))


def _name(path: Path, alike: Sequence[Path]) -> str:
    """The first of the path's forms that tells all of `alike` apart, the path among them."""
    forms = zip(*(_forms(other) for other in alike), strict=False)
    level = next((level for level, names in enumerate(forms) if len(set(names)) == len(alike)), None)
    return str(path) if level is None else list(_forms(path))[level]


def _forms(path: Path) -> Iterator[str]:
    yield path.stem
    yield path.name
    for count in range(1, len(path.parts) - 1):
        yield "/".join((*path.parts[-1 - count : -1], path.stem))
