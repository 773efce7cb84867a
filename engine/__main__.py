"""`splatwright …` and `python -m engine …`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

BROKEN_PIPE = 141
"""Exit status of programs whose reader has gone, as shells report it."""


def main() -> None:
    """Run the command line; a UserError is printed as one sentence, without a traceback. Quiet when whoever reads its output has gone."""
    try:
        from .cli.main import run
    except ImportError as error:
        sys.exit(f"The command line needs the package {error.name}. Install it with: pip install splatwright")
    try:
        status = run(sys.argv[1:])
    except SystemExit as end:  # of --help
        status = end.code
    except BrokenPipeError:
        status = BROKEN_PIPE
    flush()
    sys.exit(status)


def flush() -> None:
    """Write what is still held back. Where nobody reads it, it goes nowhere, and Python has nothing left to complain about at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a broken pipe; EINVAL on Windows
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
