"""Compiles the kernels ahead of time: `python -m kernels.build`, see docs/kernels.md."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kernels.record import FOLDER, INTERFACE, Record, digest, file_digests, write

# Binaries run on later GPUs of their major number too (8.6 on 8.8, 10.0 on 10.3, 12.0 on 12.1), except that Jetson's
# 8.7 and desktop 8.6 do not run each other's.
ARCHITECTURES = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "12.0")
PTX = "7.5"  # what the driver compiles for every other GPU

RELEASE = "13.0"  # the oldest whose nvcc the package registry has: the older, the more drivers load what it makes
FLAGS = ("-std=c++17", "-fatbin", "--compress-mode=size")


def entry_points(folder: Path) -> dict[str, str]:
    """The kernels of a folder and the struct that each is called with, in the order of the unit."""
    text = "".join(path.read_text(encoding="utf-8") for path in _kernels(folder))
    return dict(re.findall(r"^KERNEL (\w+)\(const (\w+) call\)", text, re.MULTILINE))


def sources(folder: Path) -> list[Path]:
    """Every file whose text decides the binaries."""
    return sorted([folder / INTERFACE, folder / "samples.cuh", *_kernels(folder)])


def unit(folder: Path) -> str:
    """One translation unit of all kernels: one folder a kernel, no list."""
    return "".join(f'#include "{path.relative_to(folder).as_posix()}"\n' for path in _kernels(folder))


def compiler() -> Path | None:
    """The nvcc of the installed packages, else the one on the path."""
    packages = importlib.util.find_spec("nvidia")
    for root in [] if packages is None else packages.submodule_search_locations or ():
        found = Path(root, "cu13", "bin", "nvcc")
        if found.is_file():
            return found
    on_path = shutil.which("nvcc")
    return None if on_path is None else Path(on_path)


def version_of(nvcc: Path) -> str:
    """The compiler's version, such as 13.0.88."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"V(\d+\.\d+\.\d+)", said)
    return "unknown" if found is None else found[1]


def build(folder: Path, nvcc: Path) -> bytes:
    """The fatbin of all kernels for every architecture; exits with the compiler's own words when it fails."""
    targets: list[str] = []
    for name in ARCHITECTURES:
        number = name.replace(".", "")
        targets += ["-gencode", f"arch=compute_{number},code=sm_{number}"]
    number = PTX.replace(".", "")
    targets += ["-gencode", f"arch=compute_{number},code=compute_{number}"]
    with tempfile.TemporaryDirectory() as made:
        source, out = Path(made, "unit.cu"), Path(made, "unit.fatbin")
        source.write_text(unit(folder), encoding="utf-8")
        # from inside, so that no path of this machine is in the binaries
        command = [nvcc, *FLAGS, "-I", folder, *targets, source.name, "-o", out.name]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"kernels.build: nvcc failed\n{done.stdout}{done.stderr}")
        return out.read_bytes()


def main(arguments: list[str] | None = None) -> None:
    """Compile and write, or with --check compile and compare."""
    parser = argparse.ArgumentParser(prog="python -m kernels.build", description="Compile the CUDA kernels.")
    parser.add_argument("--nvcc", type=Path, help="the compiler (default: the installed package's, else the path's)")
    parser.add_argument("--check", action="store_true", help="compare with vidmend.fatbin instead of writing it")
    options = parser.parse_args(arguments)
    nvcc = options.nvcc.resolve() if options.nvcc else compiler()
    if nvcc is None:
        sys.exit(
            f"kernels.build: no nvcc in the packages of this Python nor on the path, {RELEASE} is wanted; "
            f"docs/kernels.md says what to install"
        )
    version = version_of(nvcc)
    if not version.startswith(f"{RELEASE}."):
        sys.exit(
            f"kernels.build: {nvcc} is of version {version}, {RELEASE} is wanted, as others make other binaries; "
            f"name one with --nvcc, or install what docs/kernels.md names"
        )
    data = build(FOLDER, nvcc)
    record = Record(
        sources=file_digests(FOLDER, sources(FOLDER)),
        kernels=entry_points(FOLDER),
        architectures=ARCHITECTURES,
        ptx=PTX,
        flags=FLAGS,
        nvcc=version,
        fatbin_sha256=digest(data),
        fatbin_bytes=len(data),
    )
    if not options.check:
        write(FOLDER, record, data)
        sys.stdout.write(f"kernels.build: {len(data):,} bytes, {len(record.kernels)} kernels, nvcc {version}\n")
    elif data != (FOLDER / "vidmend.fatbin").read_bytes():
        sys.exit("kernels.build: vidmend.fatbin is not what these sources make; run python -m kernels.build")


def _kernels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/kernel.cu"))


if __name__ == "__main__":
    main()
