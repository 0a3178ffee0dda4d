"""What a training run is told: a TOML file as frozen dataclasses, refusing whatever they do not name."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from models._spec import Size
from runtime.errors import UsageError
from training._strict import Mismatch, decode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Config", "Data", "Model", "Objective", "Optimiser", "Phase", "Record", "Speed", "Validation", "read_config"]


_BELOW_ONE = 0.99999  # a moment that is never forgotten would never begin to move


def _least(low: float, default: Any) -> Any:
    return field(default=default, metadata={"low": low})


def _between(low: float, high: float, default: Any) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Model:
    """The network that is trained."""

    name: str = "sttn"
    variant: str = "small"
    init: Path | None = None  # weights to begin with; none: they are drawn
    initial: Literal["published", "scaled"] = "published"  # how; scaled: by each layer's inputs


@dataclass(frozen=True, slots=True)
class Source:
    """Clips as published: `<root>/<name>/<split>.json` and `<root>/<name>/JPEGImages/<id>.zip`."""

    name: str
    split: str = "train"
    weight: float = _least(0.0, 1.0)  # how often this source is drawn from, beside the others


@dataclass(frozen=True, slots=True)
class Photographs:
    """Pictures that become clips by camera motion."""

    folder: Path
    stickers: Path | None = None  # cut-outs with an alpha channel, moving in front
    weight: float = _least(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Data:
    """Where samples come from."""

    root: Path = Path("datasets")
    clips: tuple[Source, ...] = ()
    photographs: tuple[Photographs, ...] = ()
    smallest_crop: float = _between(0.05, 1.0, 1.0)  # share of the sides of the largest crop; 1: that one
    holes: int = field(default=1, metadata={"low": 1, "high": 8})  # shapes of a sample at most; 1: one, as published
    scattered: float = _between(0.0, 1.0, 0.0)  # share of samples whose holes are elsewhere in every frame
    apart: int = field(default=1, metadata={"low": 1, "high": 60})  # frames from one neighbour to the next at most
    workers: int = _between(0, 256, 2)  # processes that read ahead, for each process that trains; 0: it reads itself


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run with samples of one form."""

    steps: int = field(metadata={"low": 1})
    size: Size
    frames: int = _least(1, 5)
    batch: int = _least(1, 8)  # samples a step, over all processes together
    patches: tuple[Size, ...] = ()  # of the heads, in features; none: the network's own for that size
    blocks: int = _least(0, 0)  # of the network that take part, the first ones; 0: all
    forcing: float = _between(0.0, 1.0, 0.0)  # share of steps in which the first blocks look where they should


@dataclass(frozen=True, slots=True)
class Objective:
    """The weights of the losses (paper, eq. 11: 1, 1 and 0.01)."""

    hole: float = _least(0.0, 1.0)
    valid: float = _least(0.0, 1.0)
    adversarial: float = _least(0.0, 0.01)  # 0: no discriminator is made
    game: Literal["hinge", "lsgan", "nsgan"] = "hinge"
    discriminator_channels: int = _least(1, 64)
    normalised: Literal["published", "all"] = "published"
    chained: bool = False  # the discriminator sees a batch as one clip, as published
    distillation: float = _least(0.0, 0.0)  # weight of L1, in the hole, to the teacher's prediction
    teacher: Path | None = None
    teacher_variant: str = "official"
    guidance: float = _least(0.0, 0.0)  # weight of showing attention where a hole's content is in sight
    squared: float = _between(0.0, 1.0, 0.0)  # share of the hole's loss that is of squared differences
    seamless: float = _between(0.0, 1.0, 0.0)  # share that is of fills moved to continue the clip, as a run moves them


@dataclass(frozen=True, slots=True)
class Optimiser:
    """What moves the weights, and how its rate goes."""

    method: Literal["adam", "muon"] = "adam"  # of the generator; the discriminator's is Adam, as published
    rate: float = _between(0.0, 1.0, 1e-4)
    beta1: float = _between(0.0, _BELOW_ONE, 0.0)
    beta2: float = _between(0.0, _BELOW_ONE, 0.99)
    schedule: Literal["staircase", "cosine"] = "staircase"
    stair: int = _least(1, 150_000)  # steps until the rate falls to a tenth, as published for YouTube-VOS
    last_stair: int = _least(1, 300_000)  # no fall after this step, as published
    warmup: int = _least(0, 0)  # steps of linear rise before the cosine
    floor: float = _between(0.0, 1.0, 0.01)  # of the cosine, as a share of `rate`
    clip: float = _least(0.0, 0.0)  # largest norm of the generator's gradient; 0: not limited, as published
    average: float = _between(0.0, 1.0, 0.999)  # of the averaged weights, kept a step; 0: the weights themselves


@dataclass(frozen=True, slots=True)
class Speed:
    """What changes the time that a step takes and, but for rounding, nothing else."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where the processor computes in it
    channels_last: bool = False
    compile: bool = False
    threads: int = _between(0, 4096, 0)  # of PyTorch on the processor; 0: its own choice


@dataclass(frozen=True, slots=True)
class Record:
    """How often something is written down; in steps, 0: never."""

    checkpoint: int = _least(1, 10_000)
    keep: int = _least(1, 3)  # checkpoints; what is older is deleted
    log: int = _least(1, 20)
    sheet: int = _least(0, 1_000)
    tensorboard: bool = True


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out clips with fixed masks."""

    every: int = _least(0, 0)  # steps; 0: never
    clips: tuple[Source, ...] = ()
    samples: int = _least(1, 16)
    frames: int = _least(1, 8)
    size: Size | None = None  # none: the last phase's


@dataclass(frozen=True, slots=True)
class Config:
    """A whole run; what a file leaves out is as published."""

    phases: tuple[Phase, ...]
    seed: int = field(default=2020, metadata={"low": 0, "high": 2**32 - 2})  # what NumPy takes, and one more
    model: Model = Model()
    data: Data = Data()
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()
    speed: Speed = Speed()
    record: Record = Record()
    validation: Validation = Validation()

    @property
    def steps(self) -> int:
        """Of all phases together."""
        return sum(phase.steps for phase in self.phases)

    @property
    def validated_size(self) -> Size:
        """Of the samples that validation takes."""
        return self.validation.size or self.phases[-1].size

    def patches_at(self, size: Size) -> tuple[Size, ...]:
        """The heads' patches at the size of a phase; none where no phase has that size."""
        return next((phase.patches for phase in self.phases if phase.size == size), ())

    def described(self) -> dict[str, str]:
        """All keys that decide what is learnt, and their values as text."""
        free = {"data.workers", "speed.threads"}
        texts = _flat(self, "")
        return {key: text for key, text in texts.items() if key not in free and not key.startswith("record.")}

    def plain(self) -> Config:
        """The same phases with nothing said beyond what they must say."""
        return Config(tuple(Phase(phase.steps, phase.size) for phase in self.phases))


def _flat(value: Any, where: str) -> dict[str, str]:
    if isinstance(value, tuple):
        named = [(f"{where}[{index}]", item) for index, item in enumerate(cast("tuple[object, ...]", value))]
    elif dataclasses.is_dataclass(value) and not isinstance(value, Size):
        inside = f"{where}." if where else ""
        named = [(f"{inside}{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    else:
        return {where: str(value)}
    return {key: text for name, item in named for key, text in _flat(item, name).items()}


def read_config(path: Path) -> Config:
    """The run that a TOML file describes; its paths are taken as they stand, from where the program is started.

    Raises `UsageError`, naming the key, what was found and what was wanted.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no TOML: {error}") from None
    try:
        config = cast("Config", decode(Config, tables))
    except Mismatch as error:
        raise UsageError(f"{path}: {error}") from None
    if complaint := _contradiction(config):
        raise UsageError(f"{path}: {complaint}")
    return config


def _contradiction(config: Config) -> str | None:
    """What no single key is to blame for."""
    if not config.phases:
        return "phases: found none, wanted at least one [[phases]] with steps and size"
    if config.objective.distillation and config.objective.teacher is None:
        return "objective.distillation: needs objective.teacher, the checkpoint to learn from"
    if config.validation.every and not config.validation.clips:
        return "validation.every: needs [[validation.clips]], the clips that are held out"
    return None
