"""Where the command line trains: here, or on another computer."""

from __future__ import annotations

import os
from pathlib import Path

from ..client import Engine, LocalEngine
from ..remote.engine import RemoteEngine
from ..remote.http import Address

ENGINE, TOKEN, CERTIFICATE = "SPLATWRIGHT_ENGINE", "SPLATWRIGHT_TOKEN", "SPLATWRIGHT_CERTIFICATE"


def chosen_engine(root: Path, url: str) -> Engine:
    """The engine at `url`, or at the address of the environment, or this computer. Job folders lie below `root`.

    UserError for what is no address, or without a token.
    """
    url = url or os.environ.get(ENGINE, "")
    if not url:
        return LocalEngine(root)
    certificate = os.environ.get(CERTIFICATE)
    return RemoteEngine(root, Address(url, os.environ.get(TOKEN, ""), Path(certificate) if certificate else None).check())
