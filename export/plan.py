"""What an export will make, decided and checked before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import models
from calib.report import REPORT
from export.checkpoint import Checkpoint, choose_variant, read_checkpoint
from export.choice import check_range, choose_targets, half_of, precision_notes
from export.engines import Job, lengths
from export.fatbin import NAME as KERNELS
from export.int8 import RANGES, Order
from export.targets._target import Half, Options, Target
from models._spec import ModelSpec, Size, Variant, Window
from runtime.bundle import LONGEST_SIDE, MANIFEST, PixelRule
from runtime.errors import UsageError

WEIGHTS = Path(__file__).resolve().parent.parent / "assets" / "weights"


@dataclass(frozen=True, slots=True)
class Request:
    """The command line's wishes; None where it has none."""

    checkpoint: Path | None
    model: str
    variant: str | None
    out: Path | None
    targets: Sequence[str]  # none: what is installed here, where a half precision is asked for
    fp16: bool
    size: Size | None
    frames: tuple[int, int] | None  # targets, references
    bf16: bool = False
    options: Options = field(default_factory=Options)
    int8: Order | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A decided export."""

    spec: ModelSpec
    variant: Variant
    checkpoint: Checkpoint
    size: Size
    window: Window
    fixed: bool  # the transformer takes exactly the window's frames
    targets: tuple[Target, ...]
    out: Path
    notes: tuple[str, ...]  # what the user should know, one line each
    half: Half | None = None  # in which graphs are written besides, for engines to be compiled from
    options: Options = field(default_factory=Options)  # how engines are built
    int8: Order | None = None  # from what graphs in int8 are made besides

    @property
    def job(self) -> Job:
        """What the stages are compiled to."""
        window = (self.window.targets, self.window.references)
        return Job(self.targets, self.options, lengths(window, self.options.frames))


def make_plan(request: Request) -> Plan:
    """Check the wishes and read the checkpoint; raises a `VidmendError` that names the first thing that cannot be."""
    half = half_of(fp16=request.fp16, bf16=request.bf16)
    if half is not None and request.int8 is not None:
        raise UsageError("--int8 and --fp16 or --bf16: choose one of them")
    chosen = choose_targets(request.targets, "int8" if request.int8 else half, request.options)
    spec = _spec(request.model)
    if request.variant is not None:
        _variant(spec, request.variant)
    path = request.checkpoint or WEIGHTS / f"{spec.name}-{request.variant or spec.default_variant}.safetensors"
    if request.checkpoint is None and not path.is_file():
        raise UsageError(f"no weights of {spec.name} '{request.variant}' come with this program; name a checkpoint")
    checkpoint = read_checkpoint(path, spec.containers)
    variant = choose_variant(checkpoint, spec, request.variant)
    size = request.size or variant.size
    try:
        variant.build(size)
    except ValueError as error:
        raise UsageError(f"--size {size}: {error} ({spec.size_rule})") from None
    fixed = request.frames is not None or any(target.fixed_window for target in chosen)
    if request.options.frames is not None:
        if request.frames is not None:
            raise UsageError("--frames and --frames-range: a fixed window, or windows of a range of lengths")
        check_range(request.options.frames, (variant.window.targets, variant.window.references))
        fixed = False
    return Plan(
        spec=spec,
        variant=variant,
        checkpoint=checkpoint,
        size=size,
        window=_window(variant, request.frames),
        fixed=fixed,
        targets=chosen,
        out=request.out or _default_out(spec, variant, size, request),
        notes=() if half is None else precision_notes(chosen),
        half=half,
        options=request.options,
        int8=request.int8,
    )


def describe(plan: Plan) -> list[str]:
    """What the plan makes, in lines for people."""
    window = f"{plan.window.targets}+{plan.window.references} frames (targets+references)"
    files = ["encoder", "transformer", "decoder"]
    others = [MANIFEST, KERNELS, *([RANGES, REPORT] if plan.int8 else [])]
    narrow = "int8" if plan.int8 else plan.half
    kinds = [".onnx", *([f".{narrow}.onnx"] if narrow else [])]
    parts = ["decoder.part.onnx", *(["decoder.part.int8.onnx"] if plan.int8 else [])]
    kinds += [f".{target.name}...{target.suffix}" for target in plan.targets if target.compiler is not None]
    return [
        f"network     {plan.spec.name} '{plan.variant.name}': {plan.variant.summary}",
        f"weights     {plan.checkpoint.path} (licence: {plan.checkpoint.licence})",
        f"pictures    {plan.size}",
        f"windows     {'exactly' if plan.fixed else 'any number of frames per call; schedule steady takes'} {window}",
        f"targets     {', '.join(target.name for target in plan.targets)}",
        f"bundle      {plan.out}: {', '.join([*(file + kind for kind in kinds for file in files), *parts, *others])}",
    ]


def pixel_rule(variant: Variant, size: Size) -> PixelRule:
    """How frames become the network's input."""
    pixels = variant.pixels
    return PixelRule(
        width=size.width,
        height=size.height,
        colour_order=pixels.colour_order,
        low=pixels.low,
        high=pixels.high,
        mask_applied=pixels.mask_applied,
        hole_value=pixels.hole_value,
        resize="bicubic-antialias",
        dilate=pixels.dilate,
    )


def parse_size(text: str) -> Size:
    """`WxH` in pixels; raises `UsageError`."""
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if not found:
        raise UsageError(f"--size {text}: wanted WIDTHxHEIGHT in pixels, such as 432x240")
    size = Size(int(found[1]), int(found[2]))
    if max(size.width, size.height) > LONGEST_SIDE:
        raise UsageError(f"--size {text}: a bundle's sides end at {LONGEST_SIDE} pixels")
    return size


def parse_frames(text: str) -> tuple[int, int]:
    """`targets+references`, such as 11+5; raises `UsageError`."""
    found = re.fullmatch(r"([1-9]\d{0,2})\+(\d{1,3})", text)
    if not found:
        raise UsageError(f"--frames {text}: wanted TARGETS+REFERENCES, such as 11+5, with at least one target")
    return int(found[1]), int(found[2])


def _spec(name: str) -> ModelSpec:
    try:
        return models.get(name)
    except LookupError as error:
        raise UsageError(f"--model {name}: {error.args[0]}") from None


def _variant(spec: ModelSpec, name: str) -> Variant:
    try:
        return spec.variant(name)
    except LookupError as error:
        raise UsageError(f"--variant {name}: {error.args[0]}") from None


def _window(variant: Variant, frames: tuple[int, int] | None) -> Window:
    """The variant's own numbers, or those asked for, with windows that overlap by half as the published ones do."""
    if frames is None:
        return variant.window
    wanted, references = frames
    stride = max(1, (wanted - 1) // 2)
    return replace(variant.window, targets=wanted, references=references, neighbour_stride=stride)


def _default_out(spec: ModelSpec, variant: Variant, size: Size, request: Request) -> Path:
    parts = [spec.name, variant.name]
    parts += [str(size)] if size != variant.size else []
    parts += [f"{request.frames[0]}+{request.frames[1]}"] if request.frames else []
    parts += ["int8"] if request.int8 else []
    return Path("bundles") / "-".join(parts)
