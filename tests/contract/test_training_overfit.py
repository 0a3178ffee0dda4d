"""The objective, the step and the network together can learn a clip by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from calib.random_masks import random_masks
from models._spec import Size
from models.sttn import SPEC, variant
from tests.tolerances import TOLERANCE
from tests.trained import HERE, Waves
from training.config import Config, Model, Objective, Optimiser, Phase, Speed
from training.sample import Batch, Sample, batched
from training.schedule import rate
from training.state import first_state
from training.step import Trainer
from training.validation import measure

SIZE = Size(144, 96)
NARROW = variant("narrow", "for tests", size=SIZE, parameters=0, channels=32, blocks=2)
CONFIG = Config(
    phases=(Phase(160, SIZE, frames=5, batch=1),),
    model=Model(variant="narrow", initial="scaled"),
    objective=Objective(adversarial=0.0),
    # the first moment, which a game against a discriminator goes without, is worth having against a fixed target
    optimiser=Optimiser(rate=3e-3, beta1=0.9, schedule="cosine", warmup=10, clip=1.0, average=0.9),
    speed=Speed(precision="float32", channels_last=True),
)


@pytest.mark.slow
def test_a_clip_of_five_frames_is_learnt_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """144x96, whose patches are 36x24, 12x8, 6x4 and 3x2; the averaged weights fill its holes to over 35 dB."""
    monkeypatch.setattr("models.sttn.SPEC", replace(SPEC, variants=(*SPEC.variants, NARROW)))
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    frames = Waves().draw(generator, 5, SIZE).frames
    holes = random_masks(generator, 5, SIZE.width, SIZE.height)
    batch = batched([Sample(frames, holes, ())])
    trainer = Trainer(CONFIG, CONFIG.phases[0], HERE, first_state(CONFIG))
    before = _filled(trainer, batch)
    for step in range(CONFIG.steps):
        trainer.step(batch, rate(CONFIG.optimiser, step, CONFIG.steps))
    wanted = TOLERANCE["overfit", "db in the hole"]
    assert before < wanted / 2
    assert _filled(trainer, batch) > wanted


def _filled(trainer: Trainer, batch: Batch) -> float:
    """What the averaged network fills in, dB."""
    return measure(CONFIG, trainer.average.state, SIZE, [batch])
