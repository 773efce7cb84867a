"""`splatwright …` and `python -m engine …`."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

BROKEN_PIPE = 141
"""Exit status of programs whose reader has gone, as shells report it."""

BY_SIGNAL = 128
"""Exit status of a program that a signal ended, less the signal's number, as shells report it."""


class Ended(SystemExit):
    """Raised where the command is at work when it is asked to end or its terminal is closed, so that it tidies up behind itself."""


def main() -> None:
    """Run the command line; a UserError is printed as one sentence, without a traceback. Quiet when whoever reads its output has gone.

    Ctrl+C, a request to end and a closed terminal end it without a traceback too, also while Python still imports, with all that it
    started.
    """
    write_any_name()
    handle(signal.SIGINT, signal.SIG_DFL)  # an import that is interrupted would be a traceback
    try:
        from .cli.main import run
    except ImportError as error:
        sys.exit(f"The command line needs the package {error.name}. Install it with: pip install splatwright")
    try:
        handle(signal.SIGTERM, ask_to_end)
        if sys.platform == "win32":
            handle(signal.SIGBREAK, ask_to_end)
        else:
            handle(signal.SIGHUP, hang_up)
        handle(signal.SIGINT, signal.default_int_handler)
        status = run(sys.argv[1:])
    except Ended as ended:
        leave(ended.code)
    except KeyboardInterrupt:
        leave(BY_SIGNAL + signal.SIGINT)
    except SystemExit as left:  # by --help
        status = left.code
    except BrokenPipeError:
        status = BROKEN_PIPE
    if status == BY_SIGNAL + signal.SIGINT:
        leave(status)
    handle(signal.SIGINT, signal.SIG_DFL)  # Python's own end would be a traceback too
    flush()
    sys.exit(status)


def write_any_name() -> None:
    """Let names in every script be written: into files and pipes as UTF-8 on Windows, where they would have the code page of the country,
    and with ? for letters that a terminal lacks. PYTHONIOENCODING goes first."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not os.environ.get("PYTHONIOENCODING"):
            as_utf8 = sys.platform == "win32" and not stream.isatty()
            stream.reconfigure(encoding="utf-8" if as_utf8 else None, errors="replace")


def handle(number: int, handler: object) -> None:
    """Let a signal be handled so, unless whoever started this process has it ignored, as nohup does."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)  # type: ignore[arg-type]


def ask_to_end(number: int, _: FrameType | None) -> None:
    """Handler of signals that ask a program to end; a second one ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Ended(BY_SIGNAL + number)


def hang_up(*_: object) -> None:
    """Handler of a closed terminal: a request to end, whoever handles that by now; a server has its own way."""
    signal.raise_signal(signal.SIGTERM)


def leave(status: object) -> NoReturn:
    """End at once: threads that still decode photos are not waited for. What is tied to this process ends with it."""
    flush()
    os._exit(status if isinstance(status, int) else 1)


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
