"""What tells this computer from others, for what several computers see: numbers of processes mean something on one alone."""

from __future__ import annotations

import platform
import sys
from functools import cache

from . import macos


@cache
def this_computer() -> str:
    """A name that stays while the computer runs. On macOS the host's name changes with the network, so there it is the machine's own
    number; elsewhere the host's name, which containers of one machine have each for itself."""
    return (macos.computer() if sys.platform == "darwin" else None) or platform.node()


def is_this_computer(name: str) -> bool:
    """Whether a name is this computer's; version 0.1.0 wrote the host's."""
    return name in (this_computer(), platform.node())
