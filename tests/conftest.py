"""For all tests."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

# A shell lets what it starts in the background ignore Ctrl+C, and all its child processes too: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

try:
    import hypothesis
except ImportError:
    pass
else:
    # The same examples in every run, however long a busy computer takes for one. HYPOTHESIS_PROFILE=default looks for new ones and prints
    # how to see a failing one again.
    hypothesis.settings.register_profile("splatwright", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "splatwright"))

SKIPPED = "SPLATWRIGHT_SKIPPED"
"""The variable with the file that the reasons of skipped tests are added to, a line each; tests.parts prints them at the end."""

_reasons: Counter[str] = Counter()


def pytest_report_header() -> str:
    """What the tests' data are, and how the examples of hypothesis are chosen."""
    return f"SPLATWRIGHT_DATA={os.environ.get('SPLATWRIGHT_DATA', '')} HYPOTHESIS_PROFILE={os.environ.get('HYPOTHESIS_PROFILE', '')}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count why a test was skipped."""
    _count(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Count why a whole file was skipped."""
    _count(report)


def _count(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple) and not hasattr(report, "wasxfail"):
        _reasons[str(report.longrepr[2]).removeprefix("Skipped: ").partition("\n")[0]] += 1


def pytest_sessionfinish() -> None:
    """Add the reasons to the file that a variable names: before Blender's own conftest ends the process."""
    if _reasons and (path := os.environ.get(SKIPPED)):
        with open(Path(path), "a", encoding="utf-8") as file:
            file.writelines(f"{count}\t{reason}\n" for reason, count in _reasons.items())
