"""The house rules hold, and each is seen to notice a breach."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.guard import rules, state_rules
from tests.guard.sources import Source, of_product, of_tests

Rule = Callable[[Source], Iterator[str]]

EVERYWHERE: tuple[Rule, ...] = (rules.stays_short, rules.holds_no_globals)
IN_THE_PRODUCT: tuple[Rule, ...] = (
    rules.keeps_no_pickles,
    rules.raises_instead_of_asserting,
    rules.lets_no_error_pass,
    rules.names_its_parameters,
    rules.does_nothing_at_import,
    rules.leaves_video_to_the_video_files,
    rules.leaves_vendors_to_their_files,
    rules.knows_no_network_by_name,
    state_rules.keeps_no_state_in_modules,
    state_rules.turns_no_text_into_code,
    state_rules.suppresses_nothing_broad,
    state_rules.reads_bundles_alone,
    state_rules.follows_attributes_not_names,
)
IN_THE_TESTS: tuple[Rule, ...] = (
    rules.takes_tolerances_from_the_table,
    rules.gives_a_reason_for_every_skip,
    rules.can_fail,
)

BREACHES: tuple[tuple[Rule, str, str], ...] = (
    (rules.stays_short, "runtime/x.py", "x = 1\n" * 300),
    (rules.stays_short, "runtime/x.py", "def f():\n" + "    x = 1\n" * 39),
    (rules.keeps_no_pickles, "runtime/x.py", "import pickle"),
    (rules.keeps_no_pickles, "runtime/x.py", "from joblib import load"),
    (rules.keeps_no_pickles, "export/x.py", "torch.load(path)"),
    (rules.keeps_no_pickles, "export/x.py", "torch.load(path, weights_only=False)"),
    (rules.keeps_no_pickles, "runtime/x.py", "np.load(path, allow_pickle=True)"),
    (rules.holds_no_globals, "runtime/x.py", "def f():\n    global x\n    x = 1"),
    (rules.raises_instead_of_asserting, "runtime/x.py", "def f(x):\n    assert x"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept (OSError, BaseException) as e:\n    print(e)"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept:\n    pass"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept Exception as e:\n    if g(e):\n        raise"),
    (rules.names_its_parameters, "runtime/x.py", "def f(**kwargs):\n    return g(1, **kwargs)"),
    (rules.does_nothing_at_import, "runtime/x.py", "print('hello')"),
    (rules.does_nothing_at_import, "runtime/x.py", "if True:\n    logging.basicConfig()"),
    (rules.does_nothing_at_import, "runtime/x.py", "class C:\n    register(1)"),
    (rules.does_nothing_at_import, "runtime/x.py", "os.environ['A'] = 'b'"),
    (rules.does_nothing_at_import, "runtime/x.py", "for name in names():\n    x = name"),
    (rules.leaves_video_to_the_video_files, "runtime/masks.py", "import av.video"),
    (rules.leaves_video_to_the_video_files, "bench/clip.py", "def f():\n    from av import open"),
    (rules.leaves_vendors_to_their_files, "runtime/backends/openvino.py", "import openvino"),
    (rules.leaves_vendors_to_their_files, "runtime/session.py", "def f():\n    import onnxruntime"),
    (rules.leaves_vendors_to_their_files, "export/targets/onnx.py", "def f():\n    from tensorrt import Builder"),
    (rules.leaves_vendors_to_their_files, "calib/demo.py", "def f():\n    import tensorrt"),
    (rules.leaves_vendors_to_their_files, "runtime/stages.py", "def f():\n    import pycuda.driver"),
    (rules.leaves_vendors_to_their_files, "runtime/_video/nvdec.py", "def f():\n    import PyNvVideoCodec"),
    (rules.leaves_vendors_to_their_files, "runtime/nvdec.py", "import PyNvVideoCodec"),
    (rules.leaves_vendors_to_their_files, "runtime/cli.py", "def f():\n    importlib.import_module('openvino')"),
    (rules.knows_no_network_by_name, "runtime/x.py", "if name == 'sttn':\n    pass"),
    (rules.knows_no_network_by_name, "export/x.py", "class SttnExporter:\n    pass"),
    (rules.knows_no_network_by_name, "runtime/x.py", "from models import sttn"),
    (rules.knows_no_network_by_name, "runtime/bundle.py", "OTHER = 'sttn-small'"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "np.testing.assert_allclose(a, b, atol=1e-4)"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert a == pytest.approx(b, abs=-2 * 0.5)"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert a == approx(b, 1e-3)"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert np.abs(a - b).max() < 0.01"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert a and 34.5 <= psnr(a, b)"),
    (rules.gives_a_reason_for_every_skip, "tests/x.py", "def test_x():\n    pytest.skip()"),
    (rules.gives_a_reason_for_every_skip, "tests/x.py", "@pytest.mark.skip\ndef test_x():\n    assert f()"),
    (rules.gives_a_reason_for_every_skip, "tests/x.py", "@pytest.mark.skipif(a)\ndef test_x():\n    assert f()"),
    (rules.gives_a_reason_for_every_skip, "tests/x.py", "torch = pytest.importorskip('torch')"),
    (rules.can_fail, "tests/test_x.py", "def test_it_runs():\n    f()"),
    (rules.can_fail, "tests/test_x.py", "def test_it_runs():\n    f()\n    assert True"),
)

BREACHES_OF_STATE: tuple[tuple[Rule, str, str], ...] = (
    (state_rules.keeps_no_state_in_modules, "runtime/x.py", "cache = {}"),
    (state_rules.keeps_no_state_in_modules, "runtime/x.py", "seen: set[int] = set()"),
    (state_rules.keeps_no_state_in_modules, "runtime/x.py", "TABLE = {'a': 1}\ndef f():\n    TABLE['b'] = 2"),
    (state_rules.keeps_no_state_in_modules, "runtime/x.py", "def f():\n    codes.TABLE.append(2)"),
    (state_rules.keeps_no_state_in_modules, "runtime/x.py", "def f():\n    del codes.TABLE[2]"),
    (state_rules.turns_no_text_into_code, "runtime/x.py", "def f(text):\n    return eval(text)"),
    (state_rules.suppresses_nothing_broad, "runtime/x.py", "with contextlib.suppress(Exception):\n    f()"),
    (state_rules.reads_bundles_alone, "runtime/bundle.py", "import numpy as np"),
    (state_rules.reads_bundles_alone, "runtime/_strict.py", "from runtime.frame import Frame"),
    (state_rules.reads_bundles_alone, "runtime/errors.py", "def f():\n    import rich"),
    (state_rules.follows_attributes_not_names, "bench/x.py", "able = [n for n in names if n != 'null']"),
    (state_rules.follows_attributes_not_names, "runtime/x.py", "if name in ('openvino', 'other'):\n    f()"),
)

FINE: tuple[tuple[Rule, str, str], ...] = (
    (rules.stays_short, "runtime/x.py", "def f():\n" + "    x = 1\n" * 38),
    (rules.keeps_no_pickles, "export/x.py", "torch.load(path, weights_only=True)"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept Exception as e:\n    raise E() from e"),
    (rules.lets_no_error_pass, "runtime/x.py", "try:\n    f()\nexcept OSError:\n    pass"),
    (
        rules.does_nothing_at_import,
        "runtime/x.py",
        "'''Text.'''\nX = frozenset((1,))\nif __name__ == '__main__':\n    f()",
    ),
    (rules.leaves_video_to_the_video_files, "runtime/_video/reader.py", "import av"),
    (rules.leaves_vendors_to_their_files, "runtime/backends/openvino.py", "def f():\n    import openvino"),
    (rules.leaves_vendors_to_their_files, "bench/x.py", "import openvino"),
    (rules.knows_no_network_by_name, "runtime/x.py", "def f():\n    '''Source: STTN (ECCV 2020).'''"),
    (rules.knows_no_network_by_name, "runtime/bundle.py", "DEFAULT = 'sttn-small'"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert_allclose(a, b, rtol=0)"),
    (
        state_rules.keeps_no_state_in_modules,
        "runtime/x.py",
        "TABLE = {'a': 1}\ndef f():\n    t = {}\n    t['b'] = TABLE",
    ),
    (state_rules.turns_no_text_into_code, "runtime/x.py", "PATTERN = re.compile('x')\nnetwork.eval()"),
    (state_rules.suppresses_nothing_broad, "runtime/x.py", "with suppress(FileNotFoundError):\n    f()"),
    (state_rules.reads_bundles_alone, "runtime/bundle.py", "import json\nfrom runtime.errors import NotABundle"),
    (state_rules.follows_attributes_not_names, "runtime/x.py", "if backend.rank is not None and axis == 'T':\n    f()"),
    (rules.takes_tolerances_from_the_table, "tests/x.py", "assert_allclose(a, b, atol=TOLERANCE['x', 'y'])"),
    (rules.gives_a_reason_for_every_skip, "tests/x.py", "def test_x():\n    pytest.skip('no GPU')"),
    (rules.can_fail, "tests/test_x.py", "def test_x():\n    with pytest.raises(ValueError):\n        f()"),
)


@pytest.mark.parametrize("rule", [*EVERYWHERE, *IN_THE_PRODUCT], ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule: Rule) -> None:
    complaints = [complaint for source in of_product() for complaint in rule(source)]
    assert not complaints, "\n".join([rule.__doc__ or "", *complaints])


@pytest.mark.parametrize("rule", [*EVERYWHERE, *IN_THE_TESTS], ids=lambda rule: rule.__name__)
def test_the_tests_keep_the_rule(rule: Rule) -> None:
    complaints = [complaint for source in of_tests() for complaint in rule(source)]
    assert not complaints, "\n".join([rule.__doc__ or "", *complaints])


@pytest.mark.parametrize(("rule", "path", "text"), [*BREACHES, *BREACHES_OF_STATE])
def test_a_breach_is_noticed(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), FINE)
def test_what_is_allowed_passes(rule: Rule, path: str, text: str) -> None:
    assert not list(rule(Source(path, text)))


def test_every_rule_has_a_breach_and_reads_a_repository() -> None:
    every = {*EVERYWHERE, *IN_THE_PRODUCT, *IN_THE_TESTS}
    assert every == {rule for rule, _, _ in [*BREACHES, *BREACHES_OF_STATE]}
    assert {"runtime/bundle.py", "export.py", "models/__init__.py"} <= {source.path for source in of_product()}
    assert "tests/guard/test_rules.py" in {source.path for source in of_tests()}
