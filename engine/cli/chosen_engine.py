"""Where the command line trains: here, or on another computer."""

from __future__ import annotations

import os
from pathlib import Path

from ..jobs.local_engine import Engine, LocalEngine
from ..remote.engine import RemoteEngine
from ..remote.http import Address

ENGINE, TOKEN, CERTIFICATE = "SPLATWRIGHT_ENGINE", "SPLATWRIGHT_TOKEN", "SPLATWRIGHT_CERTIFICATE"


def chosen_address(url: str) -> Address | None:
    """The engine at `url`, or at the address of the environment; None for this computer. UserError for no address, or without a token."""
    url = url or os.environ.get(ENGINE, "")
    if not url:
        return None
    certificate = os.environ.get(CERTIFICATE)
    return Address(url.rstrip("/"), os.environ.get(TOKEN, ""), Path(certificate) if certificate else None).check()


def chosen_engine(root: Path, url: str) -> Engine:
    """The engine at an address as for chosen_address, or this computer; job folders lie below `root`. Workers here end with the command."""
    address = chosen_address(url)
    return RemoteEngine(root, address) if address else LocalEngine(root, tied=True)
