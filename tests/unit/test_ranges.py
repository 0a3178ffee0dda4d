"""Value ranges: exact counts, thresholds that mean something, tables that merge in any order to the byte."""

from __future__ import annotations

import json
import re
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calib.histogram import Grid, Histogram, coarser, histogram
from calib.ranges import ClipRecord, RangeTable, merge, observed, read_table, to_json
from calib.thresholds import LEVELS, RULES
from runtime.errors import UsageError
from tests.tolerances import TOLERANCE

FINE, COARSE = Grid(64, 16), Grid(4, 10)
GRAPHS = {"encoder": "e" * 64, "decoder": "d" * 64}

Values = npt.NDArray[np.float32]

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
tensors = arrays(np.float32, (2, 3, 5), elements=floats)


def table(name: str, *values: Values, stage: str = "encoder") -> RangeTable:
    ranges = tuple(observed(stage, f"tensor{number}", item) for number, item in enumerate(values))
    return RangeTable(GRAPHS, (ClipRecord(name, name, 1),), ranges)


def noise(*shape: int) -> Values:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@given(tensors)
@example(np.zeros((1, 2, 3), np.float32))
@example(np.full((1, 2, 3), np.finfo(np.float32).max, np.float32))
@example(np.full((1, 2, 3), np.finfo(np.float32).smallest_subnormal, np.float32))
@settings(max_examples=50)
def test_every_value_is_counted_in_the_bin_that_holds_it(values: Values) -> None:
    for grid, found in (
        (FINE, histogram(FINE, values)),
        (COARSE, histogram(COARSE, values)),
        (COARSE, coarser(histogram(FINE, values), COARSE)),
    ):
        assert found.grid == grid
        for row in range(values.shape[1]):
            magnitudes = np.abs(values[:, row]).astype(np.float64).ravel()
            below = int((magnitudes < found.edges[0]).sum())
            if found.top > grid.octaves:  # the lowest octaves hold subnormals, whose spacing is another
                inside, _ = np.histogram(magnitudes, found.edges)
                assert found.counts[row].tolist() == [below, *inside.tolist()]
            assert found.counts[row].sum() == magnitudes.size


@given(st.lists(tensors, min_size=2, max_size=5), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=40)
def test_tables_merge_to_the_same_bytes_in_any_order_and_grouping(
    parts: list[Values], random: object, split: int
) -> None:
    tables = [table(f"clip{number}", values, values[:, :1]) for number, values in enumerate(parts)]
    wanted = to_json(reduce(merge, tables))
    shuffled = list(tables)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    left, right = shuffled[: min(split, len(parts) - 1)], shuffled[min(split, len(parts) - 1) :]
    assert to_json(merge(reduce(merge, left), reduce(merge, right))) == wanted
    assert to_json(reduce(merge, reversed(shuffled))) == wanted


@given(tensors, tensors)
@settings(max_examples=25)
def test_a_table_of_two_clips_is_the_table_of_all_their_values(first: Values, second: Values) -> None:
    apart = merge(table("a", first), table("b", second)).tensors[0]
    together = observed("encoder", "tensor0", np.concatenate([first, second]))
    assert apart.low.tobytes() == together.low.tobytes()
    assert apart.high.tobytes() == together.high.tobytes()
    assert apart.whole.counts.tolist() == together.whole.counts.tolist()
    assert apart.channels.counts.tolist() == together.channels.counts.tolist()


def test_a_table_reads_back_from_its_text_and_differs_by_lines(tmp_path: Path) -> None:
    one, two = table("a", noise(2, 3, 50)), table("b", 4 * noise(2, 3, 50), stage="decoder")
    path = tmp_path / "ranges.json"
    path.write_text(to_json(merge(one, two)), encoding="utf-8")
    assert to_json(read_table(path)) == path.read_text(encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines()
    alone = to_json(one).splitlines()
    assert len([line for line in alone if line.rstrip(",") not in {other.rstrip(",") for other in lines}]) == 0
    assert any('"min-max": ' in line and '"mse": ' in line for line in lines)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, -5.0, 1e-45, 3e38])
def test_a_constant_tensor_is_held_exactly_by_every_rule(rule: str, value: float) -> None:
    whole, channels = observed("encoder", "x", np.full((2, 3, 4), value, np.float32)).thresholds(rule)
    assert np.float32(whole) == np.float32(abs(value))
    assert channels.astype(np.float32).tolist() == [np.float32(abs(value))] * 3


def test_thresholds_of_noise_with_an_outlier_are_what_the_rules_say() -> None:
    values = noise(4, 2, 20_000)
    values[0, 0, 0] = 60.0
    ranges = observed("encoder", "x", values)
    magnitudes = np.abs(values).ravel()
    found = {rule: ranges.thresholds(rule)[0] for rule in RULES}
    assert found["min-max"] == 60.0
    percentile = float(np.quantile(magnitudes, 0.9999))
    assert abs(found["percentile"] / percentile - 1) < TOLERANCE["ranges", "a bin"]
    errors = {level: squared_error(magnitudes, level) for level in np.linspace(15.0, 60.0, 64)}
    assert squared_error(magnitudes, found["mse"]) <= min(errors.values()) * (1 + TOLERANCE["ranges", "least error"])
    assert found["entropy"] < found["min-max"]
    assert ranges.thresholds("mse")[1][1] < ranges.thresholds("mse")[1][0]  # the outlier is in the other channel


def squared_error(magnitudes: Values, level: float) -> float:
    step = level / LEVELS
    rounded = np.minimum(np.rint(magnitudes / step), LEVELS) * step
    return float(((rounded - magnitudes) ** 2).sum())


@pytest.mark.parametrize("rule", RULES)
def test_a_channel_too_faint_for_the_grid_is_not_clipped(rule: str) -> None:
    values = noise(2, 2, 5000)
    values[:, 1] *= np.float32(2.0**-13)
    peak = float(np.abs(values[:, 1]).max())
    _, channels = observed("encoder", "x", values).thresholds(rule)
    assert channels[1] == pytest.approx(peak, rel=TOLERANCE["ranges", "peak"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_refused(bad: float) -> None:
    values = noise(2, 3, 4)
    values[1, 2, 3] = bad
    with pytest.raises(ValueError, match="infinite or no number"):
        observed("encoder", "x", values)


def test_tables_that_do_not_go_together_are_refused() -> None:
    one = table("a", noise(1, 2, 3))
    with pytest.raises(UsageError, match=r"^a, a: the same clip twice; name every clip once$"):
        merge(one, one)
    with pytest.raises(UsageError, match="different graphs"):
        merge(one, RangeTable({"encoder": "0"}, (), ()))
    with pytest.raises(ValueError, match="different rows or grids"):
        histogram(FINE, noise(1, 2, 3)).merged(Histogram(COARSE, 127, np.zeros((2, 41), np.int64)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no table of ranges: Expecting property name"),
        ("{}", "no table of ranges: "),
        ('{"format": 9, "graphs": {}, "clips": [], "tensors": []}', "format 9, wanted 1"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=told) as failure:
        read_table(path)
    assert str(failure.value).startswith(str(path))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (r'"top": \d+', '"top": 2000', "values up to octave 2000"),
        (r'"top": \d+', '"top": -5', "values up to octave -5"),
        (r'"whole": \[\d+', f'"whole": [{2**70}', "counts that count nothing"),
        (r'"whole": \[\d+', '"whole": [-1', "counts that count nothing"),
        (r'"low": \[[^,]+', '"low": [9e9', "a least value above its largest"),
        (r'"low": \[[^,]+', '"low": [1e39', "a least value above its largest"),
    ],
)
def test_a_table_that_cannot_have_been_counted_is_refused(before: str, after: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    text = to_json(table("a", noise(1, 2, 3)))
    changed = re.sub(before, after, text, count=1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(UsageError, match=f"tensor 'tensor0' has {told}; calibrate again") as failure:
        read_table(path)
    assert "\n" not in str(failure.value)


def test_a_table_that_says_something_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    document = json.loads(to_json(table("a", noise(1, 2, 3))))
    for part, told in (("tensors", "tensor 'tensor0' of stage 'encoder'"), ("clips", "clip a, ")):
        path.write_text(json.dumps({**document, part: document[part] * 2}), encoding="utf-8")
        with pytest.raises(UsageError, match=f"{told}.*stands there 2 times"):
            read_table(path)


def test_a_table_with_counts_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    text = to_json(table("a", noise(1, 2, 3)))
    start = text.index('"whole": [') + len('"whole": [')
    path.write_text(text[:start] + text[text.index(",", start) + 1 :], encoding="utf-8")
    with pytest.raises(UsageError, match="tensor 'tensor0' has counts of the wrong number"):
        read_table(path)
