"""`splatwright doctor`: the self-check in a terminal."""

from __future__ import annotations

from pathlib import Path

from ..core.protocol.http_messages import PORT
from ..doctor import DoctorOptions, DoctorState, as_json, examine
from .terminal import print_row


def doctor(json: bool = False, folder: Path = Path(), port: int = PORT, graphics: bool = False) -> int:
    """Check everything that trainings need on this computer, each with its fix. Exit status 1 when something is broken.

    Args:
        json: print one line of JSON instead
        folder: where trainings will be written
        port: where `splatwright serve` would listen
        graphics: this computer is meant to train on its graphics card: what is missing for that counts as broken
    """
    rows = []
    for row in examine(DoctorOptions(folder, port, graphics)):
        rows.append(row)
        if not json:
            print_row(row.subject, row.state.value, row.sentence, row.fix)
    if json:
        print(as_json(rows))
    return 1 if any(row.state is DoctorState.BROKEN for row in rows) else 0
