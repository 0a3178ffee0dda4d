"""Make a data set of zips, as training reads them, from videos and folders of pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from models._spec import Size
from runtime.arguments import OneLineParser
from runtime.errors import InputError, VidmendError
from runtime.interruption import INTERRUPTED, interruptible
from runtime.plural import plural
from runtime.progress import Progress, shown
from training.archive import FOLDER
from training.footage import Footage, find_footage
from training.packing import Recipe, add_length, pack_clip

DONE, FAILED, SOME_FAILED = 0, 2, 4

_EXAMPLES = """\
examples:
  python -m training.pack data/mine clips/*.mp4                       a clip a video
  python -m training.pack data/mine clips/*.mp4 --size 432x240        shrunk: smaller files, faster training
  python -m training.pack data/mine frames/walk frames/run            a clip a folder of pictures
  python -m training.pack data/davis DAVIS                            JPEGImages/480p, the clips of ImageSets/2017
  python -m training.pack data/youtube-vos YouTube-VOS --size 432x240     train/JPEGImages
  python -m training.pack data/mine held-out.mp4 --split test

Writes OUT/JPEGImages/CLIP.zip and OUT/SPLIT.json.  A clip appears when it is complete; clips that are packed already
are kept, so that the same command goes on after an interruption.

exit codes: 0 done, 2 refused or nothing could be packed, 4 some clips could not be packed, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = OneLineParser(
        prog="-m training.pack",
        usage="python -m training.pack OUT VIDEO|FOLDER... [options]",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the data set's folder; made, or added to")
    add("inputs", type=Path, nargs="+", metavar="VIDEO|FOLDER", help="video, folder of pictures, or tree of folders")
    add("--size", type=_size, metavar="WxH", help="shrink pictures, in proportion, until they just cover this")
    add("--split", choices=("train", "test"), default="train", help="which list to add to (default: %(default)s)")
    add("--quality", type=_quality, default=95, metavar="N", help="of JPEG, 1 to 100 (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace zips of the same names")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`; returns its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        clips = find_footage(options.inputs, options.split)
        with interruptible(), _folder_for(options.out), shown(options.out.name) as progress:
            failed, frames = _pack(clips, options, progress)
    except VidmendError as error:
        _say(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("training.pack: interrupted; complete clips are kept, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    packed = len(clips) - failed
    print(
        f"{options.out}: {plural(packed, 'clip')}, {plural(frames, 'frame')} in {options.split}.json"
        + (f"; {failed} failed" * bool(failed))
    )
    return DONE if not failed else SOME_FAILED if packed else FAILED


@contextmanager
def _folder_for(out: Path) -> Generator[None, None, None]:
    """The data set's folder, gone again where it was new and nothing came into it."""
    new = not out.exists()
    try:
        yield
    finally:
        with suppress(OSError):  # something lies in it, or it was never made
            for folder in (out / FOLDER, out) if new else ():
                folder.rmdir()


def _pack(clips: Sequence[Footage], options: argparse.Namespace, progress: Progress) -> tuple[int, int]:
    """Pack them one by one; how many failed, and the frames of the others."""
    counts = _Counts(clips, progress)
    recipe = Recipe(options.size, options.quality)
    failed = frames = 0
    for clip in clips:
        try:
            packed, written = pack_clip(clip, options.out, recipe, counts.step, overwrite=options.overwrite)
        except InputError as error:  # the other clips may be good
            _say(error)
            failed += 1
            continue
        if not written:
            counts.step(packed)
        add_length(options.out / f"{options.split}.json", clip.name, packed)
        frames += packed
    return failed, frames


class _Counts:
    """Frames done, of the frames of all clips where their files tell."""

    def __init__(self, clips: Sequence[Footage], progress: Progress) -> None:
        self._progress = progress
        self._done = 0
        self._total: int | None = 0
        for clip in clips:
            count = _count(clip)
            self._total = None if count is None or self._total is None else self._total + count

    def step(self, frames: int = 1) -> None:
        """Say that so many more are done."""
        self._done += frames
        self._progress("packing", self._done, self._total)


def _count(clip: Footage) -> int | None:
    try:
        return clip.count()
    except InputError:  # said when the clip's turn comes
        return None


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    if not all(side.isascii() and side.isdecimal() and int(side) > 0 for side in (width, height)):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; wanted WxH in pixels, such as 432x240")
    return Size(int(width), int(height))


def _quality(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"'{text}' is no quality; wanted 1 to 100")
    return int(text)


def _say(error: VidmendError) -> None:
    print(f"training.pack: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
