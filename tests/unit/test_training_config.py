"""A run's configuration: what is read, and what is refused in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from models._spec import Size
from runtime.errors import UsageError
from tests.guard.sources import ROOT
from training.config import Config, Phase, read_config
from training.settings import check

PHASE = '[[phases]]\nsteps = 3\nsize = "96x48"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_file_leaves_out_is_as_published(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, PHASE))
    objective, optimiser = config.objective, config.optimiser
    assert (objective.hole, objective.valid, objective.adversarial, objective.game) == (1, 1, 0.01, "hinge")
    assert (optimiser.rate, optimiser.beta1, optimiser.beta2) == (1e-4, 0.0, 0.99)
    assert (optimiser.schedule, optimiser.stair, optimiser.last_stair) == ("staircase", 150_000, 300_000)
    assert (optimiser.clip, config.data.smallest_crop) == (0, 1)
    assert config.phases == (Phase(3, Size(96, 48), frames=5, batch=8),)


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    text = (
        "seed = 7\n[model]\ninit = 'w.pth'\n[optimiser]\nrate = 1\n[speed]\ncompile = true\n"
        "[[data.clips]]\nname = 'a'\nweight = 0.5\n[[data.clips]]\nname = 'b'\nsplit = 'test'\n"
        f"{PHASE}patches = ['24x12', '8x4', '4x2', '2x1']\n{PHASE}batch = 2\n"
    )
    config = read_config(write(tmp_path, text))
    assert (config.seed, config.model.init, config.speed.compile) == (7, Path("w.pth"), True)
    assert (type(config.optimiser.rate), config.optimiser.rate) == (float, 1.0)
    assert [(clips.name, clips.split, clips.weight) for clips in config.data.clips] == [
        ("a", "train", 0.5),
        ("b", "test", 1.0),
    ]
    assert config.phases[0].patches == (Size(24, 12), Size(8, 4), Size(4, 2), Size(2, 1))
    assert (config.phases[1].batch, config.phases[1].patches, config.steps) == (2, (), 6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "phases: missing key"),
        ("phases = []", "phases: found none, wanted at least one"),
        (f"sed = 1\n{PHASE}", "sed: unknown key, wanted one of phases, seed, model"),
        (f"[optimiser]\nlr = 1\n{PHASE}", "optimiser.lr: unknown key, wanted one of method, rate"),
        (f"seed = 99999999999999999999\n{PHASE}", "seed: found 99999999999999999999, wanted at most 4294967294"),
        (f"[optimiser]\nrate = '1'\n{PHASE}", "optimiser.rate: found '1', wanted a number"),
        (f"[optimiser]\nrate = nan\n{PHASE}", "optimiser.rate: found nan, wanted at least 0"),
        (f"[optimiser]\nrate = inf\n{PHASE}", "optimiser.rate: found inf, wanted a finite number"),
        (f"[optimiser]\nbeta1 = 1.0\n{PHASE}", "optimiser.beta1: found 1.0, wanted at most 0.99999"),
        (f"[optimiser]\nbeta2 = 1.5\n{PHASE}", "optimiser.beta2: found 1.5, wanted at most 0.99999"),
        (f"[speed]\nthreads = 5000000000\n{PHASE}", "speed.threads: found 5000000000, wanted at most 4096"),
        (f"[objective]\nhole = inf\n{PHASE}", "objective.hole: found inf, wanted a finite number"),
        (f"[model]\ninit = ''\n{PHASE}", "model.init: found '', wanted a path in quotes"),
        (f"[record]\nkeep = 0\n{PHASE}", "record.keep: found 0, wanted at least 1"),
        (f"seed = true\n{PHASE}", "seed: found true, wanted a whole number"),
        (f"seed = 1.0\n{PHASE}", "seed: found 1.0, wanted a whole number"),
        (f"[speed]\ncompile = 1\n{PHASE}", "speed.compile: found 1, wanted true or false"),
        (f"[model]\ninit = 3\n{PHASE}", "model.init: found 3, wanted a path in quotes"),
        (f"[objective]\ngame = 'chess'\n{PHASE}", "objective.game: found 'chess', wanted 'hinge' or 'lsgan'"),
        (f"model = 'small'\n{PHASE}", "model: found 'small', wanted a table"),
        ("[phases]\nsteps = 3", "phases: found a table, wanted a list"),
        (PHASE.replace("steps = 3\n", ""), "phases[0].steps: missing key"),
        (PHASE.replace("3", "0"), "phases[0].steps: found 0, wanted at least 1"),
        (PHASE.replace("96x48", "96"), "phases[0].size: found '96', wanted \"WIDTHxHEIGHT\""),
        (f"{PHASE}patches = ['4x4', 7]", 'phases[0].patches[1]: found 7, wanted "WIDTHxHEIGHT"'),
        (f"[objective]\ndistillation = 1\n{PHASE}", "objective.distillation: needs objective.teacher"),
        (f"[validation]\nevery = 5\n{PHASE}", "validation.every: needs [[validation.clips]]"),
        ("steps = = 3", "no TOML: Invalid value"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"run\.toml: cannot be read: No such file"):
        read_config(tmp_path / "run.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (PHASE.replace("96x48", "100x48"), "phases.size: sttn 'small': size 100x48: width and height must be"),
        (f"{PHASE}patches = ['24x12']", "phases.patches: found 24x12, wanted 4 that divide 24x12"),
        (f"{PHASE}patches = ['24x12', '8x4', '4x2', '7x1']", "wanted 4 that divide 24x12, the features of 96x48"),
        (f"[model]\nvariant = 'tall'\n{PHASE}", "model: model 'sttn' has no variant 'tall'; there are: small"),
        (f"[model]\nname = 'x'\n{PHASE}", "model: no model 'x'; there are: "),
        (
            f"{PHASE}{PHASE}patches = ['24x12', '12x12', '4x2', '2x1']",
            "phases.patches: two phases of 96x48 have different ones, wanted the same",
        ),
        (f"[speed]\ncompile = true\n{PHASE}forcing = 0.5\n", "phases.forcing: cannot be used with speed.compile"),
    ],
)
def test_a_network_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path, text: str, complaint: str) -> None:
    config = read_config(write(tmp_path, text))
    with pytest.raises(UsageError) as caught:
        check(config)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "training" / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_a_configuration_that_comes_along_is_one_that_runs(path: Path) -> None:
    config = read_config(path)
    check(config)
    assert config.data.clips
    assert config.model.init is None or (ROOT / config.model.init).is_file()


def test_the_published_recipe_is_the_published_one() -> None:
    config = read_config(ROOT / "training" / "configs" / "sttn-official.toml")
    default = Config(phases=config.phases)
    assert config.objective == default.objective
    assert dataclasses.replace(config.optimiser, average=default.optimiser.average) == default.optimiser
    assert [(phase.steps, str(phase.size), phase.frames, phase.batch) for phase in config.phases] == [
        (500_000, "432x240", 5, 8)
    ]


def test_what_decides_what_is_learnt_is_described_and_nothing_else(tmp_path: Path) -> None:
    described = read_config(write(tmp_path, PHASE)).described()
    assert described["phases[0].size"] == "96x48"
    assert described["optimiser.rate"] == "0.0001"
    assert not [key for key in described if key.startswith("record.") or key in {"data.workers", "speed.threads"}]
