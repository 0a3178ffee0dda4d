"""How many threads are used: the user's word, else what the process was given of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.cores import processor, threads

CPUS = 8
MAX = "max 100000\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight logical processors, two to a core, none of them taken from the process."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: CPUS)
    allow(monkeypatch, *range(CPUS))
    for number in range(CPUS):
        put(
            tmp_path,
            f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list",
            f"{number % 4},{number % 4 + 4}",
        )
    return tmp_path


def allow(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(numbers), raising=False)


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_with_the_whole_machine_libraries_choose_themselves(machine: Path) -> None:
    put(machine, "proc/self/cgroup", "0::/user.slice\n")
    put(machine, "sys/fs/cgroup/user.slice/cpu.max", MAX)
    assert threads(None, machine) is None
    assert threads(3, machine) == 3


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [((0,), 1), ((0, 1), 2), ((0, 4), 1), ((0, 1, 2, 3), 4), ((0, 1, 4, 5), 2), ((1, 2, 3, 4, 5, 6, 7), 4)],
)
def test_some_of_the_processors_are_as_many_threads_as_cores(
    allowed: tuple[int, ...], wanted: int, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, *allowed)
    assert threads(None, machine) == wanted


def test_processors_of_which_nothing_is_known_are_cores(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 0, 4)
    assert threads(None, machine / "nothing") == 2


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),  # as a container sees itself
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "400000 100000\n"}, None),  # all cores
        ({"cpu.max": MAX}, None),
        ({"a/b/cpu.max": MAX, "a/cpu.max": "300000 100000\n"}, 3),  # the limit of a slice around it
        ({"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "300000 100000\n"}, 1),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu.max": "1 0\n"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu.max": "é 100000"}, None),
        ({}, None),
    ],
)
def test_a_quota_of_time_is_kept_to(files: dict[str, str], wanted: int | None, machine: Path) -> None:
    put(machine, "proc/self/cgroup", "0::/a/b\n")
    for name, text in files.items():
        put(machine, f"sys/fs/cgroup/{name}", text)
    assert threads(None, machine) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("250000\n", 3), ("-1\n", None)])
@pytest.mark.parametrize("line", ["4:cpu:/docker/1234", "2:cpuset:/\n4:cpu,cpuacct:/docker/1234"])
def test_control_groups_of_the_first_version_too(line: str, quota: str, wanted: int | None, machine: Path) -> None:
    put(machine, "proc/self/cgroup", f"9:name=systemd:/\n{line}\n")
    put(machine, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota)
    put(machine, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert threads(None, machine) == wanted


@pytest.mark.parametrize(
    ("said", "wanted"), [("5", 5), ("0", None), ("-2", None), ("many", None), ("", None), ("²", None)]
)
def test_the_environment_is_asked_before_the_system(
    said: str, wanted: int | None, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads(None, machine) == wanted
    assert threads(2, machine) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "processor : 0\nmodel name\t: A CPU\nflags\t\t: fpu sse\n\nmodel name: B\n",
            ("A CPU", "fpu sse"),
        ),
        ("processor: 0\nFeatures: fp asimd\nCPU implementer: 0x41\nCPU part: 0xd40\n", ("fp asimd", "0x41", "0xd40")),
        ("", ()),
    ],
)
def test_the_processor_is_what_the_system_calls_it(text: str, wanted: tuple[str, ...], tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", text)
    assert processor(tmp_path) == wanted


def test_a_system_without_such_files_has_a_processor_too(tmp_path: Path) -> None:
    assert len(processor(tmp_path)) == 2
