"""For all tests."""

from __future__ import annotations

import signal

# A shell lets what it starts in the background ignore Ctrl+C, and all its child processes too: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
