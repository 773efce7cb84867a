"""The parts of `make test`, several at a time: `python -m tests.parts [--together N] NAME=COMMAND...`.

What a part prints goes into out/tests/NAME.txt and is shown whole when the part has ended; after one that fails no other begins. At the
end it prints how long each part took, and what was skipped and why; the same lines are left in out/tests.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from tests.conftest import SKIPPED

OUT = Path(__file__).resolve().parents[1] / "out"


@dataclass
class Run:
    """What the parts of one run share."""

    out: Path
    failed: Event = field(default_factory=Event)
    screen: Lock = field(default_factory=Lock)

    @property
    def skipped(self) -> Path:
        """Where tests leave the reasons of those that were skipped."""
        return self.out / "skipped.txt"

    def part(self, part: str) -> tuple[int, str]:
        """Run the part NAME=COMMAND, unless one has failed before: its exit status, and a line about it or none."""
        name, _, command = part.partition("=")
        if self.failed.is_set():
            return 0, ""
        begin, log = time.monotonic(), self.out / "tests" / f"{name}.txt"
        print(f"{name} has begun; it prints into {log}", flush=True)
        status, used = self._printed(command, log)
        if status:
            self.failed.set()
        with self.screen:
            print(f"--- {name}\n{log.read_text(encoding='utf-8', errors='replace')}", flush=True)
        minutes = (time.monotonic() - begin) / 60
        return status, f"  {name:24} {minutes:6.1f} ({used / 60:.1f}){'  FAILED' if status else ''}"

    def _printed(self, command: str, log: Path) -> tuple[int, float]:
        """Run a command that prints into a file: its exit status and its processor seconds, 0 where the system does not tell."""
        with open(log, "wb") as file:
            environment = {**os.environ, SKIPPED: str(self.skipped)}
            process = subprocess.Popen(command, shell=True, stdout=file, stderr=subprocess.STDOUT, env=environment)
        if not hasattr(os, "wait4"):
            return process.wait(), 0.0
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that subprocess does not wait for it too
        return process.returncode, used.ru_utime + used.ru_stime


def main(arguments: list[str], out: Path = OUT) -> int:
    """Run every part; the exit status of the first in the list that failed, or 0."""
    together, parts = (int(arguments[1]), arguments[2:]) if arguments[:1] == ["--together"] else (1, arguments)
    (out / "tests").mkdir(parents=True, exist_ok=True)
    run, begin = Run(out), time.monotonic()
    run.skipped.unlink(missing_ok=True)
    with ThreadPoolExecutor(together) as lanes:
        ended = list(lanes.map(run.part, parts))
    lines = [*filter(None, (line for _, line in ended)), f"  {'in all':24} {(time.monotonic() - begin) / 60:6.1f}"]
    text = "\n".join(["", "Minutes by part (processor minutes)", *lines, "", *skips(run.skipped)])
    print(text, flush=True)
    (out / "tests.txt").write_text(text.lstrip() + "\n", encoding="utf-8")
    return next((status for status, _ in ended if status), 0)


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
