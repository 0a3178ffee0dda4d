"""Which of several ways to compute a bundle on a processor is taken: measured once, remembered, and never by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime import trial
from runtime.backends import Search, choose
from runtime.bundle import Bundle
from runtime.errors import BackendUnavailable, DeviceFailed, FileDamaged
from runtime.kept import user_cache
from tests.paced import Fault, Field, records, small_bundle, with_int8

FAST, SLOW, SLOWER = 0.1, 0.2, 0.4  # seconds a call


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Float32 graphs alone."""
    return small_bundle(tmp_path_factory.mktemp("plain") / "bundle")


@pytest.fixture(scope="module")
def mixed(plain: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Graphs in int8 beside them."""
    return with_int8(plain.root, tmp_path_factory.mktemp("mixed") / "bundle")


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Field:
    """No backend yet, and an empty cache."""
    made = Field()
    made.enter(monkeypatch, tmp_path / "cache")
    return made


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ({"fp32": FAST, "int8": SLOWER}, {"fp32": SLOW, "int8": SLOWER}, "first fp32"),
        ({"fp32": SLOW, "int8": SLOWER}, {"fp32": FAST, "int8": SLOWER}, "second fp32"),
        ({"fp32": SLOW, "int8": FAST}, {"fp32": SLOW, "int8": SLOW}, "first int8 and fp32"),
        ({"fp32": FAST, "int8": SLOWER}, {"fp32": SLOW, "int8": SLOW}, "first fp32"),  # a processor without VNNI
        ({"fp32": SLOW, "int8": SLOWER}, {"fp32": SLOWER, "int8": FAST}, "second int8 and fp32"),
        (
            {"fp32": SLOWER, "bf16": SLOW, "int8": SLOW, "int8_bf16": FAST},
            {"fp32": SLOWER, "int8": SLOWER},
            "first int8 and bf16",
        ),
        ({"fp32": SLOW, "bf16": FAST, "int8": SLOW, "int8_bf16": SLOW}, {"fp32": SLOW, "int8": SLOW}, "first bf16"),
        (
            {"fp32": FAST, "bf16": SLOWER, "int8": SLOW, "int8_bf16": SLOW},
            {"fp32": SLOW, "int8": SLOW},
            "first fp32",
        ),  # bf16 emulated
    ],
)
def test_the_quickest_is_taken(
    first: dict[str, float], second: dict[str, float], taken: str, field: Field, mixed: Bundle
) -> None:
    field.add("first", 10, **first)
    field.add("second", 20, **second)
    assert choose("auto", mixed, "auto").label == taken


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ({"fp32": 0.104, "int8": 0.1}, {"fp32": 0.1, "int8": 0.1}, "first fp32"),
        ({"fp32": 0.2, "int8": 0.104}, {"fp32": 0.101, "int8": 0.1}, "second fp32"),
        ({"fp32": 0.2, "int8": 0.104}, {"fp32": 0.2, "int8": 0.1}, "first int8 and fp32"),
        ({"fp32": 0.115, "int8": 0.2}, {"fp32": 0.1, "int8": 0.2}, "second fp32"),
        ({"fp32": 0.102, "bf16": 0.1, "int8": 0.1, "int8_bf16": 0.1}, {"fp32": 0.2, "int8": 0.2}, "first fp32"),
    ],
)
def test_where_figures_are_close_the_more_exact_wins_then_the_lower_rank(
    first: dict[str, float], second: dict[str, float], taken: str, field: Field, mixed: Bundle
) -> None:
    field.add("second", 20, **second)  # neither the order of names nor that of making
    field.add("first", 10, **first)
    assert choose("auto", mixed, "auto").label == taken


def test_what_was_measured_is_said_once_and_remembered(field: Field, mixed: Bundle) -> None:
    field.add("first", 10, fp32=SLOW, int8=SLOWER)
    field.add("second", 20, fp32=FAST, int8=SLOWER)
    (note,) = choose("auto", mixed, "auto").notes
    # a step of 5 frames: 5 of the encoder, 11 + 5 of the transformer, 11 of the decoder
    wanted = "second fp32 was chosen by a quick trial on this processor: 640 ms a frame, first fp32 1280 ms, "
    assert note.startswith(wanted)
    assert note.endswith(f"remembered in {user_cache()}")
    assert "\n" not in note
    measured = field.opened
    again = choose("auto", mixed, "auto")
    assert (again.label, again.notes) == ("second fp32", ())
    assert field.opened == measured


def test_one_that_cannot_be_opened_is_passed_over_and_tried_again_next_time(field: Field, mixed: Bundle) -> None:
    field.add("first", 10, fp32=SLOW, int8=FAST).fault = Fault("no such operator.", ("int8",))
    field.add("second", 20, fp32=SLOWER, int8=SLOWER)
    found = choose("auto", mixed, "auto")
    assert found.label == "first fp32"
    assert found.notes[0].startswith("first int8 and fp32 was passed over: ")
    assert found.notes[0].endswith("no such operator.")
    assert found.notes[1].endswith("not remembered")
    assert not records()
    field.backends["first"].fault = Fault()
    assert choose("auto", mixed, "auto").label == "first int8 and fp32"


def test_where_none_can_be_opened_one_line_names_them_all(field: Field, plain: Bundle) -> None:
    for rank, name in enumerate(("first", "second")):
        field.add(name, rank, fp32=FAST).fault = Fault(f"{name} is out of memory.")
    with pytest.raises(BackendUnavailable) as caught:
        choose("auto", plain, "auto")
    said = str(caught.value)
    assert said.startswith(f"no backend can run {plain.root} here. first fp32 was passed over: ")
    assert "first is out of memory." in said
    assert said.endswith("second is out of memory.")
    assert "\n" not in said
    assert not records()


def test_a_damaged_bundle_is_an_error_and_nobody_is_passed_over(field: Field, plain: Bundle, tmp_path: Path) -> None:
    bundle = with_int8(plain.root, tmp_path / "bundle")
    field.add("first", 10, fp32=FAST, int8=FAST)
    (bundle.root / "decoder.int8.onnx").write_bytes(b"short")
    with pytest.raises(FileDamaged, match=r"decoder\.int8\.onnx"):
        choose("auto", bundle, "auto")


def test_one_that_opens_and_fails_at_work_is_passed_over_and_nothing_is_remembered(field: Field, plain: Bundle) -> None:
    field.add("first", 10, fp32=FAST).fault = Fault(computing=DeviceFailed("first: could not execute a primitive"))
    field.add("second", 20, fp32=SLOW)
    found = choose("auto", plain, "auto")
    assert found.label == "second fp32"
    assert found.notes[0] == "first fp32 was passed over: first: could not execute a primitive"
    assert not records()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_trial_that_is_stopped_leaves_nothing(stop: type[BaseException], field: Field, plain: Bundle) -> None:
    field.add("first", 10, fp32=FAST)
    field.add("second", 20, fp32=FAST).fault = Fault(computing=stop)
    with pytest.raises(stop):
        choose("auto", plain, "auto")
    assert not user_cache().exists()


def test_exact_numbers_leave_a_choice_between_backends_or_none(field: Field, mixed: Bundle) -> None:
    first = field.add("first", 10, fp32=SLOW, bf16=FAST, int8=FAST)
    found = choose("auto", mixed, "fp32")
    assert (found.label, found.notes, field.opened) == ("first fp32", (), 0)
    second = field.add("second", 20, fp32=FAST, int8=FAST)
    assert choose("auto", mixed, "fp32").label == "second fp32"
    assert set(first.opened + second.opened) == {"fp32"}


def test_asked_for_by_name_the_trial_is_between_its_own_types(field: Field, mixed: Bundle, plain: Bundle) -> None:
    first = field.add("first", 10, fp32=SLOW, int8=SLOWER)
    second = field.add("second", 20, fp32=FAST, int8=FAST)
    found = choose("first", mixed, "auto")
    assert (found.label, len(found.notes)) == ("first fp32", 1)
    assert not second.opened
    measured = len(first.opened)
    assert choose("first", plain, "auto").notes == ()
    assert len(first.opened) == measured


def test_who_must_be_asked_for_is_not_timed(field: Field, mixed: Bundle) -> None:
    field.add("odd", None, fp32=FAST, int8=SLOW)
    assert choose("odd", mixed, "auto").label == "odd int8 and fp32"
    assert field.opened == 0
    with pytest.raises(BackendUnavailable, match="no backend can run here"):
        choose("auto", mixed, "auto")


def test_a_run_that_goes_on_takes_what_it_began_with(field: Field, mixed: Bundle) -> None:
    field.add("first", 10, fp32=FAST, int8=FAST)
    field.add("second", 20, fp32=SLOW, int8=SLOW)
    begun = choose("auto", mixed, "auto", Search(begun_on="second int8 and fp32"))
    assert (begun.name, begun.label, begun.notes, field.opened) == ("second", "second int8 and fp32", (), 0)
    for other in ("", "gone fp32", "second int8"):
        assert choose("auto", mixed, "auto", Search(begun_on=other)).label == "first fp32"
    assert choose("auto", mixed, "fp32", Search(begun_on="second int8 and fp32")).label == "first fp32"


def test_where_nothing_will_be_computed_nothing_is_timed(field: Field, mixed: Bundle) -> None:
    field.add("first", 10, fp32=SLOW, int8=SLOW)
    field.add("second", 20, fp32=FAST, int8=FAST)
    assert choose("auto", mixed, "auto", Search(timed=False)).name == "first"
    assert field.opened == 0


@pytest.mark.parametrize(("pace", "calls"), [(0.01, 3), (0.5, 2), (3.0, 1)])
def test_a_trial_keeps_to_its_time(pace: float, calls: int, field: Field, plain: Bundle) -> None:
    """Three stages each: a round of both takes six times the pace."""
    first = field.add("first", 10, fp32=pace)
    field.add("second", 20, fp32=pace)
    assert choose("auto", plain, "auto").label == "first fp32"
    assert first.calls == dict.fromkeys(("encoder", "transformer", "decoder"), calls)
    assert field.clock.now <= max(trial._BUDGET_S, 6 * pace)


def test_a_call_that_was_slow_once_does_not_decide(field: Field, plain: Bundle) -> None:
    first = field.add("first", 10, fp32=FAST)
    field.add("second", 20, fp32=SLOW)
    slow = iter([True, True, True, True, False, True])  # all of the first round, and two calls of three later
    precise = first.pace

    class Hampered(dict[str, float]):
        def __getitem__(self, key: str) -> float:
            return precise[key] * (4 if next(slow, False) else 1)

    first.pace = Hampered(precise)
    assert choose("auto", plain, "auto").label == "first fp32"


def test_a_fixed_window_is_not_run_for_a_trial(field: Field, plain: Bundle) -> None:
    rule = replace(plain.manifest.schedule, fixed=True)
    fixed = Bundle(plain.root, replace(plain.manifest, schedule=rule))
    first = field.add("first", 10, fp32=SLOW)
    field.add("second", 20, fp32=FAST)
    assert choose("auto", fixed, "auto").label == "second fp32"
    assert first.calls["transformer"] == 0
    assert first.calls["decoder"] > 0


def test_progress_is_told_while_it_lasts(field: Field, plain: Bundle) -> None:
    field.add("first", 10, fp32=SLOW)
    field.add("second", 20, fp32=FAST)
    told: list[tuple[str, int, int | None]] = []
    choose("auto", plain, "auto", Search(progress=lambda *what: told.append(what)))
    assert told == [(trial.PHASE, done, 3) for done in range(3)]
    told.clear()
    choose("auto", plain, "auto", Search(progress=lambda *what: told.append(what)))
    assert not told
