"""Clips in zips: read as they were stored, and whatever is wrong with one costs one line."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models._spec import Size
from runtime.errors import InputError
from tests.archives import HEIGHT, WIDTH, encoded, grey, members_of, one_line, write_set, write_zip
from tests.pictures import moving_pictures
from training import archive as rules
from training.archive import OpenArchives, open_archive, read_clips
from training.dataset import Samples, Weighted
from training.sample import BrokenSample

SIZE = Size(WIDTH, HEIGHT)


def test_a_sample_shows_the_stored_frames(tmp_path: Path) -> None:
    stored = write_set(tmp_path / "mine", {"walk": 9, "run": 7})
    source = read_clips(tmp_path, "mine", "train", smallest_crop=1.0)
    assert len(source) == 2
    mirrored: set[bool] = set()
    for seed in range(20):
        drawn = source.draw(np.random.default_rng(seed), 4, SIZE)
        frames = np.stack(stored["walk" if drawn.length == 9 else "run"])[list(drawn.indices)]
        mirrored.add(not np.array_equal(drawn.frames, frames))
        assert np.array_equal(drawn.frames, frames) or np.array_equal(drawn.frames, frames[:, :, ::-1])
    assert mirrored == {True, False}


def _truncated(picture: bytes) -> bytes:
    return picture[: len(picture) // 2]


def _gigantic() -> bytes:
    """A PNG whose header claims 60,000 by 60,000 pixels."""
    header = struct.pack(">II5B", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + encoded(grey(8, 8))[33:]


def _with_broken_frame(path: Path) -> None:
    pictures = moving_pictures(4, WIDTH, HEIGHT)
    good = {f"{index:05d}.jpg": encoded(picture, "JPEG") for index, picture in enumerate(pictures)}
    write_zip(path, good | {"00002.jpg": _truncated(good["00002.jpg"])})


def _with_flipped_bits(path: Path) -> None:
    members = members_of(moving_pictures(4, WIDTH, HEIGHT))
    content = bytearray(write_zip(path, members).read_bytes())
    content[content.index(members["00002.png"]) + 100] ^= 0xFF
    path.write_bytes(content)


def _holding(name: str, content: bytes) -> Callable[[Path], object]:
    members = members_of(moving_pictures(3, WIDTH, HEIGHT))
    return lambda path: write_zip(path, {**members, name: content}, zipfile.ZIP_DEFLATED)


def _cut_short(path: Path) -> None:
    write_zip(path, members_of(moving_pictures(4, WIDTH, HEIGHT)))
    path.write_bytes(path.read_bytes()[:-30])


def _of_length(length: int) -> Callable[[Path], object]:
    return lambda path: write_zip(path, members_of(moving_pictures(length, WIDTH, HEIGHT)))


def _encrypted(path: Path) -> None:
    """A zip whose entries say that they are encrypted."""
    content = bytearray(write_zip(path, members_of(moving_pictures(4, WIDTH, HEIGHT))).read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 1)
    path.write_bytes(content)


def _with_a_name_of_no_letters(path: Path) -> None:
    """Its local header says that its name is UTF-8, which it is not; the list of members is as before."""
    content = bytearray(write_zip(path, members_of(moving_pictures(4, WIDTH, HEIGHT))).read_bytes())
    place = content.index(b"PK\3\4")
    content[place + 7] |= 0x08
    content[place + 30] = 0xFF
    path.write_bytes(content)


def _with_broken_lzma(path: Path) -> None:
    members = members_of(moving_pictures(4, WIDTH, HEIGHT))
    content = bytearray(write_zip(path, members, zipfile.ZIP_LZMA).read_bytes())
    place = content.index(b"00002.png") + len(b"00002.png")
    content[place + 4 : place + 9] = b"\xff" * 5  # its properties
    path.write_bytes(content)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "broken frame": (_with_broken_frame, r"00002.jpg: no picture that decodes \((?i:.*truncated)"),
    "flipped bits": (_with_flipped_bits, r"00002.png: cannot be unpacked \(Bad CRC-32"),
    "no picture": (_holding("00003.png", b"hello"), r"00003.png: no picture that decodes"),
    "path that climbs out": (_holding("../../evil.jpg", b""), r"'../../evil.jpg' leads out of the archive"),
    "absolute path": (_holding("/etc/evil.jpg", b""), r"'/etc/evil.jpg' leads out of the archive"),
    "drive": (_holding("C:evil.jpg", b""), r"'C:evil.jpg' leads out of the archive"),
    "folder": (_holding("walk/00003.png", encoded(grey(8, 8))), r"holds 'walk/00003.png'; wanted pictures at its root"),
    "two lines": (_holding("1\n2.png", b""), r"holds '1\\n2.png'; wanted pictures"),
    "other file": (_holding("notes.txt", b"hi"), r"holds 'notes.txt'; wanted pictures"),
    "bomb": (_holding("00003.png", bytes(65 << 20)), r"'00003.png' unpacks to 65 MB"),
    "gigantic": (_holding("00003.png", _gigantic()), r"00003.png: .*60000x60000, wanted 8K|decompression bomb"),
    "two sizes": (_holding("00003.png", encoded(grey(20, 30))), r"is 20x30, frame 0 is 48x32|frame 3 is 20x30"),
    "fewer than listed": (_of_length(3), r"holds 3 frames, the list says 4"),
    "more than listed": (_of_length(5), r"holds 5 frames, the list says 4"),
    "no zip": (lambda path: path.write_bytes(b"hello" * 100), r"no zip that can be read"),
    "zip cut short": (_cut_short, r"no zip that can be read"),
    "missing": (lambda path: path.unlink(), r"is not there"),
    "name of no letters": (_with_a_name_of_no_letters, r"00000.png: cannot be unpacked \(.*codec"),
    "broken lzma": (_with_broken_lzma, r"00002.png: cannot be unpacked"),
    "another kind": (_holding("00003.png", encoded(grey(8, 8), "EPS")), r"00003.png: no picture that decodes"),
    "encrypted": (_encrypted, r"cannot be unpacked \(.*encrypted"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_clip_is_skipped_and_counted_in_one_line(kind: str, tmp_path: Path) -> None:
    spoil, line = BAD[kind]
    write_set(tmp_path / "mine", {"bad": 4, "good": 6})
    spoil(tmp_path / "mine" / "JPEGImages" / "bad.zip")
    samples = Samples([Weighted(read_clips(tmp_path, "mine", "train"), 1)], SIZE, 4, seed=0)
    skipped = [text for index in range(12) for text in samples[index].skipped]
    assert 3 <= len(skipped) <= 30  # half of the candidates, again and again
    for text in skipped:
        assert re.search(line, text)
        assert one_line(text)
        assert text.startswith(str(tmp_path / "mine" / "JPEGImages" / "bad.zip"))


def test_pictures_whose_numbers_are_not_padded_come_in_order(tmp_path: Path) -> None:
    pictures = moving_pictures(12, WIDTH, HEIGHT)
    names = [f"{index}.png" for index in range(12)]
    path = write_zip(tmp_path / "walk.zip", dict(zip(names, map(encoded, pictures), strict=True)))
    archive = open_archive(path, 12)
    with archive.file:
        assert [member.filename for member in archive.members] == names
        assert np.array_equal(np.asarray(archive.picture(10)), pictures[10])


def test_a_grey_picture_of_16_bits_keeps_its_upper_byte(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 13).astype(np.uint16)[:5000].reshape(50, 100)
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG")
    archive = open_archive(write_zip(tmp_path / "deep.zip", {"00000.png": content.getvalue()}), 1)
    with archive.file:
        shown = np.asarray(archive.picture(0))
    assert np.array_equal(shown, np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_a_clip_shorter_than_the_sample_is_skipped_and_counted(tmp_path: Path) -> None:
    write_set(tmp_path / "mine", {"short": 3, "long": 8})
    source = read_clips(tmp_path, "mine", "train")
    skipped = [text for index in range(10) for text in Samples([Weighted(source, 1)], SIZE, 5, seed=0)[index].skipped]
    path = tmp_path / "mine" / "JPEGImages" / "short.zip"
    assert set(skipped) == {f"{path}: 3 frames, the sample takes 5; leave the clip out"}
    assert len(skipped) >= 3


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1, 2]", "holds list; wanted an object"),
        ("{}", "lists no clips; pack some"),
        ('{"a": "5"}', "clip 'a' has \"5\" frames; wanted a whole number above 0"),
        ('{"a": 0}', "has 0 frames"),
        ('{"a": true}', "has true frames"),
        ('{"a": 2.5}', "has 2.5 frames"),
        ('{"../a": 5}', "clip name '../a' leads elsewhere"),
        ('{"/a": 5}', "clip name '/a' leads elsewhere"),
        ('{"b/a": 5}', "clip name 'b/a' leads elsewhere"),
        ('{"a\\nb": 5}', r"clip name 'a\nb' leads elsewhere"),
        ('{"": 5}', "clip name '' leads elsewhere"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_line(content: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_clips(tmp_path, "mine", "train")
    assert line in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'mine' / 'train.json'}: ")
    assert one_line(str(caught.value))


def test_a_missing_list_says_how_to_make_it(tmp_path: Path) -> None:
    command = f"python -m training.pack {tmp_path / 'mine'} VIDEO..."
    for split, wanted in (("train", command), ("test", f"{command} --split test")):
        with pytest.raises(InputError) as caught:
            read_clips(tmp_path, "mine", split)
        assert str(caught.value) == f"{tmp_path / 'mine' / split}.json: is not there; make it with {wanted}"


def test_a_forked_process_opens_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path, {"walk": 4})
    opened, path = OpenArchives(), tmp_path / "JPEGImages" / "walk.zip"
    ours = opened.get(path, 4)
    assert opened.get(path, 4) is ours
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    theirs = opened.get(path, 4)
    assert theirs is not ours
    assert ours.file.fp is not None  # the parent goes on with it
    assert not copy.deepcopy(opened).archives  # copied as a spawned worker gets it: by what pickles it
    ours.file.close()
    theirs.file.close()


def test_only_so_many_files_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path, dict.fromkeys("abc", 2))
    monkeypatch.setattr(rules, "MOST_OPEN", 2)
    opened = OpenArchives()
    held = [opened.get(tmp_path / "JPEGImages" / f"{name}.zip", 2) for name in "abac"]
    assert [archive.file.fp is None for archive in held] == [
        False,
        True,
        False,
        False,
    ]  # b is the one that waited longest
    for archive in opened.archives.values():
        archive.file.close()


def test_a_refused_archive_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "walk.zip", {"notes.txt": b"hi"})
    made: list[zipfile.ZipFile] = []

    class Watched(zipfile.ZipFile):
        def __init__(self, file: Path) -> None:
            super().__init__(file)
            made.append(self)

    monkeypatch.setattr(zipfile, "ZipFile", Watched)
    with pytest.raises(BrokenSample, match=r"notes\.txt"):
        open_archive(path, 1)
    assert [archive.fp for archive in made] == [None]


def test_the_published_lists_are_read(tmp_path: Path) -> None:
    write_set(tmp_path / "davis", {"bear": 6}, "test")
    lengths = {"bear": 6, "bike-packing": 69}
    (tmp_path / "davis" / "train.json").write_text(json.dumps(lengths))
    assert dict(read_clips(tmp_path, "davis", "train").lengths) == lengths
    assert dict(read_clips(tmp_path, "davis", "test").lengths) == {"bear": 6}
