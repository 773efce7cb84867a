"""The page about a training."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import tyro

from ..core.protocol.folder import JobFolder


def report(job: tyro.conf.Positional[Path], open: bool = False) -> int:
    """Write the report of a training, also of one that has not ended: report.html in its folder, one self-contained file.

    Args:
        job: the training's folder
        open: show it in the browser
    """
    from ..report.writing import write_report

    path = write_report(JobFolder(job))
    print(path)
    if open:
        webbrowser.open(path.resolve().as_uri())
    return 0
