"""What PNG pictures say of their samples after a video or other pictures, and what of those they cannot say."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from runtime._video import png
from runtime._video.declared import LUMINANCE, Declared, read_declared
from runtime._video.file import VideoInfo, opened
from runtime._video.sequence import find_sequence
from runtime._video.still import FORMATS
from runtime.tones import HLG, PQ, is_hdr

# Numbers of H.273.  What these primaries and transfers show, programs show nearly right that know none of them.
UNTOLD = frozenset({0, 2})
PLAIN_PRIMARIES = frozenset({0, 1, 2, 5, 6, 7})
PLAIN_TRANSFERS = frozenset({0, 1, 2, 4, 5, 6, 7, 13, 14, 15})
NAMES = {9: "BT.2020", 11: "P3", 12: "P3"}  # of primaries
TRANSFERS = {PQ: "PQ", HLG: "HLG"}
KEPT = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")  # of a PNG for a PNG, as they are
SIZE = b"pHYs"
SPACE = slice(16, 20)  # of a profile: the channels that it is for
SPACES = {"gray": b"GRAY", "rgb": b"RGB ", "yuv": b"RGB "}  # by the family of a layout

_SHAPE = struct.Struct(">IIB")  # pixels a unit, across and down, and the unit
_NAMED = re.compile(rb"sRGB|s\0R\0G\0B")  # in a profile's description, older and newer


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes along with the samples."""

    chunks: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])  # of the PNG, in their order
    notes: tuple[str, ...] = ()  # what does not, a line each


def carried(info: VideoInfo) -> Carried:
    """What PNG pictures can carry of the source `info` besides its samples."""
    return _of_pictures(info) if info.stills else _of_video(info)


def lost_in_video(info: VideoInfo) -> list[str]:
    """What a video cannot carry of its pictures, a line each: a profile of colours that are not sRGB."""
    if not info.stills:
        return []
    profile = _profile(_first(info))
    if not profile or _NAMED.search(profile):
        return []
    return ["the pictures' colour profile dropped: videos hold none, so that colours may look otherwise"]


def _of_video(info: VideoInfo) -> Carried:
    declared = read_declared(info)
    chunks, notes = _colours(info, declared)
    notes = [*_streams(info), *_shape(info), *notes]
    notes += [f"{kind} dropped: pictures do not carry it" for kind in declared.dropped]
    return Carried(chunks, tuple(notes))


def _streams(info: VideoInfo) -> list[str]:
    with opened(info.path) as source:
        there = {
            "sound": bool(source.streams.audio),
            "subtitles": bool(source.streams.subtitles),
            "chapters": bool(source.chapters()),
        }
    lost = [kind for kind, found in there.items() if found]
    return [f"pictures carry no {' and no '.join(lost)}"] if lost else []


def _shape(info: VideoInfo) -> list[str]:
    """A line where samples are not square: PNG's own field means the reverse to libav of what its standard says."""
    aspect = 1 / info.sample_aspect if info.turns % 2 else info.sample_aspect
    if aspect == 1:
        return []
    told = f"{aspect.numerator}:{aspect.denominator}"
    return [f"the shape of samples, {told}, dropped: programs read it from pictures in contrary ways"]


def _colours(info: VideoInfo, declared: Declared) -> tuple[dict[bytes, bytes], list[str]]:
    primaries, transfer = info.colour.primaries, info.colour.transfer
    if primaries in PLAIN_PRIMARIES and transfer in PLAIN_TRANSFERS:
        return {}, []
    names = [name for name in (TRANSFERS.get(transfer), NAMES.get(primaries)) if name] or ["unusual"]
    if primaries in UNTOLD or transfer in UNTOLD:
        return {}, [f"the video's colours ({', '.join(names)}) are told in part only, and pictures say nothing of them"]
    chunks = {b"cICP": bytes((primaries, transfer, 0, 1))}  # RGB of full range
    if display := declared.mastering:
        places = (*display.red, *display.green, *display.blue, *display.white)
        chunks |= _packed(b"mDCV", ">8H2I", *places, display.brightest, display.darkest)
    if declared.light:
        chunks |= _packed(b"cLLI", ">2I", *(LUMINANCE * light for light in declared.light))
    look = "pale" if is_hdr(transfer) else "otherwise"
    return chunks, [f"the pictures' colours are {', '.join(names)}: programs that do not know cICP show them {look}"]


def _packed(kind: bytes, form: str, *numbers: int) -> dict[bytes, bytes]:
    """A chunk of numbers; none where the source tells some that no display has and the chunk cannot hold."""
    with suppress(struct.error):
        return {kind: struct.pack(form, *numbers)}
    return {}


def _of_pictures(info: VideoInfo) -> Carried:
    data = _first(info)
    own = png.said(data)
    if own:
        return Carried({kind: own[kind] for kind in KEPT if kind in own} | _shape_of(own, info))
    profile, notes = _profile(data), _shape(info)
    if profile and profile[SPACE] != SPACES[info.layout.family]:
        notes.append("the pictures' colour profile dropped: it is of other channels than the result's")
    elif profile:
        return Carried({b"iCCP": b"icc\0\0" + zlib.compress(profile)}, tuple(notes))
    return Carried(notes=tuple(notes))


def _shape_of(own: Mapping[bytes, bytes], info: VideoInfo) -> dict[bytes, bytes]:
    """The pixels' size as a PNG says it, for the picture as it stands in the result; nothing where it is no size."""
    if len(own.get(SIZE, b"")) != _SHAPE.size:
        return {}
    across, down, unit = _SHAPE.unpack(own[SIZE])
    if not 0 < across <= png.LARGEST or not 0 < down <= png.LARGEST:  # libav writes 0 and 1 where it knows nothing
        return {}
    return {SIZE: _SHAPE.pack(*((down, across) if info.turns % 2 else (across, down)), unit)}


def _first(info: VideoInfo) -> bytes:
    """The first of the pictures that tells what it is, the one that counts for all."""
    for _, path in find_sequence(info.path).files:
        with suppress(OSError, SyntaxError, ValueError), Image.open(path, formats=FORMATS):
            return path.read_bytes()
    return b""


def _profile(data: bytes) -> bytes:
    """The colour profile (ICC) of a picture file; empty where it has none that can be read."""
    with suppress(OSError, SyntaxError, ValueError), Image.open(BytesIO(data), formats=FORMATS) as image:
        found = image.info.get("icc_profile")
        return found if isinstance(found, bytes) else b""
    return b""
