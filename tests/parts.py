"""The parts of `make test`, one after the other: `python -m tests.parts NAME=COMMAND...`. The first that fails ends it.

At the end it prints how long each part took, and what was skipped and why; the same lines are left in out/tests.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.conftest import SKIPPED

OUT = Path(__file__).resolve().parents[1] / "out"


def main(parts: list[str], out: Path = OUT) -> int:
    """Run every part; the exit status of the one that failed, or 0."""
    out.mkdir(exist_ok=True)
    skipped = out / "skipped.txt"
    skipped.unlink(missing_ok=True)
    lines, status = [], 0
    for name, _, command in (part.partition("=") for part in parts):
        status, line = run(name, command, skipped)
        lines.append(line)
        if status:
            break
    text = "\n".join(["", "Minutes by part (processor minutes)", *lines, "", *skips(skipped)])
    print(text, flush=True)
    (out / "tests.txt").write_text(text.lstrip() + "\n", encoding="utf-8")
    return status


def run(name: str, command: str, skipped: Path) -> tuple[int, str]:
    """The exit status of a command, and a line about it; its tests add to the file `skipped`."""
    print(f"--- {name}", flush=True)
    begin, before = time.monotonic(), processor_seconds()
    status = subprocess.run(command, shell=True, env={**os.environ, SKIPPED: str(skipped)}).returncode
    minutes, used = (time.monotonic() - begin) / 60, (processor_seconds() - before) / 60
    return status, f"  {name:24} {minutes:6.1f} ({used:.1f}){'  FAILED' if status else ''}"


def processor_seconds() -> float:
    """What the parts have used so far; 0 where the system does not tell."""
    times = os.times()
    return times.children_user + times.children_system


def skips(path: Path) -> list[str]:
    """Lines about the tests that were skipped, with their reasons and how many they are."""
    reasons: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        count, _, reason = line.partition("\t")
        reasons[reason] += int(count)
    if not reasons:
        return ["Nothing was skipped."]
    return [f"Skipped, {sum(reasons.values())} in all", *(f"  {count:4}  {reason}" for reason, count in reasons.most_common())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
