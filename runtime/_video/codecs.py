"""The codecs that videos are written with: where each may lie, what it can hold, and what its encoder is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
from av.codec import Codec as LibavCodec

from runtime._video.declared import Declared
from runtime._video.encodable import CHROMA, Encodable, Vessel, encodable
from runtime._video.file import VideoInfo
from runtime._video.formats import format_name, layout_of
from runtime.errors import OutputError
from runtime.frame import Layout

SOURCE = "source"
AVX512F = 13  # OpenCV's number of that feature (opencv2/core/cvdef.h)
LARGE = 4_000_000  # pixels; a 10-bit picture of 4K is 25 MB, and encoders keep several forms of each
AHEAD_IF_LARGE = 4
SEGMENT_FRAMES = 120  # what a kill costs at most; each segment begins with a key frame
_TOLD = ("crf", "qp", "preset", "cpu-used", "profile", "level")  # options that people ask for
KEPT_BITS = 10  # a codec that cannot keep as many of the source's does not stand in for itself


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the user chose; checked against the video when the writer opens."""

    codec: str = SOURCE  # the video's own where it can be written, or one of `CODECS`
    crf: int | None = None  # None: the codec's default
    preset: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What an encoder is to do."""

    layout: Layout
    crf: int
    preset: str
    profile: str | None  # of the source, where it is of the same codec
    threads: int
    large: bool  # whether every picture that the encoder looks ahead to counts
    declared: Declared


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec."""

    title: str  # in messages
    encoder: str  # libav's name
    suffixes: tuple[str, ...]  # of the containers that it may lie in
    options: Callable[[Wish], dict[str, str]]
    crf: range = range(0)  # empty: it has no such setting
    default_crf: int = 0
    presets: tuple[str, ...] = ()  # the quickest and worst first; empty: it has none
    default_preset: str = ""
    whole_grid: bool = False  # whether the size must be a multiple of the chroma grid
    least: int = 1  # pixels in either direction
    mastering: bool = False  # whether its stream tells what display the pictures were mastered on
    frame_threads: bool = False  # whether libav must be told to give each thread a picture of its own
    tag: str | None = None  # in .mp4 and .mov, where libav's choice does not play everywhere


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a video leaves."""

    codec: Codec
    form: Encodable
    pixels: str  # libav's name of the pixel format
    options: dict[str, str]  # of the encoder
    declared: Declared  # of the source
    notes: tuple[str, ...]

    @property
    def told(self) -> str:
        """All of it for people, such as `H.264 (libx264), crf 18, preset veryfast, yuv420p`."""
        settings = [f"{name} {self.options[name]}" for name in _TOLD if name in self.options]
        return ", ".join((f"{self.codec.title} ({self.codec.encoder})", *settings, self.pixels))


def choose(out: Path, encoding: Encoding, info: VideoInfo, declared: Declared, threads: int) -> Chosen:
    """The codec and the form in which the video leaves as `out`; raises `OutputError` when it cannot as asked."""
    name, notes = (encoding.codec, ()) if encoding.codec != SOURCE else _instead_of_source(out, info)
    codec = CODECS[name]
    why, form = _why_not(codec, out, info), _form(codec, info)
    if why or form is None:
        raise OutputError(f"{out}: {why}; wanted {_remedy(codec, out, info)}")
    crf, preset = _checked(codec, encoding)
    profile = info.profile if codec_of(info) == name else None
    options = codec.options(
        Wish(form.layout, crf, preset, profile, threads, info.width * info.height > LARGE, declared)
    )
    dropped = [f"{kind} dropped: no encoder here takes it" for kind in declared.dropped]
    if (declared.mastering or declared.light) and not codec.mastering and codec_of(info) != name:
        dropped.append(f"what display the video was mastered on dropped: {codec.title} does not tell")
    return Chosen(codec, form, forms(codec.encoder)[form.layout], options, declared, (*notes, *form.notes, *dropped))


def codec_of(info: VideoInfo) -> str:
    """The name of the video's codec, whatever decodes it."""
    return info.codec if info.stills else LibavCodec(info.codec, "r").canonical_name


@lru_cache(maxsize=16)
def forms(encoder: str) -> dict[Layout, str]:
    """The layouts that the encoder takes, and libav's name of the pixel format of each."""
    names = [form.name for form in LibavCodec(encoder, "w").video_formats or ()]
    found = {layout: name for name in names if (layout := layout_of(name)) and format_name(layout) == name}
    if "bgr0" in names:  # planes of the same samples can be packed
        found.setdefault(Layout("rgb", 8, 0, 0), "bgr0")
    return found


def _instead_of_source(out: Path, info: VideoInfo) -> tuple[str, tuple[str, ...]]:
    """The name of the codec for a video whose own one is wanted, and a note where it is another."""
    name = codec_of(info)
    own = CODECS.get(name)
    if own is None:
        why = "it is not written here"
    elif (why := _why_not(own, out, info)) is None:
        return name, ()
    deep = info.layout.bits > 8  # hardly anything plays H.264 of 10 bits
    other = ("av1" if deep else "vp9") if out.suffix.lower() == ".webm" else "hevc" if deep else "h264"
    return other, () if info.stills else (f"{name} leaves as {CODECS[other].title}: {why}",)


def _why_not(codec: Codec, out: Path, info: VideoInfo) -> str | None:
    """Why the codec cannot stand for the video in `out`; None where it can."""
    suffix = out.suffix.lower()
    if suffix not in codec.suffixes:
        return f"{codec.title} does not go into {suffix}, but into {', '.join(codec.suffixes)}"
    if min(info.width, info.height) < codec.least:
        return f"{codec.title} takes no less than {codec.least}x{codec.least} pixels here"
    form = _form(codec, info)
    if form is None:
        held = sorted({CHROMA[layout.chroma_shift_x, layout.chroma_shift_y] for layout in forms(codec.encoder)})
        kind = "RGB" if info.layout.family == "rgb" else CHROMA[info.layout.chroma_shift_x, info.layout.chroma_shift_y]
        return f"{codec.title} is written in {', '.join(held)} only here, the video is {kind}"
    if form.layout.bits < min(info.layout.bits, KEPT_BITS):
        return f"{codec.title} holds {form.layout.bits} bits a sample here, the video has {info.layout.bits}"
    return None


def _remedy(codec: Codec, out: Path, info: VideoInfo) -> str:
    """What to ask for where the codec cannot stand for the video in `out`; what would be refused again is not named."""
    others = [out.with_suffix(suffix) for suffix in codec.suffixes]
    places = [f"--out {other}" for other in others if _why_not(codec, other, info) is None]
    codecs = [name for name, other in CODECS.items() if _why_not(other, out, info) is None]
    ways = [*places[:1], *([f"another --codec, of: {', '.join(codecs)}"] if codecs else [])]
    return ", or ".join(ways) or f"pictures, as --out {out.with_suffix('')}/%05d.png"


def _form(codec: Codec, info: VideoInfo) -> Encodable | None:
    vessel = Vessel(codec.title, forms(codec.encoder), codec.whole_grid)
    return encodable(info.layout, info.colour, info.width, info.height, vessel)


def _checked(codec: Codec, encoding: Encoding) -> tuple[int, str]:
    crf, preset = encoding.crf, encoding.preset
    if crf is not None and not codec.crf:
        raise OutputError(f"--crf {crf}: {codec.title} has no such setting; leave it out, or choose --codec h264")
    if crf is not None and crf not in codec.crf:
        raise OutputError(f"--crf {crf}: {codec.title} takes {codec.crf[0]} (best) to {codec.crf[-1]}")
    if preset is not None and not codec.presets:
        raise OutputError(f"--preset {preset}: {codec.title} has none; leave it out, or choose --codec h264")
    if preset is not None and preset not in codec.presets:
        raise OutputError(f"--preset {preset}: {codec.title} takes one of {', '.join(codec.presets)}")
    return codec.default_crf if crf is None else crf, codec.default_preset if preset is None else preset


def _h264(wish: Wish) -> dict[str, str]:
    # Qp 0 is lossless at any depth, crf 0 at 8 bits only.
    options = {"crf": str(wish.crf)} if wish.crf else {"qp": "0"}
    profile = {"Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main"}.get(wish.profile or "")
    if profile and wish.crf and wish.layout == Layout("yuv", 8, 1, 1):
        options["profile"] = profile
    # One IDR picture a segment: were the last of one and the first of the next both IDR, their numbers would have to
    # differ (H.264, 7.4.3: idr_pic_id).
    params = f"keyint={2 * SEGMENT_FRAMES}:min-keyint={SEGMENT_FRAMES}"
    params += f":rc-lookahead={AHEAD_IF_LARGE}" if wish.large else ""
    # With AVX-512 its macroblock tree reads memory that nobody wrote, and the same pictures become other packets every
    # time (x264 165 at 320x180; not with AVX2).
    params += ":asm=avx2,bmi2,fma3" if cv2.checkHardwareSupport(AVX512F) else ""
    params += f":mastering-display={wish.declared.mastering.text}" if wish.declared.mastering else ""
    params += f":cll={_pair(wish.declared.light)}" if wish.declared.light else ""
    return {**options, "preset": wish.preset, "threads": str(wish.threads), "x264-params": params}


def _hevc(wish: Wish) -> dict[str, str]:
    params = f"log-level=error:info=0:pools={wish.threads}:frame-threads={1 if wish.large else min(wish.threads, 4)}"
    params += f":bframes=3:rc-lookahead={AHEAD_IF_LARGE}" if wish.large else ""
    params += f":master-display={wish.declared.mastering.text}" if wish.declared.mastering else ""
    params += f":max-cll={_pair(wish.declared.light)}" if wish.declared.light else ""
    return {"crf": str(wish.crf), "preset": wish.preset, "x265-params": params + ("" if wish.crf else ":lossless=1")}


def _vp9(wish: Wish) -> dict[str, str]:
    lossless = {} if wish.crf else {"lossless": "1"}
    speed = {"deadline": "good", "cpu-used": wish.preset, "row-mt": "1", "threads": str(wish.threads)}
    return {"crf": str(wish.crf), "b": "0", **speed, **lossless}


def _av1(wish: Wish) -> dict[str, str]:
    params = f"lp={wish.threads}"
    params += f":mastering-display={wish.declared.mastering.plain_text}" if wish.declared.mastering else ""
    params += f":content-light={_pair(wish.declared.light)}" if wish.declared.light else ""
    return {"crf": str(wish.crf), "preset": wish.preset, "svtav1-params": params}


def _ffv1(wish: Wish) -> dict[str, str]:
    return {"level": "3", "slicecrc": "1", "threads": str(wish.threads)}


def _prores(wish: Wish) -> dict[str, str]:
    """The source's profile where it holds the layout, else the best one that is usual for it."""
    if wish.layout.chroma_shift_x:
        own, usual = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq"}, "hq"
    else:
        own, usual = {"4444": "4444", "XQ": "4444xq"}, "4444"
    return {"profile": own.get(wish.profile or "", usual), "threads": str(wish.threads)}


def _pair(light: tuple[int, int]) -> str:
    return f"{light[0]},{light[1]}"


_ISO, _WEB = (".mp4", ".mov", ".mkv"), (".webm", ".mkv", ".mp4")
_NAMED = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_NINE, _FOURTEEN = tuple("876543210"), tuple(str(speed) for speed in range(13, -1, -1))

CODECS = {
    "h264": Codec(
        "H.264", "libx264", _ISO, _h264, range(52), 18, _NAMED, "veryfast", True, 1, True, frame_threads=True
    ),
    "hevc": Codec("HEVC", "libx265", _ISO, _hevc, range(52), 20, _NAMED, "veryfast", True, 16, True, tag="hvc1"),
    "vp9": Codec("VP9", "libvpx-vp9", _WEB, _vp9, range(64), 24, _NINE, "5"),
    "av1": Codec("AV1", "libsvtav1", _WEB, _av1, range(1, 64), 24, _FOURTEEN, "8", least=8, mastering=True),
    "ffv1": Codec("FFV1", "ffv1", (".mkv",), _ffv1),
    "prores": Codec("ProRes", "prores_ks", (".mov", ".mkv"), _prores),
}
