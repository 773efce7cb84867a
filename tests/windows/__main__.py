"""The tests on Windows' own Python, under Wine: `python -m tests.windows [--all]`.

Without --all those of what differs most between systems: files in use, locks, processes, one training. With it the core, jobs here and on
a server, and the extension in Blender for Windows. Where Wine is missing or fails, that is said, and nothing has failed. Everything lies in
out/windows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import SKIPPED
from tests.windows.wine import Unavailable, WindowsPython
from tools.versions import requirement

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "windows"
KERNELS = ROOT / "engine" / "training" / "cpu" / "lib"
COPIED = ("addon", "engine", "help", "tests", "tools", "__init__.py", "blender_manifest.toml", "pyproject.toml")
MOST_SECONDS = {False: 420, True: 3600}
"""So long some of the tests, or all, may take: Wine is known to hang."""

PYTEST = ("-m", "pytest", "-rsfE", "-p", "no:cacheprovider", "-m", "not gpu", "--timeout", "300", "--durations", "5")

@dataclass(frozen=True)
class Part:
    """Some tests; those of Blender need its package."""

    name: str
    words: tuple[str, ...]
    blender: bool = False


SOME = (
    Part("files, locks and processes", ("tests/core/test_files.py", "tests/core/protocol/test_lock.py", "tests/core/test_processes.py")),
    Part("a training", ("tests/jobs/test_local_engine.py", "-k", "runs_to_its_end or deleted_job or is_open or tied_worker")),
)
ALL = (
    Part("core", ("tests/core",)),
    Part("jobs", ("tests/jobs",)),
    Part("server and client", ("tests/server",)),
    Part("extension", ("tests/blender/jobs",), blender=True),
)


def main(arguments: list[str]) -> int:
    """Set up, copy, run; the exit status of the first part that failed, or 0."""
    begin = time.monotonic()
    try:
        if not list(KERNELS.glob("splat-windows-x86_64*.dll")):
            raise Unavailable("The kernels for Windows are not built (make kernels).")
        python = WindowsPython(OUT)
        python.set_up()
        parts = ALL if "--all" in arguments else SOME
        if any(part.blender for part in parts):
            blender(python)
    except Unavailable as reason:
        return skip(str(reason))
    print(f"Set up in {time.monotonic() - begin:.0f} s", flush=True)
    copy_checkout(python.work / "splatwright")
    end = time.monotonic() + MOST_SECONDS["--all" in arguments]
    try:
        return next((status for status in [run(python, part, end - time.monotonic()) for part in parts] if status), 0)
    except subprocess.TimeoutExpired:
        return skip("Wine came to no end.")
    finally:
        python.close()


def run(python: WindowsPython, part: Part, seconds: float) -> int:
    """Run the tests of a part; pytest's exit status. TimeoutExpired."""
    print(f"--- Windows: {part.name}", flush=True)
    begin, skipped = time.monotonic(), python.work / "skipped.txt"
    variables = {SKIPPED: r"W:\skipped.txt", "HYPOTHESIS_STORAGE_DIRECTORY": r"W:\hypothesis"}
    if part.blender:
        variables["PYTHONPATH"] = r"W:\bpy"
    status = python.run(*PYTEST, *part.words, folder=python.work / "splatwright", variables=variables,
                        seconds=max(1.0, seconds))
    print(f"{part.name}: exit status {status}, {time.monotonic() - begin:.0f} s", flush=True)
    for line in skipped.read_text(encoding="utf-8").splitlines() if skipped.exists() else ():
        count, _, reason = line.partition("\t")
        note(int(count), f"on Windows: {reason}")
    skipped.unlink(missing_ok=True)
    return status


def blender(python: WindowsPython) -> None:
    """Blender's package for Windows. Unavailable when it cannot be had."""
    try:
        python.install(python.work / "bpy", requirement("bpy"), alone=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"Blender for Windows could not be had: {error}") from error


def copy_checkout(target: Path) -> None:
    """What the tests need of this checkout."""
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def skip(reason: str) -> int:
    """Say why nothing ran; that is no failure."""
    print(f"Windows' tests are skipped: {reason}", flush=True)
    note(1, f"Windows under Wine: {reason}")
    return 0


def note(count: int, reason: str) -> None:
    """Add a reason to the list that `make test` prints."""
    if path := os.environ.get(SKIPPED):
        with open(Path(path), "a", encoding="utf-8") as file:
            file.write(f"{count}\t{reason}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
