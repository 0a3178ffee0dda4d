"""Checkpoints: friendly, unfit, damaged and hostile."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from export.checkpoint import Checkpoint, choose_variant, fitting, load, read_checkpoint
from models.sttn import SPEC
from runtime.errors import CheckpointError
from tests.tiny import TINY, tiny_network

WEIGHTS = tiny_network().state_dict()


def write_safetensors(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    path.write_bytes(save(dict(weights), {"licence": "for tests"}))


WRITERS: dict[str, Callable[[Path], None]] = {
    "netG": lambda path: torch.save({"netG": WEIGHTS}, path),
    "bare": lambda path: torch.save(WEIGHTS, path),
    "legacy pickle": lambda path: torch.save({"netG": WEIGHTS}, path, _use_new_zipfile_serialization=False),
    "DataParallel": lambda path: torch.save({f"module.{key}": value for key, value in WEIGHTS.items()}, path),
    "safetensors": lambda path: write_safetensors(path, WEIGHTS),
}


def names_the_file_in_one_line(error: pytest.ExceptionInfo[CheckpointError], path: Path) -> bool:
    return str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_of_checkpoint_gives_the_same_weights(form: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"  # no suffix: the content decides
    WRITERS[form](path)
    checkpoint = read_checkpoint(path, SPEC.containers)
    assert checkpoint.tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(checkpoint.tensors[key], WEIGHTS[key]) for key in WEIGHTS)
    network = load(checkpoint, TINY, TINY.size)
    assert all(torch.equal(value, WEIGHTS[key]) for key, value in network.state_dict().items())


def test_half_precision_weights_are_widened_without_change(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    write_safetensors(path, {key: value.half() for key, value in WEIGHTS.items()})
    checkpoint = read_checkpoint(path, SPEC.containers)
    assert checkpoint.licence == "for tests"
    for key, value in checkpoint.tensors.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, WEIGHTS[key].half().float())


def test_a_prefix_that_not_all_keys_have_is_no_wrapper(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pth"
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, path)
    assert set(read_checkpoint(path, SPEC.containers).tensors) == {"module.a", "b"}


class Hostile:
    """Unpickling it creates the folder that it names."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(form: str, tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "hostile.pth"
    if form == "plain":
        path.write_bytes(pickle.dumps(Hostile(proof), protocol=2))
    else:
        torch.save({"netG": {"a": Hostile(proof)}}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match=r"mkdir' beside tensors, which could run code") as error:
        read_checkpoint(path, SPEC.containers)
    assert names_the_file_in_one_line(error, path)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Hostile(proof)))  # noqa: S301  (ours: what an unsafe reader would have let it do)
    assert proof.exists()


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_one_clear_line(form: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    WRITERS[form](path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="damaged") as error:
        read_checkpoint(path, SPEC.containers)
    assert names_the_file_in_one_line(error, path)


def test_what_is_no_file_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.pth"):
        with pytest.raises(CheckpointError, match="cannot be read") as error:
            read_checkpoint(path, SPEC.containers)
        assert names_the_file_in_one_line(error, path)


@pytest.mark.parametrize("content", [{"netG": {}}, {"epoch": 3}, {"a": torch.zeros(1), "b": 2}, [torch.zeros(1)]])
def test_a_file_without_a_table_of_tensors_says_what_was_wanted(content: object, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="wanted a state dict, or one under netG") as error:
        read_checkpoint(path, SPEC.containers)
    assert names_the_file_in_one_line(error, path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    torch.save({**WEIGHTS, "encoder.2.bias": torch.full((4,), value)}, path)
    with pytest.raises(CheckpointError, match=r"encoder\.2\.bias holds values that are not finite"):
        read_checkpoint(path, SPEC.containers)


def shaped_like(name: str, says: str | None = None) -> Checkpoint:
    """A checkpoint of zeros with a variant's keys and shapes, that may say which it is."""
    variant = SPEC.variant(name)
    with torch.device("meta"):
        weights = variant.build(variant.size).state_dict()
    return Checkpoint(Path("w.pth"), "0" * 64, "", weights, says)


def test_the_only_variant_that_fits_needs_no_name() -> None:
    assert choose_variant(shaped_like("small"), SPEC, None).name == "small"
    assert choose_variant(shaped_like("modelscope"), SPEC, None).name == "modelscope"


def test_variants_whose_files_are_alike_must_be_named() -> None:
    with pytest.raises(CheckpointError, match=r"fits the variants official and vsr-auto, .* --variant"):
        choose_variant(shaped_like("official"), SPEC, None)
    assert choose_variant(shaped_like("official"), SPEC, "vsr-auto").name == "vsr-auto"


def test_an_experiment_is_taken_only_where_it_is_named() -> None:
    assert {"small", "masked"} <= set(fitting(shaped_like("small"), SPEC))
    assert choose_variant(shaped_like("masked"), SPEC, None).name == "small"
    assert choose_variant(shaped_like("masked"), SPEC, "masked").name == "masked"


@pytest.mark.parametrize(
    ("shape", "says", "asked", "chosen"),
    [
        ("small", "masked", None, "masked"),
        ("official", "vsr-auto", None, "vsr-auto"),  # else it would have to be asked for
        ("small", "masked", "small", "small"),  # who asks knows better
        ("small", "official", None, "small"),  # it cannot be what it says
        ("small", "of another program", None, "small"),
    ],
)
def test_a_checkpoint_may_say_which_variant_it_is(shape: str, says: str, asked: str | None, chosen: str) -> None:
    assert choose_variant(shaped_like(shape, says), SPEC, asked).name == chosen


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"netG": WEIGHTS, "variant": "masked"}, "masked"),
        ({"netG": WEIGHTS}, None),
        ({"netG": WEIGHTS, "variant": 3}, None),
        (WEIGHTS, None),
    ],
)
def test_a_pth_says_its_variant_beside_the_weights(form: object, said: str | None, tmp_path: Path) -> None:
    torch.save(form, tmp_path / "w.pth")
    checkpoint = read_checkpoint(tmp_path / "w.pth", SPEC.containers)
    assert checkpoint.variant == said
    assert set(checkpoint.tensors) == set(WEIGHTS)


def test_safetensors_say_their_variant_in_the_metadata(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(save(dict(WEIGHTS), {"licence": "for tests", "variant": "masked"}))
    assert read_checkpoint(tmp_path / "w.safetensors", SPEC.containers).variant == "masked"
    (tmp_path / "w.safetensors").write_bytes(save(dict(WEIGHTS), {"licence": "for tests"}))
    assert read_checkpoint(tmp_path / "w.safetensors", SPEC.containers).variant is None


def test_a_misfit_says_what_is_missing_unknown_or_misshapen_and_what_would_fit() -> None:
    with pytest.raises(CheckpointError) as error:
        choose_variant(shaped_like("modelscope"), SPEC, "official")
    assert "24 keys missing (transformer.6.attention.query_embedding.weight" in str(error.value)
    assert str(error.value).endswith("it fits --variant modelscope")
    with pytest.raises(CheckpointError) as error:
        choose_variant(shaped_like("official"), SPEC, "modelscope")
    assert "24 keys unknown (transformer.6.attention." in str(error.value)
    assert str(error.value).endswith("it fits --variant official or vsr-auto")
    with pytest.raises(CheckpointError) as error:
        choose_variant(shaped_like("small"), SPEC, "modelscope")
    # all 88 but decoder.6.bias, which has three values in every variant
    assert "87 keys of another shape (encoder.0.weight [32, 3, 3, 3], wanted [64, 3, 3, 3]" in str(error.value)
    with pytest.raises(CheckpointError, match=r"it fits no variant of sttn$"):
        choose_variant(Checkpoint(Path("w.pth"), "", "", WEIGHTS), SPEC, None)
