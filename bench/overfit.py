"""How well a network learns a few frames of a clip by heart: whether objective, step and network work together.

    python bench.py overfit CLIP --minutes 3

The network begins from random weights; the frames and the hole, one of the random generator's, are the same in every
step.  A line after every tenth of the time tells the dB in the hole: of the averaged weights, at 8 bits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import models
from calib.evaluation.scene import read_clip
from calib.random_masks import random_masks
from models._spec import Size
from runtime.errors import VidmendError
from training.config import Config, Model, Objective, Optimiser, Phase, Speed
from training.distributed import joined
from training.sample import Batch, Sample, batched
from training.state import first_state
from training.step import Trainer
from training.validation import measure

_SIZE, _FRAMES = Size(144, 96), 5
_LINES = 10  # of progress
_WARM = 40  # steps until the rate is whole: without them deep networks lose themselves in the first


def main(arguments: Sequence[str]) -> int:
    """Print a line at every tenth of the time; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        pictures = read_clip(options.clip, (_SIZE.width, _SIZE.height), _FRAMES)
    except VidmendError as error:
        print(f"bench.overfit: {error}", file=sys.stderr)
        return error.exit_code
    holes = random_masks(np.random.default_rng(options.seed), len(pictures), _SIZE.width, _SIZE.height)
    _learn(batched([Sample(np.stack(pictures), holes, ())]), _config(options), 60 * options.minutes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.overfit", description=f"Learn {_FRAMES} frames at {_SIZE} by heart.", allow_abbrev=False
    )
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2e-3, help="of learning, falling to 0 (default: %(default)s)")
    variants = [variant.name for variant in models.get(models.DEFAULT).variants]
    parser.add_argument("--variant", default="small", choices=variants, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the hole (default: %(default)s)")
    return parser


def _config(options: argparse.Namespace) -> Config:
    """No discriminator: it is the picture that is to be learnt.  Time and not steps says when the run is over."""
    return Config(
        phases=(Phase(1, _SIZE, frames=_FRAMES, batch=1),),
        model=Model(variant=options.variant, initial="scaled"),
        objective=Objective(adversarial=0.0, squared=0.7, valid=0.1),
        # the first moment, which a game against a discriminator goes without, is worth having against a fixed target
        optimiser=Optimiser(rate=options.rate, beta1=0.9, beta2=0.99, clip=1.0, average=0.9),
        speed=Speed(precision="auto", channels_last=True),
        seed=options.seed,
    )


def _learn(batch: Batch, config: Config, seconds: float) -> None:
    with joined("cpu") as world:
        trainer = Trainer(config, config.phases[0], world, first_state(config))
        print(f"before: {_filled(trainer, batch):.2f} dB in the hole", flush=True)
        spent, shown = 0.0, 0
        while spent < seconds:
            started = time.perf_counter()
            rising, falling = min(1.0, (trainer.done + 1) / _WARM), 1 - spent / seconds
            trainer.step(batch, config.optimiser.rate * rising * falling)
            spent += time.perf_counter() - started
            if spent * _LINES >= (shown + 1) * seconds:
                shown = int(spent * _LINES / seconds)
                found = _filled(trainer, batch)
                print(f"{spent:5.0f} s, {trainer.done} steps: {found:.2f} dB in the hole", flush=True)


def _filled(trainer: Trainer, batch: Batch) -> float:
    return measure(trainer.config, trainer.average.state, _SIZE, [batch])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
