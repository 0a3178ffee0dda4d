"""A network, a target and a backend each exist because their file exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGES = {"models": "SPEC", "export.targets": "TARGET", "runtime.backends": "BACKEND"}
MEMBERS = {  # what the seam asks of each; a protocol is only checked where somebody passes the object on
    "models": ("name", "source", "variants", "default_variant", "containers", "size_rule", "stages", "variant"),
    "export.targets": ("name", "suffix", "fixed_window", "compiler", "why_not"),
    "runtime.backends": ("target", "memory", "graphs", "rank", "why_not", "machine", "precision", "open"),
}


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_the_names_are_the_folders_listing(package: ModuleType) -> None:
    listing = sorted(path.name for path in folder_of(package).iterdir() if path.suffix == ".py")
    assert list(package.names()) == [name.removesuffix(".py") for name in listing if not name.startswith("_")]
    assert package.names()


def test_a_new_file_is_a_new_name(package: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("__init__.py", "_helper.py", "second.py", "first.py", "notes.md"):
        (tmp_path / name).touch()
    monkeypatch.setattr(package, "__file__", str(tmp_path / "__init__.py"))
    assert package.names() == ("first", "second")


def test_every_name_leads_to_its_files_one_constant(package: ModuleType) -> None:
    for name in package.names():
        module = importlib.import_module(f"{package.__name__}.{name}")
        found: Any = package.get(name)
        assert found is getattr(module, PACKAGES[package.__name__])
        missing = [member for member in MEMBERS[package.__name__] if not hasattr(found, member)]
        assert not missing, f"{name} lacks {missing}"
        assert getattr(found, "name", name) == name


@pytest.mark.parametrize("name", ["nothing", "_helper", "__init__", "os", "../cli", ""])
def test_an_unknown_name_is_an_error_that_names_the_choices(package: ModuleType, name: str) -> None:
    with pytest.raises(Exception, match=re.escape(f"'{name}'")) as caught:
        package.get(name)
    assert type(caught.value).__name__ in {"LookupError", "UsageError"}
    text = str(caught.value)
    assert all(choice in text for choice in package.names())
    assert "\n" not in text


def test_the_defaults_exist() -> None:
    models, bundle = importlib.import_module("models"), importlib.import_module("runtime.bundle")
    job = importlib.import_module("runtime.job")
    assert models.DEFAULT in models.names()
    assert job.find_bundle(bundle.DEFAULT) == job.SHIPPED_BUNDLES / bundle.DEFAULT


def folder_of(package: ModuleType) -> Path:
    assert package.__file__
    return Path(package.__file__).parent
