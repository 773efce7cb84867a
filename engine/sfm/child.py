"""The process that runs COLMAP: `python -m engine.sfm.child WORK`. COLMAP may abort a whole process, so it has its own.

Reads request.json, writes its progress as lines of JSON on standard output, writes sparse/0 and outcome.json. Features and
matches stay in databases and are not computed again.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from ..core.processes import end_with_parent, lower_priority
from ..core.protocol.progress import OnProgress
from .exchange import read_request, write_outcome


def main(arguments: list[str]) -> int:
    """Entry point. Exit status 0: outcome.json is written; 1: failed, see the log; 3: the parent process is gone."""
    end_with_parent()  # the database is COLMAP's to leave in order
    on_progress = _speak_up()
    lower_priority()
    try:
        from .search import search

        work = Path(arguments[0])
        write_outcome(search(read_request(work), work, on_progress), work)
    except BrokenPipeError:
        return 3
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _speak_up() -> OnProgress:
    """Redirect COLMAP's output to standard error; returns a function that writes a step as JSON to the real standard output."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return lambda step: print(json.dumps(asdict(step)), file=output, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
