"""Several videos by one command: which ones, where their results go, and one verdict."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.errors import UsageError
from runtime.patterns import is_pattern
from runtime.video import CONTAINERS

PICTURES = "%05d.png"

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def expand(names: Sequence[str]) -> Iterator[Path]:
    """The inputs that `names` mean, in order: a name that is no file but has a wildcard stands for what it matches.

    A folder that is named by dots alone comes under its own name, with its whole path.  Shells mostly expand wildcards
    themselves; quoted ones and those of other systems arrive here.  Raises `UsageError`.
    """
    for name in names:
        path = Path(name)
        if _ADDRESS.match(name) and not path.exists():  # as a path it would be told with a slash less
            raise UsageError(f"{name}: addresses are not opened; download the video and name its file")
        if path.exists() or not glob.has_magic(name):
            yield _named(path)
            continue
        found = sorted(glob.glob(name))  # noqa: PTH207  (Path.glob takes no absolute pattern)
        if not found:
            raise UsageError(f"{name}: matches no file; wanted videos, or folders of pictures")
        yield from (_named(Path(match)) for match in found)


def default_out(video: Path, folder: Path | None = None) -> Path:
    """Where the result of `video` goes by default: `VIDEO_repaired` beside it or in `folder`."""
    source = video.parent if _numbered(video) else video  # a pattern stands for its folder
    where = source.parent if folder is None else folder
    if source is not video or source.is_dir():
        return where / f"{source.name}_repaired" / PICTURES
    suffix = source.suffix if source.suffix.lower() in CONTAINERS else ".mp4"
    return where / f"{source.stem}_repaired{suffix}"


def outs_of(videos: Sequence[Path], out: str | None) -> list[Path]:
    """Where the result of each video goes; raises `UsageError` where `out` cannot name them all, or two are the same.

    `out` names the result of one video; with several, or when it ends in a slash or is a folder, it is the folder that
    results are put into.
    """
    if out is None:
        outs = [default_out(video) for video in videos]
    elif len(videos) == 1 and _is_folder(out) and (videos[0].is_dir() or _numbered(videos[0])):
        outs = [_named(Path(out) / PICTURES)]  # a folder of pictures from a folder of pictures
    elif _is_folder(out):
        outs = [default_out(video, Path(out)) for video in videos]
    elif len(videos) == 1:
        outs = [_named(Path(out))]
    else:
        raise UsageError(f"--out {out}: names one result, but there are {len(videos)} videos; name a folder: {out}/")
    for index, path in enumerate(outs):
        if path in outs[:index]:
            other = videos[outs.index(path)]
            raise UsageError(f"{videos[index]}: its result would be {path}, as that of {other}; run them one by one")
    return outs


def _named(path: Path) -> Path:
    """The same path, whole where its folder is named by dots alone: what lies beside it is named after it."""
    folder = path.parent if _numbered(path) else path
    if folder.name not in ("", ".."):
        return path
    return folder.resolve() if folder is path else folder.resolve() / path.name


def _numbered(video: Path) -> bool:
    return is_pattern(video) and not video.exists()


def _is_folder(out: str) -> bool:
    return out.endswith(("/", "\\")) or Path(out).is_dir()
